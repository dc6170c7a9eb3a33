#include "sync/held.hpp"

#include <fern/semaphore.hpp>

#include <stdexcept>

namespace fern {

using sync::Held;
using Word = detail::SpinLock::Word;

Semaphore::Semaphore(std::ptrdiff_t permits, std::ptrdiff_t bound) : bound_(bound) {
  if (permits < 0 || permits > most) {
    throw std::invalid_argument("Semaphore: the number of permits is negative or too large");
  }
  lock_.lock();
  lock_.unlock(static_cast<Word>(permits) * one);
}

bool Semaphore::acquire_slow(Deadline deadline) {
  Held held(lock_, queue_, waiters);
  return queue_.wait(lock_, deadline, "Semaphore::acquire()", [&](bool) {
    Word word = lock_.value();
    if (word < one) return held.about_to_wait();
    lock_.set(word - one);
    return true;
  });
}

std::ptrdiff_t Semaphore::wait(Deadline deadline) {
  if (std::ptrdiff_t permits = counter(); permits > 0) return permits;
  Held held(lock_, queue_, waiters);
  queue_.wait(lock_, deadline, "Semaphore::wait()", [&](bool notified) {
    return notified || lock_.value() >= one || held.about_to_wait();
  });
  std::ptrdiff_t permits = counter();
  if (permits > 0) queue_.notify_one();  // it is still there for the next
  return permits;
}

std::ptrdiff_t Semaphore::release(std::ptrdiff_t permits) {
  if (permits < 0) throw std::invalid_argument("Semaphore::release(): a negative number");
  Word word = lock_.value();
  auto count = static_cast<std::ptrdiff_t>(word / one);
  if ((word & waiters) == 0 && permits <= bound_ - count &&
      lock_.change(word, word + static_cast<Word>(permits) * one)) {
    return count + permits;
  }
  Held held(lock_, queue_, waiters);
  word = lock_.value();
  count = static_cast<std::ptrdiff_t>(word / one);
  if (permits > bound_ - count) throw std::logic_error("Semaphore::release(): released too often");
  lock_.set(word + static_cast<Word>(permits) * one);
  for (std::ptrdiff_t i = 0; i < permits && queue_.notify_one(); ++i) {
  }
  return count + permits;
}

}  // namespace fern
