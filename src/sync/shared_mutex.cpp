#include "core/hub.hpp"
#include "sync/held.hpp"

#include <fern/shared_mutex.hpp>

#include <stdexcept>

namespace fern {

using sync::Held;
using Word = detail::SpinLock::Word;

// One who waits, on its stack, linked in the order of arrival. Once it is let in, nobody whom it
// would exclude gets the mutex before it has taken it or left.
struct SharedMutex::Turn {
  Turn(SharedMutex& mutex, bool shared) noexcept
      : mutex(mutex), previous(mutex.last_), shared(shared) {
    (previous == nullptr ? mutex.first_ : previous->next) = this;
    mutex.last_ = this;
    if (mutex.outside_ == nullptr) mutex.outside_ = this;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (mutex.outside_ == this) mutex.outside_ = next;
    (previous == nullptr ? mutex.first_ : previous->next) = next;
    (next == nullptr ? mutex.last_ : next->previous) = previous;
    mutex.let_in();
  }

  SharedMutex& mutex;
  Turn* next = nullptr;
  Turn* previous;
  const bool shared;
  bool inside = false;
};

// Lets in whom the state allows: a writer when nobody holds it or is about to, readers beside
// readers. Wakes as many; should one of those be leaving, the queue wakes another for nothing.
void SharedMutex::let_in() noexcept {
  Word word = lock_.value();
  while (outside_ != nullptr && (word & alone) == 0) {
    bool about_to = first_ != outside_;
    if (about_to && !first_->shared) return;
    if (!outside_->shared && (about_to || word >= one)) return;
    outside_->inside = true;
    outside_ = outside_->next;
    queue_.notify_one();
  }
}

bool SharedMutex::wait_for_turn(bool shared, Deadline deadline) {
  // A hub that WaitQueue had to make would be made with the lock let go, and news missed.
  if (deadline != Deadline::past()) core::Hub::current();
  Held held(lock_, queue_, waiters);
  Word word = lock_.value();
  Word taken = shared ? word + one : word | alone;
  if (first_ == nullptr && (word & alone) == 0 && (shared || word < one)) {
    lock_.set(taken);
    return true;
  }
  if (deadline == Deadline::past()) return false;
  Turn turn(*this, shared);
  const char* what = shared ? "SharedMutex::lock_shared()" : "SharedMutex::lock()";
  return queue_.wait(lock_, deadline, what, [&](bool) {
    if (!turn.inside) return held.about_to_wait();
    lock_.set(shared ? lock_.value() + one : lock_.value() | alone);
    return true;
  });
}

void SharedMutex::unlock_slow() {
  Held held(lock_, queue_, waiters);
  Word word = lock_.value();
  if ((word & alone) == 0) throw std::logic_error("SharedMutex::unlock(): nobody writes");
  lock_.set(word & ~alone);
  let_in();
}

void SharedMutex::unlock_shared_slow() {
  Held held(lock_, queue_, waiters);
  Word word = lock_.value();
  if (word < one) throw std::logic_error("SharedMutex::unlock_shared(): nobody reads");
  lock_.set(word - one);
  let_in();
}

}  // namespace fern
