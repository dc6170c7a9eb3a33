#pragma once

// Kind is what a descriptor stands for, as far as calls on it differ.

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

// forget_kind() is called when a number changes hands.
void forget_kind(int fd) noexcept;

}  // namespace fern::monkey
