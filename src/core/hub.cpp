#include "core/hub.hpp"

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "core/fault.hpp"
#include "core/park.hpp"
#include "core/switch_watch.hpp"

#include <fern/errors.hpp>

namespace fern::core {
namespace {

// A wait's deadline, on the waiting stack.
struct WaitTimer : Timer {
  WaitTimer(Hub& hub, Greenlet& greenlet, Deadline deadline) noexcept
      : hub(hub), greenlet(greenlet) {
    fire = [](Timer* timer) noexcept {
      Hub::wake(static_cast<WaitTimer*>(timer)->greenlet, Wake::TimedOut);
    };
    near = &greenlet;
    hub.timers().start(*this, deadline.ns());
  }
  ~WaitTimer() { hub.timers().cancel(*this); }
  Hub& hub;
  Greenlet& greenlet;
};

// The end of a sleep is no limit but what it waits for: it counts although a Timeout scope that is
// due at the same look at the clock has woken the sleeper already.
struct Alarm : Timer {
  Alarm(Hub& hub, Greenlet& sleeper, Deadline until) noexcept : hub(hub), sleeper(sleeper) {
    fire = [](Timer* timer) noexcept {
      auto* alarm = static_cast<Alarm*>(timer);
      alarm->rung = true;
      Hub::wake(alarm->sleeper, Wake::Notified);
    };
    near = &sleeper;
    if (!until.is_never()) hub.timers().start(*this, until.ns());
  }
  ~Alarm() { hub.timers().cancel(*this); }
  Hub& hub;
  Greenlet& sleeper;
  bool rung = false;
};

}  // namespace

constinit thread_local Hub* this_hub = nullptr;
void (*Hub::around_turns)(Hub&, const Greenlet*) noexcept = nullptr;

// --- switching --------------------------------------------------------------------------------

__attribute__((noinline)) void Hub::begin(Greenlet& greenlet) noexcept {
  const StackSlot* later = stacks_.lend(greenlet);
  StackSlot& slot = *greenlet.stack;
  if (slot.resting.sp != nullptr) [[likely]] {
    context_begin(greenlet.context, slot.resting, greenlet.rounding);
  } else {
    Stack stack = stack_of(greenlet);
    context_make(greenlet.context, greenlet.tools, stack, first_frame(slot, stack),
                 greenlet.rounding);
  }
  if (later == nullptr || ready_.empty()) return;
  // Maybe another one begins next: its frames are on a page that nothing else brings near.
  const char* frame = static_cast<const char*>(later->resting.sp);
  if (frame == nullptr) return;
  __builtin_prefetch(frame + 64, 1);
  __builtin_prefetch(frame, 1);
  __builtin_prefetch(frame - 64, 1);
  __builtin_prefetch(frame - 128, 1);
}

__attribute__((always_inline)) inline Greenlet* Hub::requeue() noexcept {
  Greenlet* self = running_;
  if (--budget_ == 0) [[unlikely]] {
    ready_.push(*self);
    running_ = &own_;
    return &own_;
  }
  Greenlet* first;
  if (ready_.has_second()) {
    first = &ready_.rotate(*self);
    look_ahead<2>(ready_);
  } else {
    first = &ready_.exchange(*self);
  }
  running_ = first;
  return first;
}

Greenlet* Hub::prepare_yield() {
  if (running_->pending != 0) meet_pending("fern::yield()");
  if (ready_.empty()) {
    if (--budget_ > 0) return nullptr;
    budget_ = 1;  // used up just now: have a look at the loop
    push(*running_);
    return &next();
  }
  if (next_begins()) begin(ready_.first());
  return requeue();
}

void Hub::go_last() noexcept {
  if (ready_.empty()) return;
  Greenlet& self = *running_;
  push(self);
  switch_away(self);
}

void Hub::give_way() noexcept {
  if (ready_.empty()) {
    if (base::now_ns() - polled_at_ < slice_ns) return;
    switches_ += granted_ - budget_;
    budget_ = granted_ = 1;
  }
  Greenlet& self = *running_;
  push(self);
  switch_away(self);
}

// Before a wait. The hub's own stack always has something pending, so that one test serves both.
void Hub::meet_pending(const char* what) {
  if (forked_) [[unlikely]]
    after_fork();
  Greenlet& self = *running_;
  if (&self == &own_) throw BlockingInHub(std::string(what) + " was called on the hub's own stack");
  if ((self.pending & pending_look) != 0) look_for_exit(self, *eh_);
  if (interruptible(self, *eh_)) throw_pending(self);
}

// True where somebody has to be thrown at instead.
__attribute__((noinline)) bool Hub::may_not_stop(Greenlet& self) noexcept {
  FERN_ASSERT(&self != &own_, "fern::core::Hub::try_park(): the hub's own stack may not park");
  if (forked_) after_fork();
  if ((self.pending & pending_look) != 0) look_for_exit(self, *eh_);
  return interruptible(self, *eh_);
}

Wake Hub::try_park(const char* what, std::int64_t on, Deadline deadline) noexcept {
  return try_to_stop<Fetch::Ahead>(what, on, deadline);
}

__attribute__((noinline)) void Hub::switch_away_until(Greenlet& from, Deadline deadline) noexcept {
  WaitTimer timer(*this, from, deadline);
  from.state = State::Parked;
  switch_away(from);
}

Wake Hub::park(const char* what, std::int64_t on, Deadline deadline) {
  Greenlet& self = *running_;
  if (self.pending != 0) [[unlikely]]
    meet_pending(what);
  Wake why = stop(self, what, on, deadline);
  if (why == Wake::Interrupted) [[unlikely]]
    throw_pending(self);
  return why;
}

// Inlined, so that a dump shows fern::sleep() and not a jump from there.
__attribute__((always_inline)) inline void Hub::sleep(Deadline until) {
  Greenlet& self = *running_;
  if (self.pending != 0) [[unlikely]]
    meet_pending("sleep()");
  Alarm alarm(*this, self, until);
  while (!alarm.rung) {
    if (try_park("sleep()") != Wake::Interrupted) continue;
    std::uint8_t due = self.pending & pending_throw;
    if (alarm.rung && due == pending_timeout) return;  // for the next wait
    throw_pending(self);
  }
}

void Hub::suspend(Value& inbox) noexcept {
  Greenlet& self = *running_;
  FERN_ASSERT(&self != &own_, "fern::core::Hub::suspend(): the hub's own stack");
  self.inbox = &inbox;
  self.state = State::Suspended;
  switch_away(self);
  self.inbox = nullptr;
  if ((self.slow & slow_watched) != 0) SwitchWatch::resumed(watches_, self);  // maybe by hand
}

// Every fresh stack begins here: the hub's own, or a greenlet's.
void stack_entry() {
  Hub& hub = Hub::current();
  if (hub.on_own_stack()) hub.run();
  hub.run_greenlets();
}

namespace {

// A look at another thread's word, which is no event to it.
template <class T>
__attribute__((no_sanitize("thread"), noinline)) T seen(const T& word) noexcept {
  return *static_cast<const volatile T*>(&word);
}

}  // namespace

Hub::Pulse Hub::pulse() const noexcept {
  return {seen(switches_) + (seen(granted_) - seen(budget_)), seen(polls_), seen(running_)};
}

std::size_t Hub::greenlets_seen() const noexcept { return seen(greenlets_); }

std::size_t live_greenlets() noexcept {
  Hub* hub = Hub::here();
  return hub == nullptr ? 0 : hub->greenlets();
}

}  // namespace fern::core

namespace fern {

Hub& Hub::current() { return core::Hub::current(); }

void Hub::post(detail::Function<void()> f) {
  struct Posted : detail::Remote {
    Posted(core::Hub& hub, detail::Function<void()> f) : hub(hub), f(std::move(f)) {}
    core::Hub& hub;
    detail::Function<void()> f;
  };
  auto* hub = static_cast<core::Hub*>(this);
  auto* posted = new Posted(*hub, std::move(f));
  posted->run = [](detail::Remote* remote) noexcept {
    auto* self = static_cast<Posted*>(remote);
    try {
      // A hub without a thread has nobody to run it: the poster is here to clean up.
      if (!self->hub.closed()) self->f();
    } catch (...) {
      core::report_current("a function given to Hub::post");
    }
    delete self;
  };
  hub->post(*posted);
}

void Hub::set_exit_limit(std::chrono::nanoseconds limit) noexcept {
  static_cast<core::Hub*>(this)->exit_limit = limit;
}

std::uint64_t Hub::switches() const noexcept {
  return static_cast<const core::Hub*>(this)->switches();
}
std::uint64_t Hub::polls() const noexcept { return static_cast<const core::Hub*>(this)->polls(); }
std::size_t Hub::greenlets() const noexcept {
  return static_cast<const core::Hub*>(this)->greenlets();
}

}  // namespace fern

namespace fern {

namespace detail {
#ifdef FERN_INLINE_SWITCH
namespace {

__attribute__((noinline)) Passage prepare_yield_slowly() {
  core::Hub& hub = core::Hub::current();
  core::Greenlet& self = hub.running();
  core::Greenlet* next = hub.prepare_yield();
  return next == nullptr ? Passage{nullptr, nullptr} : passage(hub, self, *next);
}

}  // namespace

// The quick way calls nothing, so that it saves no registers.
Passage prepare_yield() {
  core::Hub* hub = core::this_hub;
  if (hub == nullptr || !hub->others_ready()) [[unlikely]]
    return prepare_yield_slowly();
  core::Greenlet& self = hub->running();
  if (self.pending != 0 || hub->next_begins()) [[unlikely]]
    return prepare_yield_slowly();
  return passage(*hub, self, *hub->requeue());
}
#endif

#ifdef FERN_INLINE_SWITCH
}  // namespace detail

detail::Passage core::Hub::prepare_last() noexcept {
  Greenlet& self = *running_;
  if (next_begins()) [[unlikely]]
    begin(ready_.first());
  return passage(*this, self, *requeue());
}

detail::Passage core::Hub::prepare_park(const char* what) noexcept {
  Greenlet& self = *running_;
  self.waits_for = what;
  self.waits_on = -1;
  self.state = State::Parked;
  return passage(*this, self, next());
}

namespace detail {
#endif

void plain_yield() {
  core::Hub& hub = core::Hub::current();
  core::Greenlet& self = hub.running();
  core::Greenlet* next = hub.prepare_yield();
  if (next == nullptr) return;
  core::context_switch(self.context, self.tools, next->context, next->tools, hub.live_eh());
}

}  // namespace detail

void sleep(Deadline until) {
  core::Hub& hub = core::Hub::current();
  if (until == Deadline::past()) {
    detail::plain_yield();
    return;
  }
  hub.sleep(until);
}

}  // namespace fern
