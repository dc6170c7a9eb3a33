#include "core/hub.hpp"

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "base/proc.hpp"
#include "core/fault.hpp"
#include "core/registry.hpp"

#include <fern/errors.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <exception>
#include <iostream>
#include <limits>
#include <new>

namespace fern::core {
namespace {

constexpr std::int64_t slice_ns = 1'000'000;         // ready greenlets run this long between polls
constexpr std::uint64_t most_granted = 1024;         // switches between two looks at the clock
constexpr std::int64_t trim_every_ns = 1'000'000'000;
constexpr std::size_t keep_free_stacks = 1024;       // never given back
constexpr std::size_t own_stack_size = 128 * 1024;   // libuv needs up to 17 KiB of it
constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

// A wait's deadline, on the waiting stack.
struct WaitTimer : Timer {
  WaitTimer(Hub& hub, Greenlet& greenlet, Deadline deadline) noexcept : hub(hub), greenlet(greenlet) {
    fire = [](Timer* timer) noexcept {
      Hub::wake(static_cast<WaitTimer*>(timer)->greenlet, Wake::TimedOut);
    };
    hub.timers().start(*this, deadline.ns());
  }
  ~WaitTimer() { hub.timers().cancel(*this); }
  Hub& hub;
  Greenlet& greenlet;
};

}  // namespace

constinit thread_local Hub* this_hub = nullptr;

// When the thread ends, so does its hub.
struct HubOwner {
  Hub* hub = nullptr;
  ~HubOwner() {
    if (hub != nullptr) hub->close();
  }
};

Hub& Hub::make() {
  static thread_local HubOwner owner;
  Hub* hub = Registry::take();
  try {
    hub->open();
  } catch (...) {
    Registry::put_back(*hub);
    throw;
  }
  this_hub = hub;
  owner.hub = hub;
  Registry::opened(*hub);
  return *hub;
}

Hub::Hub() {
  void* base = mmap(nullptr, own_stack_size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  own_stack_.bottom = static_cast<char*>(base) + page_size();
  own_stack_.top = static_cast<char*>(base) + own_stack_size;
  mprotect(base, page_size(), PROT_NONE);
  stack_registered(own_stack_);
}

void Hub::open() {
  loop_.emplace();
  fault_handler_thread();
  eh_ = eh_globals();
  main_.hub = own_.hub = this;
  main_.state = own_.state = State::Ready;
  main_.life.store(1, std::memory_order_relaxed);
  main_.flags = 0;
  own_.pending = pending_refusal;
  context_adopt(main_.tools);
  context_make(own_.context, own_.tools, own_stack_, own_stack_.top);
  running_ = &main_;
  polled_at_ = checked_at_ = base::now_ns();
  trim_at_ = polled_at_ + trim_every_ns;
  timers_.expire(polled_at_);
  budget_ = granted_ = 1;
  ending_ = false;
  exit_limit = std::chrono::seconds(1);
  closed_.store(false, std::memory_order_seq_cst);
}

// --- switching --------------------------------------------------------------------------------

__attribute__((always_inline)) inline Greenlet& Hub::next() noexcept {
  Greenlet* next = head_;
  if (next == nullptr || --budget_ == 0) [[unlikely]] {
    next = &own_;
  } else {
    head_ = next->next;
    // The one after: its frame is on a page that nothing else brings near.
    if (head_ != nullptr) __builtin_prefetch(head_->context.sp);
  }
  running_ = next;
  return *next;
}

__attribute__((always_inline)) inline void Hub::switch_away(Greenlet& from) noexcept {
  Greenlet& to = next();
  context_switch(from.context, from.tools, to.context, to.tools, *eh_);
}

Departure Hub::leave(Greenlet& ended) noexcept {
  Greenlet& to = next();
  return {&ended.context, &ended.tools, &to.context, &to.tools, eh_};
}

__attribute__((always_inline)) inline Greenlet* Hub::prepare_yield() {
  Greenlet& self = *running_;
  if (self.pending != 0) [[unlikely]] meet_pending("fern::yield()");
  if (head_ == nullptr) [[unlikely]] {
    if (--budget_ > 0) return nullptr;
    budget_ = 1;  // used up just now: have a look at the loop
  }
  push(self);
  return &next();
}

// Before a wait. The hub's own stack always has something pending, so that one test serves both.
void Hub::meet_pending(const char* what) {
  Greenlet& self = *running_;
  if (&self == &own_) throw BlockingInHub(std::string(what) + " was called on the hub's own stack");
  if (interruptible(self, *eh_)) throw_pending(self);
}

Wake Hub::try_park(const char* what, std::int64_t on, Deadline deadline) noexcept {
  Greenlet& self = *running_;
  if (self.pending != 0) [[unlikely]] {
    FERN_ASSERT(&self != &own_, "fern::core::Hub::try_park(): the hub's own stack may not park");
    if (interruptible(self, *eh_)) return Wake::Interrupted;
  }
  self.waits_for = what;
  self.waits_on = on;
  if (deadline.is_never()) {
    self.state = State::Parked;
    switch_away(self);
  } else {
    WaitTimer timer(*this, self, deadline);
    self.state = State::Parked;
    switch_away(self);
  }
  self.waits_for = nullptr;
  return self.woken;
}

Wake Hub::park(const char* what, std::int64_t on, Deadline deadline) {
  if (running_->pending != 0) [[unlikely]] meet_pending(what);
  Wake why = try_park(what, on, deadline);
  if (why == Wake::Interrupted) [[unlikely]] throw_pending(*running_);
  return why;
}

// Every fresh stack begins here: the hub's own, or a greenlet's.
Departure stack_entry() {
  Hub& hub = *this_hub;
  if (hub.on_own_stack()) hub.run();
  Greenlet& self = hub.running();
  run_to_end(self);
  return hub.leave(self);
}

// --- the hub's own stack ----------------------------------------------------------------------

void Hub::run() noexcept {
  for (;;) {
    turn();
    Greenlet* next = pop();
    if (next == nullptr) continue;
    running_ = next;
    context_switch(own_.context, own_.tools, next->context, next->tools, *eh_);
  }
}

void Hub::turn() noexcept {
  if (forked_) [[unlikely]] after_fork();
  switches_ += granted_ - budget_;
  if (head_ != nullptr) {
    // Somebody is ready: look at the loop only when the slice is over.
    std::int64_t now = base::now_ns();
    std::int64_t took = now - checked_at_;
    checked_at_ = now;
    if (took < slice_ns / 4) {
      granted_ = std::min(granted_ * 2, most_granted);
    } else if (took > slice_ns) {
      granted_ = std::max<std::uint64_t>(granted_ / 2, 1);
    }
    budget_ = granted_;
    if (now - polled_at_ < slice_ns) return;
  }
  take_posts();
  ++polls_;
  if (head_ != nullptr) {
    loop_->poll(false, never);
  } else {
    idle();
  }
  take_posts();
  // After descriptors and posts: an operation that is due together with its deadline wins.
  std::int64_t now = base::now_ns();
  timers_.expire(now);
  housekeeping(now);
  polled_at_ = checked_at_ = now;
  budget_ = granted_;
}

// Nothing is ready: block until the loop, a deadline or another thread has something.
void Hub::idle() noexcept {
  std::int64_t now = base::now_ns();
  std::int64_t until = timers_.earliest();
  if (until <= now) {
    loop_->poll(false, never);
    return;
  }
  if (until == never && nothing_pending()) {
    until = stuck(now);
    if (head_ != nullptr) return;  // LoopExit
  }
  if (more_to_trim_) until = std::min(until, trim_at_);
  // Posters push, then look at sleeping_; we do the reverse: one of us sees the other.
  sleeping_.store(true, std::memory_order_seq_cst);
  if (mailbox_.load(std::memory_order_seq_cst) == nullptr) {
    loop_->poll(true, until);
  }
  sleeping_.store(false, std::memory_order_seq_cst);
  if (waits_stuck_) Registry::unstuck(*this);
  if (deadlocked_.exchange(false)) declare_deadlock();
}

void Hub::housekeeping(std::int64_t now) noexcept {
  if (now < trim_at_) return;
  more_to_trim_ = stacks_.trim(keep_free_stacks);
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
  if (closed_.load(std::memory_order_seq_cst)) [[unlikely]] drain_closed();
}

void Hub::take_posts() noexcept {
  if (mailbox_.load(std::memory_order_relaxed) == nullptr) return;
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

std::uint64_t Hub::ended() noexcept {
  if (--greenlets_ == 0 && ending_) wake(main_, Wake::Notified);
  return ++finishes_;
}

void Hub::recycle(Greenlet& dead) noexcept {
  delete dead.name;
  dead.name = nullptr;
  dead.error = nullptr;
  dead.kill_exception = nullptr;
  dead.task = nullptr;
  stacks_.give(&dead);
}

std::size_t live_greenlets() noexcept {
  Hub* hub = Hub::here();
  return hub == nullptr ? 0 : hub->greenlets();
}

// --- the thread's end -------------------------------------------------------------------------

void Hub::close() noexcept {
  // exit() or pthread_exit() inside a greenlet: nobody is unwound, this stack is one of theirs.
  if (running_ != &main_) {
    this_hub = nullptr;
    return;
  }
  if (forked_) after_fork();
  for (Greenlet* greenlet : {&main_, &own_}) {
    if (greenlet->locals != nullptr) locals_ended(*greenlet);
  }
  end_greenlets();
  bool reusable = abandon_greenlets();
  closed_.store(true, std::memory_order_seq_cst);
  while (wakers_.load(std::memory_order_seq_cst) > 0) {
  }
  Registry::closed(*this);
  // Posts that come from now on are run by their posters, one at a time and not beside us.
  Registry::with_closed(*this, [this] {
    take_posts();
    loop_.reset();
    stacks_.trim(0);
    stacks_.trim(0);
  });
  tools_destroyed(own_.tools);
  fault_handler_thread_end();
  this_hub = nullptr;
  if (reusable) Registry::put_back(*this);
}

// What never started is cancelled, the rest is killed and gets exit_limit to unwind.
void Hub::end_greenlets() noexcept {
  main_.shields = 1;
  main_.pending = 0;
  stacks_.for_each([](Greenlet& greenlet) {
    if (greenlet.state == State::Free || greenlet.state == State::Dead) return;
    kill(greenlet, nullptr);
  });
  if (greenlets_ > 0) {
    ending_ = true;
    try_park("end of the thread", -1, exit_limit);
    ending_ = false;
  }
  main_.shields = 0;
}

// True when none refused to end.
bool Hub::abandon_greenlets() noexcept {
  if (greenlets_ == 0) return true;
  std::cerr << "fern: " << greenlets_ << " greenlet(s) did not end within the exit limit:\n";
  stacks_.for_each([](Greenlet& greenlet) {
    if (greenlet.state == State::Free || greenlet.state == State::Dead) return;
    std::cerr << "fern:   " << core::describe(greenlet) << '\n';
    greenlet.state = State::Dead;
    greenlet.flags |= flag_killed;
    greenlet.life.fetch_or(life_dead, std::memory_order_acq_rel);
    while (Link* link = greenlet.links) {
      core::unlink(greenlet, *link);
      link->ended(link, greenlet);
    }
  });
  return false;
}

// --- fork -------------------------------------------------------------------------------------

// In the child at once; the rest when the hub is used again, for most children only exec.
void Hub::mark_forked() noexcept {
  forked_ = true;
  survivor_ = running_;
  head_ = nullptr;
  budget_ = granted_ = 1;
}

// The child has this thread and the greenlet that forked; the others are gone without unwinding.
void Hub::after_fork() noexcept {
  forked_ = false;
  ++forks_;
  external_ = 0;
  greenlets_ = survivor_ == &main_ ? 0 : 1;
  mailbox_.store(nullptr, std::memory_order_relaxed);
  bool ready = false;  // the survivor may have yielded; whom else it woke does not exist
  while (Greenlet* greenlet = pop()) ready = ready || greenlet == survivor_;
  auto gone = [this](Greenlet& greenlet) {
    if (&greenlet == survivor_ || greenlet.state == State::Free) return;
    greenlet.state = State::Dead;
    greenlet.flags |= flag_killed | flag_read;
    greenlet.life.fetch_or(life_dead, std::memory_order_relaxed);
  };
  gone(main_);
  stacks_.for_each(gone);
  loop_->forked();
  if (ready) push(*survivor_);
}

}  // namespace fern::core

namespace fern {

Hub& Hub::current() { return core::Hub::current(); }

void Hub::post(detail::Function<void()> f) {
  struct Posted : detail::Remote {
    explicit Posted(detail::Function<void()> f) : f(std::move(f)) {}
    detail::Function<void()> f;
  };
  auto* posted = new Posted(std::move(f));
  posted->run = [](detail::Remote* remote) noexcept {
    auto* self = static_cast<Posted*>(remote);
    try {
      // A hub without a thread has nobody to run it.
      if (core::Hub::here() != nullptr) self->f();
    } catch (...) {
      core::report_current("a function given to Hub::post");
    }
    delete self;
  };
  static_cast<core::Hub*>(this)->post(*posted);
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
namespace {

core::Hub& hub_here() {
  core::Hub* hub = core::this_hub;
  if (hub == nullptr) [[unlikely]] hub = &core::Hub::current();
  return *hub;
}

}  // namespace

#ifdef FERN_INLINE_SWITCH
Passage prepare_yield() {
  core::Hub& hub = hub_here();
  core::Context& from = hub.running().context;
  core::Greenlet* next = hub.prepare_yield();
  if (next == nullptr) return {nullptr, nullptr};
  from.eh = hub.live_eh();
  hub.live_eh() = next->context.eh;
  return {next->context.sp, &from};
}
#endif

void plain_yield() {
  core::Hub& hub = hub_here();
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
  while (hub.park("sleep()", -1, until) != core::Wake::TimedOut) {
  }
}

}  // namespace fern
