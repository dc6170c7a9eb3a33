#pragma once

// The wait for a descriptor that most make, to be inlined, in few lines of code: the kernel's work
// for others has pushed them out of the cache, so nothing of what others need stands between them.

#include "core/park.hpp"
#include "io/fd_wait.hpp"

#include <sys/epoll.h>

namespace fern::io {

// Nobody would wait for one that is not drained.
inline void FdTable::is_in_vain(FdEntry& entry) noexcept {
  if (!entry.drained && entry.full) [[unlikely]]
    calm_down(entry);
  entry.drained = true;
}

__attribute__((always_inline)) inline void FdTable::bring_near(
    const core::ReadyQueue& ready) noexcept {
  const core::Greenlet& waiting = ready.soon(2);
  auto* frames = static_cast<const char*>(waiting.context.sp);
#pragma GCC unroll 6
  for (int line = 0; line < 6; ++line) __builtin_prefetch(frames + line * 64);
  const auto number = static_cast<unsigned>(waiting.waits_on);
  if (number < chunk_size) __builtin_prefetch(near_ + number);
  const core::Greenlet& later = ready.soon(3);
  __builtin_prefetch(&later);
  __builtin_prefetch(&later.waits_on);
}

// For a descriptor of ours that is watched and has no other reader.
__attribute__((always_inline)) inline bool FdTable::link_alone(FdWaiter& waiter, FdEntry& entry,
                                                               FdSlot::View view) noexcept {
  if (!entry.noted || entry.generation != view.generation() || !view.owned() ||
      entry.lists[FdEntry::Readers] != nullptr || (entry.armed & core::readable) == 0) [[unlikely]]
    return false;
  waiter.previous = entry.lists[FdEntry::Readers] = &waiter;
  waiter.greenlet = entry.reader = &hub_.running();
  waiter.entry = &entry;
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

// begin_alone() links where there is nothing else to do, and end_alone() is the reverse. False, and
// nothing, where there is.
__attribute__((always_inline)) inline bool FdWait::begin_alone(FdTable& table,
                                                               FdEntry& entry) noexcept {
  FdSlot* slot = FdSlot::find(fd_);
  if (slot == nullptr || table.hub().on_own_stack() ||
      !table.link_alone(waiter_, entry, slot->load())) [[unlikely]]
    return false;
  table_ = &table;
  return true;
}

__attribute__((always_inline)) inline bool FdWait::end_alone() noexcept {
  if (!table_->unlink_alone(waiter_)) [[unlikely]]
    return false;
  table_ = nullptr;
  return true;
}

// Notified, and not closed, is what a wait is for.
__attribute__((always_inline)) inline core::Wake FdWait::park_alone(const char* what,
                                                                    Deadline deadline) noexcept {
  core::Hub& hub = table_->hub();
  if (hub.ready().has_second()) table_->bring_near(hub.ready());
  core::Hub::External external(hub);
  return hub.try_park_fetched(what, fd_, deadline);
}

}  // namespace fern::io
