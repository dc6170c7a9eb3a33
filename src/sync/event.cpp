#include <fern/event.hpp>

#include <mutex>

namespace fern {

void Event::set() noexcept {
  lock_.lock();
  waiters_.notify_all();
  lock_.unlock(set_bit);
}

void Event::clear() noexcept {
  lock_.lock();
  lock_.unlock(0);
}

bool Event::wait_slow(Deadline deadline) {
  std::lock_guard hold(lock_);
  return waiters_.wait(lock_, deadline, "Event::wait()",
                       [this](bool notified) { return notified || is_set(); });
}

}  // namespace fern
