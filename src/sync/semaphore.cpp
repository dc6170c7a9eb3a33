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

std::ptrdiff_t Semaphore::release(std::ptrdiff_t permits) {
  if (permits < 0) throw std::invalid_argument("Semaphore::release(): a negative number");
  Word more = static_cast<Word>(permits) * one;
  Word word = lock_.value();
  std::ptrdiff_t now = static_cast<std::ptrdiff_t>(word / one) + permits;
  if ((word & waiters) == 0 && permits <= bound_ && now <= bound_ &&
      lock_.change(word, word + more)) {
    return now;
  }
  Held held(lock_, queue_, waiters);
  word = lock_.value();
  now = static_cast<std::ptrdiff_t>(word / one);
  if (permits > bound_ - now) throw std::logic_error("Semaphore::release(): released too often");
  lock_.set(word + more);
  for (std::ptrdiff_t i = 0; i < permits && queue_.notify_one(); ++i) {
  }
  return now + permits;
}

}  // namespace fern
