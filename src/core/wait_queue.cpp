#include <fern/detail/wait_queue.hpp>

#include "base/assert.hpp"
#include "core/hub.hpp"

#include <sched.h>

#include <cstddef>
#include <string>

namespace fern::detail {
namespace {

// In the waiter's hub: the mark was made under the lock, by whoever posted.
void wake_posted(Remote* remote) noexcept {
  auto* waiter =
      reinterpret_cast<Waiter*>(reinterpret_cast<char*>(remote) - offsetof(Waiter, remote));
  waiter->posted = false;
  core::Hub::wake(*waiter->greenlet, core::Wake::Notified);
}

// False when the waiter is leaving by itself and cannot be told any more.
bool tell(Waiter& waiter) noexcept {
  if (waiter.hub == core::Hub::here()) {
    if (!core::Hub::wake(*waiter.greenlet, core::Wake::Notified)) return false;
    waiter.notified = true;
    return true;
  }
  waiter.notified = true;
  if (!waiter.posted) {
    waiter.posted = true;
    waiter.remote.run = wake_posted;
    waiter.hub->post(waiter.remote);
  }
  return true;
}

}  // namespace

void SpinLock::lock_slow() noexcept {
  do {
    for (int spins = 0; (word_.load(std::memory_order_relaxed) & held) != 0; ++spins) {
      if (spins > 100) sched_yield();
    }
  } while (!try_lock());
}

WaitQueue::~WaitQueue() {
  FERN_ASSERT(head_ == nullptr, ("fern::detail::WaitQueue: destroyed while somebody waits in it: " +
                                 core::describe(*head_->greenlet))
                                    .c_str());
}

void WaitQueue::link(Waiter& waiter) noexcept {
  waiter.previous = tail_;
  (tail_ == nullptr ? head_ : tail_->next) = &waiter;
  tail_ = &waiter;
  waiter.ticket = ++last_ticket_;
  if (next_ == nullptr) next_ = &waiter;
}

void WaitQueue::unlink(Waiter& waiter) noexcept {
  if (next_ == &waiter) next_ = waiter.next;
  (waiter.previous == nullptr ? head_ : waiter.previous->next) = waiter.next;
  (waiter.next == nullptr ? tail_ : waiter.next->previous) = waiter.previous;
}

// Waiters that were notified, and not resumed yet, can be many: next_ saves looking at each.
void WaitQueue::renew(Waiter& waiter) noexcept {
  waiter.notified = waiter.hands_on = false;
  if (next_ == nullptr || waiter.ticket < next_->ticket) next_ = &waiter;
}

bool WaitQueue::notify_one() noexcept {
  while (next_ != nullptr) {
    Waiter& waiter = *next_;
    next_ = waiter.next;
    if (!waiter.notified && tell(waiter)) {
      waiter.hands_on = true;
      return true;
    }
  }
  return false;
}

void WaitQueue::notify_all() noexcept {
  for (; next_ != nullptr; next_ = next_->next) {
    if (!next_->notified) tell(*next_);
  }
}

std::size_t WaitQueue::size() const noexcept {
  std::size_t count = 0;
  for (const Waiter* waiter = head_; waiter != nullptr; waiter = waiter->next) ++count;
  return count;
}

WaitQueue::Waiting::Waiting(WaitQueue& queue, SpinLock& lock, Deadline deadline, const char* what)
    : queue_(queue), lock_(lock), deadline_(deadline), what_(what) {
  core::Hub* hub = core::Hub::here();
  if (hub == nullptr) {
    lock_.unlock();  // making a hub takes a while and may throw
    try {
      hub = &core::Hub::current();
    } catch (...) {
      lock_.lock();
      throw;
    }
    lock_.lock();
  }
  if (hub->on_own_stack()) {
    throw BlockingInHub(std::string(what) + " was called on the hub's own stack");
  }
  waiter_.greenlet = &hub->running();
  waiter_.hub = hub;
  queue_.link(waiter_);
}

bool WaitQueue::Waiting::park() {
  queue_.renew(waiter_);
  lock_.unlock();
  struct Relock {
    SpinLock& lock;
    ~Relock() { lock.lock(); }
  } relock{lock_};
  return waiter_.hub->park(what_, -1, deadline_) != core::Wake::TimedOut;
}

WaitQueue::Waiting::~Waiting() {
  queue_.unlink(waiter_);
  if (waiter_.notified && waiter_.hands_on) queue_.notify_one();
  if (!waiter_.posted) return;
  // The hub's mailbox holds a pointer to this frame: stay until it has been delivered, which is
  // at the hub's next turn.
  lock_.unlock();
  ++waiter_.greenlet->shields;
  while (waiter_.posted) waiter_.hub->try_park(what_);
  --waiter_.greenlet->shields;
  lock_.lock();
}

}  // namespace fern::detail
