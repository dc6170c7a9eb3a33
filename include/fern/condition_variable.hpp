#pragma once

// A ConditionVariable lets greenlets wait until something that a Mutex guards has changed.
//
//   fern::Mutex mutex;
//   fern::ConditionVariable changed;
//   std::vector<Job> jobs;
//
//   void work() {
//     std::unique_lock lock(mutex);
//     changed.wait(lock, [] { return !jobs.empty(); });
//     Job job = std::move(jobs.back());
//     jobs.pop_back();
//     lock.unlock();
//     run(job);
//   }
//   void add(Job job) {
//     std::lock_guard guard(mutex);
//     jobs.push_back(std::move(job));
//     changed.notify_one();
//   }
//
// As std::condition_variable, with a Deadline, for greenlets of any hub and plain threads. A wait
// takes the mutex again before it returns, whatever ended it: a kill, a Timeout scope and the
// deadline wait for the mutex too. A notify wakes those who wait, first come first, and is not
// remembered if nobody does. Destroy it only when nobody waits in it any more.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/wait_queue.hpp>
#include <fern/mutex.hpp>

#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>

namespace fern {

class FERN_API ConditionVariable {
 public:
  ConditionVariable() = default;
  ConditionVariable(const ConditionVariable&) = delete;
  ConditionVariable& operator=(const ConditionVariable&) = delete;

  // wait() unlocks the mutex, blocks until it is notified, and locks the mutex again; false when
  // the deadline passed first. It wakes for a notify only, but what that was about may be gone
  // again by then. Throws std::logic_error when `lock` does not own its mutex, BlockingInHub on the
  // hub's own stack. With a deadline that has passed it does nothing, not even unlock.
  bool wait(std::unique_lock<Mutex>& lock, Deadline deadline = {});

  // wait() with a predicate blocks until that is true; false when the deadline passed and it is
  // not. The predicate is called with the mutex locked; true at once costs no switch.
  template <std::predicate Predicate>
  bool wait(std::unique_lock<Mutex>& lock, Predicate ready, Deadline deadline = {}) {
    bool in_time = true;
    while (!ready()) {
      if (!in_time) return false;
      in_time = wait(lock, deadline);
    }
    return true;
  }

  // wait_for() and wait_until() are wait() under std's names and with its results.
  std::cv_status wait_for(std::unique_lock<Mutex>& lock, Deadline timeout) {
    return wait(lock, timeout) ? std::cv_status::no_timeout : std::cv_status::timeout;
  }
  template <std::predicate Predicate>
  bool wait_for(std::unique_lock<Mutex>& lock, Deadline timeout, Predicate ready) {
    return wait(lock, std::move(ready), timeout);
  }
  std::cv_status wait_until(std::unique_lock<Mutex>& lock, Deadline deadline) {
    return wait_for(lock, deadline);
  }
  template <std::predicate Predicate>
  bool wait_until(std::unique_lock<Mutex>& lock, Deadline deadline, Predicate ready) {
    return wait(lock, std::move(ready), deadline);
  }

  // notify_one() wakes the one that waits longest, notify() the first so many, notify_all() all.
  // They never switch, and cost one load when nobody waits. The mutex need not be locked, but what
  // the waiters wait for must have been changed under it.
  void notify_one() noexcept { notify(1); }
  void notify(std::size_t count) noexcept {
    if (lock_.value() != 0) notify_slow(count);
  }
  void notify_all() noexcept { notify(static_cast<std::size_t>(-1)); }

 private:
  static constexpr detail::SpinLock::Word waiters = 2;

  void notify_slow(std::size_t count) noexcept;

  detail::SpinLock lock_;
  detail::WaitQueue queue_;
};

}  // namespace fern
