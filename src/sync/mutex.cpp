#include "core/hub.hpp"
#include "sync/held.hpp"

#include <fern/mutex.hpp>

#include <stdexcept>

namespace fern {

using sync::Held;
using Word = detail::SpinLock::Word;

bool Mutex::lock_slow(Deadline deadline) {
  Held held(lock_, queue_, waiters);
  return queue_.wait(lock_, deadline, "Mutex::lock()", [&](bool) {
    Word word = lock_.value();
    if ((word & locked) != 0) return held.about_to_wait();
    lock_.set(word | locked);
    return true;
  });
}

void Mutex::unlock_slow() {
  Held held(lock_, queue_, waiters);
  Word word = lock_.value();
  if ((word & locked) == 0) throw std::logic_error("Mutex::unlock(): it is not locked");
  lock_.set(word & ~locked);
  queue_.notify_one();
}

namespace {

// Who calls: the greenlet, or the thread if it is in none. A hub that the thread gets between lock
// and unlock changes nothing, and a thread without one needs none.
const void* caller() noexcept {
  static thread_local const char thread = 0;
  core::Hub* hub = core::Hub::mine();
  if (hub == nullptr || &hub->running() == &hub->main()) return &thread;
  return &hub->running();
}

}  // namespace

// The caller sees itself as the owner only if it is: nobody else writes its address.
void RLock::lock() { try_lock_until(Deadline::never()); }

bool RLock::try_lock() { return try_lock_until(Deadline::past()); }

bool RLock::try_lock_until(Deadline deadline) {
  const void* self = caller();
  if (owner_.load(std::memory_order_relaxed) == self) {
    ++depth_;
    return true;
  }
  if (!mutex_.try_lock_until(deadline)) return false;
  owner_.store(self, std::memory_order_relaxed);
  depth_ = 1;
  return true;
}

void RLock::unlock() {
  if (owner_.load(std::memory_order_relaxed) != caller()) {
    throw std::logic_error("RLock::unlock(): the calling greenlet does not own it");
  }
  if (--depth_ > 0) return;
  owner_.store(nullptr, std::memory_order_relaxed);
  mutex_.unlock();
}

}  // namespace fern
