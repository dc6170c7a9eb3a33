#pragma once

// PollWait is one wait for several descriptors, whoever owns them.
//
//   PollWait wait(count);
//   for (...) wait.add(fd, events);
//   while (nothing_is_ready() && wait.park("poll()", deadline) == 0) {
//   }

#include "io/fd_table.hpp"

#include <fern/deadline.hpp>

#include <poll.h>

#include <cstddef>
#include <cstdint>

namespace fern::io {

// poll_events() are the events of a pollfd: poll's bits are epoll's, but for POLLNVAL, which cannot
// be asked for.
inline std::uint32_t poll_events(short events) noexcept {
  return static_cast<std::uint32_t>(events & 0x7fff & ~POLLNVAL);
}

class FERN_INTERNAL PollWait {
 public:
  // Room for this many: on the stack for a few, else on the heap.
  explicit PollWait(std::size_t most) noexcept;
  PollWait(const PollWait&) = delete;
  PollWait& operator=(const PollWait&) = delete;
  ~PollWait();

  // add() adds one more: events in epoll's bits; nothing is watched below 0. An errno is kept for
  // park().
  void add(int fd, std::uint32_t events) noexcept;

  // park() waits until one may be ready: look then, and park again if none is. 0, or an errno as
  // FdWait::park() has it.
  int park(const char* what, Deadline deadline) noexcept;

  // closed() asks whether the i-th that was added has been closed since, whoever has got its
  // number.
  bool closed(std::size_t i) const noexcept { return all_[i].closed; }

 private:
  static constexpr std::size_t few = 8;

  int arm(bool& ready, bool& blind) noexcept;

  FdTable* table_;
  std::size_t count_ = 0;
  int error_ = 0;
  bool any_ = false;  // some descriptor is watched
  int only_ = -1;     // the descriptor, for dumps, if there is one
  FdWaiter* all_;
  FdWaiter room_[few];
};

}  // namespace fern::io
