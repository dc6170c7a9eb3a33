#pragma once

// The one protocol under every meeting point (Event, Semaphore, Queue, ...): greenlets of any hub
// wait in a queue that the object's own spin lock guards; whoever changes the object notifies.
//
// Invariants:
//   - A Waiter lives on the waiting stack, is linked from wait() until it leaves, and is touched
//     only under the lock. Notifying marks it and wakes its greenlet; it never runs anything.
//   - A notified waiter takes what it came for by itself, under the lock. If somebody was faster
//     it parks again and keeps its place (FIFO, gevent's order; a running greenlet may barge in).
//   - A waiter that leaves notified but without having taken anything (killed, say) hands the
//     notification to the next: no permit, item or wake-up is lost.

#include <fern/config.hpp>
#include <fern/deadline.hpp>

#include <atomic>

namespace fern::core {
struct Greenlet;
class Hub;
}  // namespace fern::core

namespace fern::detail {

// SpinLock guards a few instructions, never a wait. One atomic exchange; a loser yields its
// thread's time slice so that two threads on one core make progress.
class SpinLock {
 public:
  void lock() noexcept {
    if (held_.exchange(true, std::memory_order_acquire)) [[unlikely]] lock_slow();
  }
  bool try_lock() noexcept { return !held_.exchange(true, std::memory_order_acquire); }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  FERN_API void lock_slow() noexcept;

  std::atomic<bool> held_{false};
};

// Remote is what another thread puts into a hub's lock-free mailbox: run() is called once, on
// that hub's own stack, and may not park.
struct Remote {
  Remote* next_remote = nullptr;
  void (*run)(Remote*) noexcept = nullptr;
};

struct Waiter {
  Waiter* next = nullptr;
  Waiter* previous = nullptr;
  core::Greenlet* greenlet = nullptr;  // who waits
  core::Hub* hub = nullptr;            // and in which hub
  bool notified = false;               // woken by notify, and has not taken anything yet
  bool hands_on = false;               // by notify_one: if it takes nothing, the next is woken
  bool posted = false;                 // remote stands, or stood, in the hub's mailbox
  Remote remote;
};

class FERN_API WaitQueue {
 public:
  WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;
  ~WaitQueue();  // asserts that nobody waits any more

  // wait() parks the calling greenlet until `take(notified)` is true or the deadline passes; true
  // when it was taken. `notified` tells take whether a notify has reached this very waiter. The
  // lock is held on entry, on return, on a throw, and whenever take is called; take may not
  // throw. `what` names the wait in dumps. Throws BlockingInHub and what Hub::park throws.
  template <class Take>
  bool wait(SpinLock& lock, Deadline deadline, const char* what, Take&& take) {
    if (take(false)) return true;
    if (deadline == Deadline::past()) return false;
    Waiting waiting(*this, lock, deadline, what);
    bool in_time = true;
    while (!take(waiting.notified())) {
      if (!in_time) return false;
      in_time = waiting.park();
    }
    waiting.taken();
    return true;
  }

  // notify_one() wakes the first waiter that nobody has notified yet; false when there is none.
  bool notify_one() noexcept;

  // notify_all() wakes every waiter, first come, first woken.
  void notify_all() noexcept;

  bool empty() const noexcept { return head_ == nullptr; }
  std::size_t size() const noexcept;

 private:
  // One wait: links itself, parks as often as asked, unlinks itself however it ends.
  class FERN_API Waiting {
   public:
    Waiting(WaitQueue& queue, SpinLock& lock, Deadline deadline, const char* what);
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting();

    bool park();  // unlocks, parks, locks; false when the deadline has passed
    bool notified() const noexcept { return waiter_.notified; }
    void taken() noexcept { waiter_.notified = waiter_.hands_on = false; }

   private:
    WaitQueue& queue_;
    SpinLock& lock_;
    Deadline deadline_;
    const char* what_;
    Waiter waiter_;
  };

  void link(Waiter& waiter) noexcept;
  void unlink(Waiter& waiter) noexcept;

  Waiter* head_ = nullptr;
  Waiter* tail_ = nullptr;
};

}  // namespace fern::detail
