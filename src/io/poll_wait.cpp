#include "io/poll_wait.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <optional>

namespace fern::io {

PollWait::PollWait(std::size_t most) noexcept : table_(FdTable::make_here()) {
  all_ = most <= few ? room_ : new (std::nothrow) FdWaiter[most];
  if (table_ == nullptr || all_ == nullptr) {
    error_ = ENOMEM;
  } else if (table_->hub().on_own_stack()) {
    error_ = error_in_hub;
  }
}

PollWait::~PollWait() {
  if (all_ == nullptr) return;
  for (std::size_t i = 0; i < count_; ++i) table_->unlink(all_[i]);
  if (all_ != room_) delete[] all_;
}

void PollWait::add(int fd, std::uint32_t events) noexcept {
  if (error_ != 0) return;
  FdWaiter& waiter = all_[count_++];
  if (fd < 0) return;
  only_ = any_ ? -1 : fd;
  any_ = true;
  error_ = table_->link(waiter, fd, events, false);
  if (error_ != EBADF) return;
  waiter.closed = true;  // just now
  error_ = 0;
}

// What is not open is for the next look to find. What the set does not take, such as a file, is
// ready for ever or never, and the last look has seen which. Sets that stand in sets have a limit
// of depth, and the system one of watches: what meets those has to be looked at now and then.
int PollWait::arm(bool& ready, bool& blind) noexcept {
  for (std::size_t i = 0; i < count_; ++i) {
    if (all_[i].entry == nullptr) continue;
    int error = table_->arm(all_[i]);
    if (error == EBADF) {
      ready = true;
    } else if (error == ELOOP || error == EINVAL || error == ENOSPC) {
      blind = true;
    } else if (error != 0 && error != EPERM) {
      return error;
    }
  }
  return 0;
}

int PollWait::park(const char* what, Deadline deadline) noexcept {
  if (error_ != 0) return error_;
  bool ready = false;
  bool blind = false;
  if (int error = arm(ready, blind); error != 0) return error;
  if (ready) return 0;
  for (std::size_t i = 0; i < count_; ++i) {
    if (all_[i].closed) return 0;
  }
  core::Hub& hub = table_->hub();
  std::optional<core::Hub::External> external;
  if (any_) external.emplace(hub);
  Deadline until = deadline;
  if (blind) {
    Deadline soon = std::chrono::milliseconds(10);
    until = std::min(until, soon);
  }
  core::Wake why = hub.try_park(what, only_, until);
  if (why == core::Wake::Interrupted) return error_interrupted;
  return why == core::Wake::TimedOut && until == deadline ? error_deadline : 0;
}

}  // namespace fern::io
