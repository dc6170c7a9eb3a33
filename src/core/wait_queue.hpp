#pragma once

// The part of WaitQueue that a hand-off runs through: inline for those who look behind the public
// header.

#include "core/hub.hpp"

#include <fern/detail/wait_queue.hpp>

namespace fern::detail {

inline void WaitQueue::link(Waiter& waiter) noexcept {
  waiter.previous = tail_;
  (tail_ == nullptr ? head_ : tail_->next) = &waiter;
  tail_ = &waiter;
  waiter.ticket = ++last_ticket_;
  if (next_ == nullptr) next_ = &waiter;
}

inline void WaitQueue::remove(Waiter& waiter) noexcept {
  if (next_ == &waiter) next_ = waiter.next;
  (waiter.previous == nullptr ? head_ : waiter.previous->next) = waiter.next;
  (waiter.next == nullptr ? tail_ : waiter.next->previous) = waiter.previous;
}

inline Waiter* WaitQueue::claim(const core::Hub* here) noexcept {
  while (Waiter* waiter = next_) {
    next_ = waiter->next;
    if (waiter->sleeper != nullptr && !waiter->sleeper->rouse()) continue;
    // One of this hub that is not parked any more leaves by itself, or looks again.
    if (waiter->hub == here && waiter->greenlet->state != core::State::Parked) continue;
    return waiter;
  }
  return nullptr;
}

// In the waiter's hub's thread; false when its greenlet is not parked.
inline bool WaitQueue::arrive(Waiter& waiter) noexcept {
  waiter.arrived = true;
  if (waiter.watch == nullptr) return core::Hub::wake(*waiter.greenlet, core::Wake::Notified);
  waiter.watch(waiter);
  return true;
}

inline bool WaitQueue::serve(Waiter& waiter, const core::Hub* here) noexcept {
  remove(waiter);
  waiter.served = true;
  if (waiter.hub == here) {
    arrive(waiter);  // moving the item may have woken it
    return true;
  }
  waiter.posted = true;
  return false;
}

inline void WaitQueue::stay(Waiter& waiter, const char* what) noexcept {
  if (waiter.posted) [[unlikely]]
    stay_slow(waiter, what);
}

}  // namespace fern::detail
