#pragma once

// Kind is what a descriptor stands for, as far as calls on it differ.

#include <cstddef>
#include <cstdint>

namespace fern::monkey {

enum class Kind : std::uint8_t {
  Unknown,
  Socket,
  Pipe,      // and FIFO
  Terminal,  // its own rules of when a read is done
  Pollable,  // eventfd, timerfd, signalfd, inotify, devices
  File       // regular file, directory, block device: is always ready, and blocks all the same
};

// kind_of() asks the kernel, and remembers what can be waited for; known_kind() is what is
// remembered. A descriptor may be closed behind our back: what is remembered may be wrong, and
// serves where that does no harm. Both keep errno.
Kind kind_of(int fd) noexcept;
Kind known_kind(int fd) noexcept;

// surely_taken() is how much one that is writable takes without blocking, where the kernel has no
// better way: a pipe one buffer, a terminal what its line discipline keeps free, twice as much for
// ends of lines.
std::size_t surely_taken(Kind kind) noexcept;

// forget_kind() is called when a number changes hands.
void forget_kind(int fd) noexcept;

// hung_up() asks whether the other side is gone. Who waits to read from a terminal when it goes
// gets EIO, and who comes later nothing.
bool hung_up(int fd) noexcept;

}  // namespace fern::monkey
