#pragma once

// A Semaphore holds a number of permits; acquire() takes one and waits while there is none.
//
//   fern::Semaphore connections(10);
//   void fetch(Url url) {
//     std::lock_guard permit(connections);   // at most ten at a time get past here
//     get(url);
//   }
//
// release() hands nothing over: it adds a permit and wakes the first waiter, and a greenlet that
// runs before that one may take the permit first; the waiter then keeps its place. (gevent's.)
// A BoundedSemaphore refuses to have more permits than it began with.
//
// Any greenlet of any hub, any plain thread and any Hub::post callback may call any of this; who
// releases need not be who acquired. One that nobody waits for costs one atomic operation a call.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/wait_queue.hpp>

#include <cstddef>

namespace fern {

class Waitable;

class FERN_API Semaphore {
 public:
  // Begins with `permits`; std::invalid_argument when that is negative.
  explicit Semaphore(std::ptrdiff_t permits = 1) : Semaphore(permits, most) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // acquire() takes a permit, waiting for one if need be; false when the deadline passes first.
  // Throws BlockingInHub where it would have to park on the hub's own stack. A greenlet killed
  // while it waits takes none.
  bool acquire(Deadline deadline = {}) { return take_one() || acquire_slow(deadline); }

  // try_acquire() takes a permit if there is one; never switches.
  bool try_acquire() { return take_one() || acquire_slow(Deadline::past()); }

  // wait() blocks until there is a permit and takes none. It gives the number of permits, which is
  // 0 when the deadline passes first or a greenlet took the permit that it was woken for. Throws as
  // acquire().
  std::ptrdiff_t wait(Deadline deadline = {});

  // release() adds permits, wakes as many waiters, and returns how many permits there are now.
  // Never switches. Throws std::invalid_argument for a negative number, std::logic_error, and
  // changes nothing, when a BoundedSemaphore would hold more than it began with.
  std::ptrdiff_t release(std::ptrdiff_t permits = 1);

  // counter() is how many permits there are; locked() asks whether there is none.
  std::ptrdiff_t counter() const noexcept {
    return static_cast<std::ptrdiff_t>(lock_.value() / one);
  }
  bool locked() const noexcept { return counter() == 0; }

  // lock() and the others let std::lock_guard and std::unique_lock hold a permit.
  void lock() { acquire(); }
  bool try_lock() { return try_acquire(); }
  bool try_lock_for(Deadline timeout) { return acquire(timeout); }
  bool try_lock_until(Deadline deadline) { return acquire(deadline); }
  void unlock() { release(); }

 protected:
  Semaphore(std::ptrdiff_t permits, std::ptrdiff_t bound);

 private:
  friend class Waitable;
  // The word: the lock's bit, whether somebody may be waiting, and the permits above.
  static constexpr detail::SpinLock::Word waiters = 2;
  static constexpr detail::SpinLock::Word one = 4;
  static constexpr std::ptrdiff_t most = PTRDIFF_MAX / 4;

  bool take_one() noexcept {
    detail::SpinLock::Word word = lock_.value();
    return word >= one && lock_.change(word, word - one);
  }
  bool acquire_slow(Deadline deadline);

  detail::SpinLock lock_;
  detail::WaitQueue queue_;
  std::ptrdiff_t bound_;
};

class FERN_API BoundedSemaphore : public Semaphore {
 public:
  explicit BoundedSemaphore(std::ptrdiff_t permits = 1) : Semaphore(permits, permits) {}
};

}  // namespace fern
