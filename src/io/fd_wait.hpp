#pragma once

// FdWait is one wait for one descriptor, on the waiting stack:
//
//   FdWait wait(fd, Direction::Read);
//   while ((got = real::recv(fd, ...)) < 0 && errno == EAGAIN) {
//     if (int error = wait.park("recv()", deadline); error != 0) return error;
//   }
//
// It is linked in the FdTable until it goes, and parked as often as asked.

#include "io/fd_table.hpp"

#include <fern/deadline.hpp>

namespace fern::io {

class FERN_INTERNAL FdWait {
 public:
  FdWait(int fd, Direction direction) noexcept : fd_(fd), direction_(direction) {}
  FdWait(const FdWait&) = delete;
  FdWait& operator=(const FdWait&) = delete;
  ~FdWait() {
    if (table_ != nullptr) end();
  }

  // park() waits for the next readiness. 0: try again. Else an errno: EPERM for what is always
  // ready, EBADF when it was closed meanwhile, error_deadline, error_interrupted, error_in_hub.
  int park(const char* what, Deadline deadline) noexcept;

  // The parts of park() for a reader whose descriptor is drained, inlined, in fd_wait_here.hpp.
  bool begin_alone(FdTable& table, FdEntry& entry) noexcept;
  core::Wake park_alone(const char* what, Deadline deadline) noexcept;
  bool end_alone() noexcept;

  // error_of() is what park() says of that outcome.
  int error_of(core::Wake why) const noexcept;
  bool closed() const noexcept { return waiter_.closed; }

 private:
  int begin() noexcept;
  int begin_again() noexcept;
  void end() noexcept;

  int fd_;
  Direction direction_;
  FdTable* table_ = nullptr;
  FdWaiter waiter_;
};

}  // namespace fern::io
