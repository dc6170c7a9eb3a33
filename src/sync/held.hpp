#pragma once

// Held is a scope in which a SpinLock is held whose word has a bit that says whether anybody may
// be waiting, so that whoever has nothing to wake leaves the lock alone. It keeps the bit true.

#include <fern/detail/wait_queue.hpp>

namespace fern::sync {

class Held {
 public:
  using Word = detail::SpinLock::Word;

  Held(detail::SpinLock& lock, detail::WaitQueue& queue, Word waiters) noexcept
      : lock_(lock), queue_(queue), waiters_(waiters) {
    lock_.lock();
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    Word value = lock_.value();
    lock_.unlock(queue_.empty() ? value & ~waiters_ : value | waiters_);
  }

  // about_to_wait() is for a `take` that did not succeed: the lock will be let go.
  bool about_to_wait() noexcept {
    lock_.set(lock_.value() | waiters_);
    return false;
  }

 private:
  detail::SpinLock& lock_;
  detail::WaitQueue& queue_;
  const Word waiters_;
};

}  // namespace fern::sync
