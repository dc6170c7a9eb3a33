// Waiting for the hub to have nothing to do: for a moment, or at all.

#include "core/hub.hpp"

#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/wait.hpp>

#include <mutex>

namespace fern::core {

void Hub::wait_idle() {
  if (running_->pending != 0) meet_pending("fern::idle()");
  std::lock_guard lock(idle_lock_);
  idlers_.wait(idle_lock_, {}, "idle()", [](bool told) noexcept { return told; });
}

void Hub::wake_idlers() noexcept {
  std::lock_guard lock(idle_lock_);
  idlers_.notify_all();
}

// What limits main itself is not something left to do.
bool Hub::nothing_left() noexcept {
  std::size_t own = pending_scopes(main_) + (awaits_end_with_timer_ ? 1 : 0);
  return ready_.empty() && idlers_.empty() && timers_.count() == own && nothing_pending();
}

bool Hub::wait_all(Deadline deadline) {
  if (running_->pending != 0) meet_pending("fern::wait()");
  if (running_ != &main_) {
    throw GreenletError("wait(): only the thread's main greenlet can wait for all others");
  }
  if (deadline == Deadline::past()) return nothing_left();
  struct Awaits {
    Hub& hub;
    Awaits(Hub& hub, Deadline deadline) noexcept : hub(hub) {
      hub.awaits_end_ = true;
      hub.awaits_end_with_timer_ = !deadline.is_never();
    }
    ~Awaits() { hub.awaits_end_ = hub.awaits_end_with_timer_ = false; }
  } awaits(*this, deadline);
  while (awaits_end_) {
    if (park("wait()", -1, deadline) == Wake::TimedOut) return false;
  }
  return true;
}

}  // namespace fern::core

namespace fern {

void idle() { core::Hub::current().wait_idle(); }

bool wait(Deadline deadline) { return core::Hub::current().wait_all(deadline); }

}  // namespace fern
