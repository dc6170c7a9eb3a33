#include <fern/timeout.hpp>

#include "base/assert.hpp"
#include "core/hub.hpp"

#include <new>

namespace fern {

// TimeoutAccess is core's view into Timeout.
struct TimeoutAccess {
  struct ScopeTimer : core::Timer {
    Timeout* scope;
  };
  static_assert(sizeof(ScopeTimer) <= sizeof(Timeout::timer_));

  static ScopeTimer& timer(Timeout& scope) noexcept {
    return *std::launder(reinterpret_cast<ScopeTimer*>(scope.timer_));
  }

  static void make_timer(Timeout& scope) noexcept {
    auto* made = ::new (static_cast<void*>(scope.timer_)) ScopeTimer;
    made->scope = &scope;
    made->fire = [](core::Timer* timer) noexcept {
      Timeout& expired = *static_cast<ScopeTimer*>(timer)->scope;
      expired.state_ = Timeout::State::Expired;
      core::interrupt(*expired.greenlet_, core::pending_timeout);
    };
  }

  // The scope that expired first and has not thrown; of two at once the outer, which began first.
  static Timeout* first_expired(core::Greenlet& greenlet) noexcept {
    Timeout* first = nullptr;
    for (Timeout* scope = greenlet.timeouts; scope != nullptr; scope = scope->outer_) {
      if (scope->state_ != Timeout::State::Expired) continue;
      if (first == nullptr || scope->deadline_ <= first->deadline_) first = scope;
    }
    return first;
  }

  static void rearm(core::Greenlet& greenlet) noexcept {
    for (Timeout* scope = greenlet.timeouts; scope != nullptr; scope = scope->outer_) {
      if (scope->pending()) greenlet.hub->timers().start(timer(*scope), scope->deadline_.ns());
    }
  }

  static std::size_t pending(const core::Greenlet& greenlet) noexcept {
    std::size_t count = 0;
    for (const Timeout* scope = greenlet.timeouts; scope != nullptr; scope = scope->outer_) {
      if (scope->pending()) ++count;
    }
    return count;
  }

  static void update_pending(core::Greenlet& greenlet) noexcept {
    if (first_expired(greenlet) == nullptr) {
      greenlet.pending &= static_cast<std::uint8_t>(~core::pending_timeout);
      greenlet.told &= static_cast<std::uint8_t>(~core::pending_timeout);
    }
  }

  static bool open(const core::Greenlet& greenlet, const TimeoutError& error) noexcept {
    const Timeout* scope = greenlet.timeouts;
    while (scope != nullptr && scope != error.scope_) scope = scope->outer_;
    return scope != nullptr;
  }

  [[noreturn]] static void raise_first(core::Greenlet& greenlet) {
    Timeout* scope = first_expired(greenlet);
    FERN_ASSERT(scope != nullptr, "fern::Timeout: pending, but no scope has expired");
    raise(greenlet, scope);
  }

  [[noreturn]] static void raise(core::Greenlet& greenlet, Timeout* scope) {
    scope->state_ = Timeout::State::Thrown;
    update_pending(greenlet);
    TimeoutError error("a Timeout scope expired");
    error.scope_ = scope;
    throw error;
  }
};

Timeout::Timeout(Deadline deadline) {
  core::Hub& hub = core::Hub::current();
  if (hub.on_own_stack()) throw BlockingInHub("a Timeout scope was opened on the hub's own stack");
  greenlet_ = &hub.running();
  TimeoutAccess::make_timer(*this);
  outer_ = greenlet_->timeouts;
  greenlet_->timeouts = this;
  greenlet_->extras |= core::extra_cold;
  arm(deadline);
}

Timeout::~Timeout() {
  FERN_ASSERT(&greenlet_->hub->running() == greenlet_,
              "fern::Timeout::~Timeout(): ended in another greenlet");
  cancel();
  // Scopes are objects on one stack and mostly end in order, but they need not.
  Timeout** place = &greenlet_->timeouts;
  while (*place != this) place = &(*place)->outer_;
  *place = outer_;
}

void Timeout::arm(Deadline deadline) {
  deadline_ = deadline;
  if (deadline.is_never()) return;
  state_ = State::Pending;
  greenlet_->hub->timers().start(TimeoutAccess::timer(*this), deadline.ns());
}

void Timeout::cancel() noexcept {
  greenlet_->hub->timers().cancel(TimeoutAccess::timer(*this));
  bool was_due = state_ == State::Expired;
  if (state_ == State::Pending) state_ = State::Idle;
  if (was_due) {
    state_ = State::Thrown;  // it stays expired, but will not throw any more
    TimeoutAccess::update_pending(*greenlet_);
  }
}

void Timeout::check() {
  bool told = (greenlet_->told & greenlet_->pending & core::pending_timeout) != 0;
  if (state_ == State::Expired && told) TimeoutAccess::raise(*greenlet_, this);
}

void Timeout::restart(Deadline deadline) {
  cancel();
  state_ = State::Idle;
  arm(deadline);
}

ShieldKill::ShieldKill() : greenlet_(&core::Hub::current().running()) { ++greenlet_->shields; }

ShieldKill::~ShieldKill() {
  FERN_ASSERT(greenlet_->shields > 0, "fern::ShieldKill::~ShieldKill(): not shielded");
  --greenlet_->shields;
}

namespace core {

void throw_expired(Greenlet& running) { TimeoutAccess::raise_first(running); }

bool from_open_scope(const Greenlet& running, const TimeoutError& error) noexcept {
  return TimeoutAccess::open(running, error);
}

void rearm_timeouts(Greenlet& greenlet) noexcept { TimeoutAccess::rearm(greenlet); }

std::size_t pending_scopes(const Greenlet& greenlet) noexcept {
  return TimeoutAccess::pending(greenlet);
}

}  // namespace core
}  // namespace fern
