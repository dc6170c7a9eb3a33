#include "io/fd_wait.hpp"

#include "io/fd_wait_here.hpp"

#include <sys/epoll.h>

namespace fern::io {

// Links, in whatever way, and arms.
__attribute__((noinline)) int FdWait::begin() noexcept {
  FdTable* table = FdTable::here();
  if (table == nullptr) table = FdTable::make_here();
  if (table == nullptr) return ENOMEM;
  if (table->hub().on_own_stack()) return error_in_hub;
  std::uint32_t events = direction_ == Direction::Read ? EPOLLIN : EPOLLOUT;
  if (int error = table->link(waiter_, fd_, events, true); error != 0) return error;
  table_ = table;
  return begin_again();
}

__attribute__((noinline)) int FdWait::begin_again() noexcept {
  return waiter_.closed ? EBADF : table_->arm(waiter_);
}

void FdWait::end() noexcept {
  if (!end_alone()) table_->unlink(waiter_);
}

int FdWait::park(const char* what, Deadline deadline) noexcept {
  FdTable* table = FdTable::here();
  FdEntry* entry = table == nullptr ? nullptr : table->find(fd_);
  if (table_ != nullptr || direction_ != Direction::Read || entry == nullptr ||
      !begin_alone(*table, *entry)) {
    if (int error = table_ == nullptr ? begin() : begin_again(); error != 0) return error;
  }
  if (waiter_.list == FdEntry::Readers) table_->is_in_vain(*waiter_.entry);
  return error_of(park_alone(what, deadline));
}

int FdWait::error_of(core::Wake why) const noexcept {
  if (waiter_.closed) return EBADF;
  if (why == core::Wake::TimedOut) return error_deadline;
  return why == core::Wake::Interrupted ? error_interrupted : 0;
}

}  // namespace fern::io
