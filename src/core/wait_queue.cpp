#include "core/wait_queue.hpp"

#include "base/assert.hpp"
#include "base/real.hpp"

#include <cstddef>
#include <string>

namespace fern::detail {

void SpinLock::lock_slow() noexcept {
  do {
    for (int spins = 0; (word_.load(std::memory_order_relaxed) & held) != 0; ++spins) {
      if (spins > 100) real::sched_yield();
    }
  } while (!try_lock());
}

WaitQueue::~WaitQueue() {
  FERN_ASSERT(head_ == nullptr, ("fern::detail::WaitQueue: destroyed while somebody waits in it: " +
                                 core::describe(*head_->greenlet))
                                    .c_str());
}

void WaitQueue::unlink(Waiter& waiter) noexcept {
  remove(waiter);
  if (waiter.notified && waiter.hands_on) notify_one();
}

// Waiters that were notified, and not resumed yet, can be many: next_ saves looking at each.
void WaitQueue::renew(Waiter& waiter) noexcept {
  if (waiter.posted) return;  // what is on its way will wake it, to look again
  waiter.notified = waiter.hands_on = waiter.arrived = false;
  if (next_ == nullptr || waiter.ticket < next_->ticket) next_ = &waiter;
}

bool WaitQueue::notify_one() noexcept {
  while (next_ != nullptr) {
    Waiter& waiter = *next_;
    next_ = waiter.next;
    if (waiter.notified) continue;
    if (waiter.sleeper != nullptr && !waiter.sleeper->rouse()) continue;
    if (!notify(waiter) || waiter.watch != nullptr) continue;
    waiter.hands_on = true;
    return true;
  }
  return false;
}

void WaitQueue::notify_all() noexcept {
  for (; next_ != nullptr; next_ = next_->next) {
    if (!next_->notified) notify(*next_);
  }
}

namespace {

// A Timeout scope has woken it, which may be taken back before its turn: then it waits on, and must
// not have missed what comes now. If it is thrown, it hands the notification on.
bool may_wait_on(const core::Greenlet& woken) noexcept {
  constexpr std::uint8_t final = core::pending_kill | core::pending_loop_exit;
  return woken.woken == core::Wake::Interrupted && (woken.pending & final) == 0;
}

}  // namespace

bool WaitQueue::notify(Waiter& waiter) noexcept {
  if (waiter.hub == core::Hub::here()) {
    if (!arrive(waiter) && !may_wait_on(*waiter.greenlet)) return false;
    waiter.notified = true;
    return true;
  }
  waiter.notified = true;
  if (!waiter.posted) {
    waiter.posted = true;
    post(waiter);
  }
  return true;
}

// The mark was made under the lock; here it is taken away in the waiter's own thread.
void WaitQueue::post(Waiter& waiter) noexcept {
  waiter.remote.run = [](Remote* remote) noexcept {
    auto& posted =
        *reinterpret_cast<Waiter*>(reinterpret_cast<char*>(remote) - offsetof(Waiter, remote));
    posted.posted = false;
    arrive(posted);
  };
  waiter.hub->post(waiter.remote);
}

void WaitQueue::stay_slow(Waiter& waiter, const char* what) noexcept {
  waiter.watch = nullptr;  // what arrives has to wake the greenlet
  ++waiter.greenlet->shields;
  while (waiter.posted) waiter.hub->try_park(what);
  --waiter.greenlet->shields;
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
  };
  core::Wake why;
  {
    Relock relock{lock_};
    why = waiter_.hub->park(what_, -1, deadline_);
  }
  if (waiter_.posted) {
    // Not later: the lock is not let go between what is taken and the end of the wait.
    lock_.unlock();
    Relock relock{lock_};
    stay(waiter_, what_);
  }
  return why != core::Wake::TimedOut;
}

WaitQueue::Waiting::~Waiting() {
  queue_.unlink(waiter_);
  if (!waiter_.posted) return;
  lock_.unlock();
  stay(waiter_, what_);
  lock_.lock();
}

}  // namespace fern::detail
