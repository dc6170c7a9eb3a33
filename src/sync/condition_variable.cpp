#include "core/hub.hpp"
#include "sync/held.hpp"

#include <fern/condition_variable.hpp>
#include <fern/errors.hpp>
#include <fern/timeout.hpp>

#include <stdexcept>

namespace fern {

using sync::Held;

namespace {

// Locks the mutex again however the wait ended. What would be thrown meanwhile comes at the next
// wait: std::unique_lock has to be told the truth about its mutex.
struct Relock {
  std::unique_lock<Mutex>& lock;
  ~Relock() {
    ShieldKill shield;
    lock.lock();
  }
};

}  // namespace

bool ConditionVariable::wait(std::unique_lock<Mutex>& lock, Deadline deadline) {
  if (!lock.owns_lock()) {
    throw std::logic_error("ConditionVariable::wait(): the lock does not own its mutex");
  }
  if (deadline == Deadline::past()) return false;
  if (core::Hub::current().on_own_stack()) {
    throw BlockingInHub("ConditionVariable::wait() was called on the hub's own stack");
  }
  Relock relock{lock};
  // Whoever gets the mutex now and notifies sees the bit, and waits for lock_ until this greenlet
  // is in the queue.
  Held held(lock_, queue_, waiters);
  held.about_to_wait();
  lock.unlock();
  return queue_.wait(lock_, deadline, "ConditionVariable::wait()",
                     [&](bool notified) { return notified || held.about_to_wait(); });
}

void ConditionVariable::notify_slow(std::size_t count) noexcept {
  Held held(lock_, queue_, waiters);
  while (count-- > 0 && queue_.notify_one()) {
  }
}

}  // namespace fern
