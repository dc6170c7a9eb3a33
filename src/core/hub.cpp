#include "core/hub.hpp"

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "base/proc.hpp"
#include "core/fault.hpp"
#include "core/registry.hpp"
#include "core/switch_watch.hpp"

#include <fern/errors.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <exception>
#include <iostream>
#include <limits>
#include <new>

namespace fern::core {
namespace {

constexpr std::int64_t slice_ns = 1'000'000;  // ready greenlets run this long between polls
constexpr std::int64_t most_unpolled_ns = 100'000'000;  // and this while those last woken wait
constexpr std::uint64_t most_granted = 1024;            // switches between two looks at the clock
constexpr std::uint64_t first_granted = 1;              // after a rest
constexpr std::int64_t slow_ns = 100'000;               // what a turn takes that takes long
constexpr int long_line = 8;                            // greenlets
constexpr std::size_t enough_timers =
    256;  // then those whom they wake have their turns, but for one tick's
constexpr std::int64_t trim_every_ns = 1'000'000'000;
constexpr std::size_t keep_free_stacks = 1024;  // never given back
constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

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

__attribute__((always_inline)) inline Greenlet& Hub::next() noexcept {
  Greenlet& next = first();
  if (begins(next)) [[unlikely]]
    begin(next);
  return next;
}

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
  if (later == nullptr || head_ == nullptr) return;
  // Maybe another one begins next: its frames are on a page that nothing else brings near.
  const char* frame = static_cast<const char*>(later->resting.sp);
  if (frame == nullptr) return;
  __builtin_prefetch(frame + 64, 1);
  __builtin_prefetch(frame, 1);
  __builtin_prefetch(frame - 64, 1);
  __builtin_prefetch(frame - 128, 1);
}

__attribute__((always_inline)) inline void Hub::switch_away(Greenlet& from) noexcept {
  Greenlet& to = next();
  context_switch(from.context, from.tools, to.context, to.tools, *eh_);
}

__attribute__((always_inline)) inline Greenlet* Hub::requeue() noexcept {
  Greenlet* self = running_;
  Greenlet* first = head_;
  self->next = nullptr;
  tail_->next = self;
  tail_ = self;
  if (--budget_ == 0) [[unlikely]] {
    running_ = &own_;
    return &own_;
  }
  head_ = first->next;
  look_ahead<3, 1>(head_);
  running_ = first;
  return first;
}

Greenlet* Hub::prepare_yield() {
  if (running_->pending != 0) meet_pending("fern::yield()");
  if (head_ == nullptr) {
    if (--budget_ > 0) return nullptr;
    budget_ = 1;  // used up just now: have a look at the loop
    push(*running_);
    return &next();
  }
  if (begins(*head_)) begin(*head_);
  return requeue();
}

void Hub::go_last() noexcept {
  if (head_ == nullptr) return;
  Greenlet& self = *running_;
  push(self);
  switch_away(self);
}

void Hub::give_way() noexcept {
  if (head_ == nullptr) {
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

// Parks with nothing pending that may be thrown.
__attribute__((always_inline)) inline Wake Hub::stop(Greenlet& self, const char* what,
                                                     std::int64_t on, Deadline deadline) noexcept {
  self.waits_for = what;
  self.waits_on = on;
  if (deadline.is_never()) [[likely]] {
    self.state = State::Parked;
    switch_away(self);
  } else {
    switch_away_until(self, deadline);
  }
  self.waits_for = nullptr;
  if (self.woken != Wake::Interrupted) [[likely]]
    return self.woken;
  return (self.pending & pending_throw) == 0 ? Wake::Notified : Wake::Interrupted;
}

Wake Hub::try_park(const char* what, std::int64_t on, Deadline deadline) noexcept {
  Greenlet& self = *running_;
  if (self.pending != 0) [[unlikely]] {
    FERN_ASSERT(&self != &own_, "fern::core::Hub::try_park(): the hub's own stack may not park");
    if (forked_) after_fork();
    if ((self.pending & pending_look) != 0) look_for_exit(self, *eh_);
    if (interruptible(self, *eh_)) return Wake::Interrupted;
  }
  return stop(self, what, on, deadline);
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

// --- the hub's own stack ----------------------------------------------------------------------

void Hub::run() noexcept {
  for (;;) {
    if (watches_ != nullptr) [[unlikely]]
      SwitchWatch::stopped(watches_);
    turn();
    Greenlet* next = pop();
    if (next == nullptr) continue;
    running_ = next;
    if (begins(*next)) begin(*next);
    if (watches_ != nullptr) [[unlikely]] {
      SwitchWatch::resumed(watches_, *next);
      budget_ = granted_ = 1;
    }
    if (around_turns != nullptr) [[unlikely]] {
      budget_ = granted_ = 1;
      around_turns(*this, next);
      context_switch(own_.context, own_.tools, next->context, next->tools, *eh_);
      around_turns(*this, nullptr);
      continue;
    }
    context_switch(own_.context, own_.tools, next->context, next->tools, *eh_);
  }
}

// Where many stand in line, and take long, who is due does not stand behind them all: he would be
// late by the whole round, fifty handshakes, say. (gevent, too, runs its timers between two parts
// of a long round.) Among a few, whom a program may count on to go before a sleep is over, or quick
// ones the queue is one line.
void Hub::let_first(Greenlet& last) noexcept {
  Greenlet* due = last.next;
  if (due == nullptr || switches_ < passes_at_) return;
  const Greenlet* place = head_;
  for (int i = 1; i < long_line && place != &last; ++i) place = place->next;
  if (place == &last) return;
  // Then the line has as many turns: those who sleep again and again would keep it standing.
  std::uint64_t count = 0;
  for (const Greenlet* each = due; each != nullptr; each = each->next) ++count;
  passes_at_ = switches_ + 2 * count;
  last.next = nullptr;
  tail_->next = head_;
  head_ = due;
  tail_ = &last;
}

void Hub::turn() noexcept {
  if (forked_) [[unlikely]]
    after_fork();
  switches_ += granted_ - budget_;
  budget_ = granted_;
  bool look = true;   // at the loop
  bool slow = false;  // those who had turns since the last one here
  if (head_ != nullptr) {
    // Somebody is ready: look at the loop only when the slice is over.
    std::int64_t now = base::now_ns();
    std::int64_t took = now - checked_at_;
    slow = took > slow_ns * static_cast<std::int64_t>(granted_);
    checked_at_ = now;
    if (took < slice_ns / 4) {
      granted_ = std::min(granted_ * 2, most_granted);
    } else if (took > slice_ns) {
      granted_ = std::max<std::uint64_t>(granted_ / 2, 1);
    }
    budget_ = granted_;
    if (now - sliced_at_ < slice_ns) return;
    // Unless those whom the last look has woken have all had their turns it would tell them again.
    look = switches_ - polled_switches_ >= told_ || now - polled_at_ >= most_unpolled_ns;
  }
  take_posts();
  if (forked_) [[unlikely]]
    after_fork();
  look |= head_ == nullptr;
  if (look) told_ = 0;
  if (head_ == nullptr) {
    budget_ = granted_ = first_granted;
    rest();
  } else if (look) {
    loop_->poll(false, never);
  }
  take_posts();
  // After descriptors and posts: an operation that is due together with its deadline wins.
  std::int64_t now = base::now_ns();
  Greenlet* last = slow && head_ != nullptr ? tail_ : nullptr;
  timers_.expire(now, enough_timers);
  if (last != nullptr) [[unlikely]]
    let_first(*last);
  housekeeping(now);
  if (head_ == nullptr && !idlers_.empty()) wake_idlers();
  if (head_ != nullptr) stuck_since_ = 0;
  sliced_at_ = checked_at_ = now;
  if (look) {
    ++polls_;
    polled_at_ = now;
    polled_switches_ = switches_;
  }
  budget_ = granted_;
}

// Nothing is ready: block until the loop, a deadline or another thread has something.
void Hub::rest() noexcept {
  std::int64_t now = base::now_ns();
  std::int64_t until = timers_.earliest();
  if (until <= now || !idlers_.empty()) {
    loop_->poll(false, never);
    return;
  }
  if (awaits_end_ && nothing_left()) {
    awaits_end_ = false;
    wake(main_, Wake::Notified);
    return;
  }
  if (until == never && nothing_pending()) {
    until = stuck(now);
    if (head_ != nullptr) {  // LoopExit
      stuck_since_ = 0;
      return;
    }
  }
  if (stacks_.wants_trim(keep_free_stacks)) until = std::min(until, trim_at_);
  // Posters push, then look at sleeping_; we do the reverse: one of us sees the other.
  sleeping_.store(true, std::memory_order_seq_cst);
  if (mailbox_.load(std::memory_order_seq_cst) == nullptr) {
    loop_->poll(true, until);
  }
  sleeping_.store(false, std::memory_order_seq_cst);
  if (waits_stuck_) Registry::unstuck(*this);
  if (deadlocked_.exchange(false)) declare_deadlock();
  if (head_ != nullptr || mailbox_.load(std::memory_order_relaxed) != nullptr) stuck_since_ = 0;
}

void Hub::housekeeping(std::int64_t now) noexcept {
  if (now < trim_at_) return;
  stacks_.trim(keep_free_stacks);
  trim_at_ = now + trim_every_ns;
}

// --- other threads ----------------------------------------------------------------------------

void Hub::post(detail::Remote& remote) noexcept {
  remote.next_remote = mailbox_.load(std::memory_order_relaxed);
  while (!mailbox_.compare_exchange_weak(remote.next_remote, &remote, std::memory_order_seq_cst)) {
  }
  if (sleeping_.load(std::memory_order_seq_cst)) {
    // close() waits for us before it takes the loop away.
    wakers_.fetch_add(1, std::memory_order_seq_cst);
    if (sleeping_.exchange(false, std::memory_order_seq_cst)) loop_->wake_up();
    wakers_.fetch_sub(1, std::memory_order_seq_cst);
  }
  if (closed_.load(std::memory_order_seq_cst)) [[unlikely]]
    drain_closed();
}

void Hub::take_posts() noexcept {
  if (mailbox_.load(std::memory_order_relaxed) == nullptr) return;
  stuck_since_ = 0;
  detail::Remote* newest = mailbox_.exchange(nullptr, std::memory_order_acquire);
  detail::Remote* oldest = nullptr;
  while (newest != nullptr) {
    detail::Remote* next = newest->next_remote;
    newest->next_remote = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    detail::Remote* next = oldest->next_remote;  // run() may free it
    oldest->run(oldest);
    oldest = next;
  }
}

// What is posted to a hub without a thread is run by the poster, one at a time.
void Hub::drain_closed() noexcept {
  Registry::with_closed(*this, [this] { take_posts(); });
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
  if (begins(*head_)) [[unlikely]]
    begin(*head_);
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
