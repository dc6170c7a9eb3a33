#pragma once

// Mutex and RLock exclude greenlets, and threads, from each other. Both are std Lockable and
// TimedLockable, so std::lock_guard, std::unique_lock and std::scoped_lock work with them:
//
//   fern::Mutex mutex;
//   void deposit(int amount) {
//     std::lock_guard guard(mutex);       // parks the greenlet while another holds it
//     balance += amount;
//     log(balance);                       // may wait: the mutex stays held across switches
//   }
//
// Any greenlet of any hub and any plain thread may use them; the uncontended way is one atomic
// operation each for lock and unlock. unlock() wakes the first waiter but does not hand over: a
// greenlet that runs before that one may lock first, and the waiter keeps its place. A kill or
// a Timeout that ends a lock() leaves it unlocked.
//
// A Mutex does not know its owner, as Python's Lock: one greenlet may lock it and another unlock.
// An RLock does, and its owner may lock it again; it is free after as many unlocks.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/wait_queue.hpp>

#include <atomic>
#include <cstddef>

namespace fern {

class FERN_API Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // lock() waits until it has the mutex. Throws BlockingInHub where it would have to park on the
  // hub's own stack.
  void lock() {
    if (!lock_.change(0, locked)) lock_slow(Deadline::never());
  }

  // try_lock() locks it if it is free; never switches.
  bool try_lock() { return lock_.change(0, locked) || lock_slow(Deadline::past()); }

  // try_lock_for() and try_lock_until() are false when the time passes first.
  bool try_lock_for(Deadline timeout) { return try_lock_until(timeout); }
  bool try_lock_until(Deadline deadline) { return lock_.change(0, locked) || lock_slow(deadline); }

  // unlock() frees it and wakes the first waiter; never switches. Throws std::logic_error when it
  // is not locked.
  void unlock() {
    if (!lock_.change(locked, 0)) unlock_slow();
  }

 private:
  // The word: the spin lock's bit, whether the mutex is taken, whether somebody may be waiting.
  static constexpr detail::SpinLock::Word locked = 2;
  static constexpr detail::SpinLock::Word waiters = 4;

  bool lock_slow(Deadline deadline);
  void unlock_slow();

  detail::SpinLock lock_;
  detail::WaitQueue queue_;
};

class FERN_API RLock {
 public:
  RLock() = default;
  RLock(const RLock&) = delete;
  RLock& operator=(const RLock&) = delete;

  // lock() waits until the calling greenlet has it, once more if it had it already. Throws
  // BlockingInHub where it would have to park on the hub's own stack.
  void lock();

  // try_lock() locks it if it is free or the caller's own; never switches.
  bool try_lock();

  // try_lock_for() and try_lock_until() are false when the time passes first.
  bool try_lock_for(Deadline timeout) { return try_lock_until(timeout); }
  bool try_lock_until(Deadline deadline);

  // unlock() undoes one lock(); never switches. Throws std::logic_error, and changes nothing, when
  // the calling greenlet is not the owner.
  void unlock();

 private:
  Mutex mutex_;
  std::atomic<const void*> owner_{nullptr};  // a greenlet or thread; only the owner writes
  std::size_t depth_ = 0;                    // the owner's locks
};

}  // namespace fern
