// The wait for a descriptor that most make, in few lines of code: the kernel's work for others has
// pushed them out of the cache, so nothing of what others need stands between them.

#include "io/fd_wait.hpp"

#include <sys/epoll.h>

namespace fern::io {

// Nobody would wait for one that is not drained.
void FdTable::is_in_vain(FdEntry& entry) noexcept {
  if (!entry.drained && entry.full) entry.calm = most_calm;
  entry.drained = true;
}

void FdTable::bring_near(const core::ReadyQueue& ready) noexcept {
  const core::Greenlet& waiting = ready.soon(2);
  auto* frames = static_cast<const char*>(waiting.context.sp);
#pragma GCC unroll 8
  for (int line = 0; line < 8; ++line) __builtin_prefetch(frames + line * 64);
  __builtin_prefetch(waiting.task);
  const auto number = static_cast<unsigned>(waiting.waits_on);
  if (number < chunk_size) __builtin_prefetch(near_ + number);
  auto* later = reinterpret_cast<const char*>(&ready.soon(3));
#pragma GCC unroll 3
  for (int line = 0; line < 3; ++line) __builtin_prefetch(later + line * 64);
}

// For a descriptor of ours that is watched and has no other reader.
__attribute__((always_inline)) inline bool FdTable::link_alone(FdWaiter& waiter, int fd) noexcept {
  FdSlot* slot = FdSlot::find(fd);
  FdEntry* entry = find(fd);
  if (slot == nullptr || entry == nullptr) [[unlikely]]
    return false;
  FdSlot::View view = slot->load();
  if (!entry->noted || entry->generation != view.generation() || !view.owned() ||
      entry->lists[FdEntry::Readers] != nullptr || (entry->armed & core::readable) == 0)
      [[unlikely]]
    return false;
  waiter.previous = entry->lists[FdEntry::Readers] = &waiter;
  waiter.greenlet = entry->reader = &hub_.running();
  waiter.entry = entry;
  waiter.events = EPOLLIN;
  return true;
}

__attribute__((always_inline)) inline bool FdTable::unlink_alone(FdWaiter& waiter) noexcept {
  FdEntry* entry = waiter.entry;
  if (entry == nullptr || entry->lists[FdEntry::Readers] != &waiter || waiter.next != nullptr)
      [[unlikely]]
    return false;
  entry->lists[FdEntry::Readers] = nullptr;
  entry->reader = nullptr;
  return true;
}

FdWait::~FdWait() {
  if (table_ == nullptr || table_->unlink_alone(waiter_)) return;
  table_->unlink(waiter_);
}

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

int FdWait::park(const char* what, Deadline deadline) noexcept {
  FdTable* table = FdTable::here();
  if (table_ == nullptr && direction_ == Direction::Read && table != nullptr &&
      !table->hub().on_own_stack() && table->link_alone(waiter_, fd_)) [[likely]] {
    table_ = table;
  } else {
    if (int error = table_ == nullptr ? begin() : begin_again(); error != 0) return error;
    table = table_;
  }
  if (waiter_.list == FdEntry::Readers) [[likely]]
    table->is_in_vain(*waiter_.entry);
  core::Hub& hub = table->hub();
  if (hub.ready().has_second()) table->bring_near(hub.ready());
  core::Hub::External external(hub);
  core::Wake why = hub.try_park_fetched(what, fd_, deadline);
  if (waiter_.closed) [[unlikely]]
    return EBADF;
  if (why == core::Wake::Notified) [[likely]]
    return 0;
  if (why == core::Wake::TimedOut) return error_deadline;
  return why == core::Wake::Interrupted ? error_interrupted : 0;
}

}  // namespace fern::io
