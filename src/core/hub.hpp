#pragma once

// Hub: one thread's scheduler. A FIFO of ready greenlets, timers, a loop, and a mailbox for other
// threads.
//
// park() jumps straight to the next ready greenlet. The hub's own stack, where `run` loops, gets
// its turn when nothing is ready, or when a time slice may be over: then it asks the loop without
// blocking, so that busy greenlets starve neither descriptors nor timers. The clock is not read at
// every switch but every `granted_` switches, a number that adapts to how long turns take.
//
// Only the hub's thread may touch a Hub, but for post() and what says so. Hubs are never freed:
// when its thread ends one is closed and serves another thread later, so handles and posts that
// come too late still find it.

#include "core/greenlet.hpp"
#include "core/loop.hpp"
#include "core/raw_greenlet.hpp"
#include "core/ready_queue.hpp"
#include "core/stack.hpp"
#include "core/timers.hpp"

#include <fern/deadline.hpp>
#include <fern/detail/switch.hpp>
#include <fern/detail/wait_queue.hpp>
#include <fern/hub.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

namespace fern::core {

class Hub;
class SwitchWatch;

// The thread's hub, null while it has none. A greenlet never changes thread, so a compiler that
// keeps this address across a switch is right.
FERN_INTERNAL
__attribute__((tls_model("initial-exec"))) extern constinit thread_local Hub* this_hub;

class Hub final : public fern::Hub {
 public:
  // current() makes the thread's hub if there is none; here() is null instead.
  static Hub& current() {
    Hub* hub = here();
    return hub != nullptr ? *hub : make();
  }
  static Hub* here() noexcept { return this_hub; }

  // mine() is here(), but in the child of a fork it finds the hub that the thread had, and sets it
  // right; left() only finds it.
  static Hub* mine() noexcept { return this_hub != nullptr ? this_hub : forked(); }
  FERN_INTERNAL static Hub* left() noexcept;

  Greenlet& running() noexcept { return *running_; }
  Greenlet& main() noexcept { return main_; }
  bool on_own_stack() const noexcept { return running_ == &own_; }

  // park() stops the running greenlet until wake(), at most until the deadline; says why it goes
  // on. `what` and `on` name the wait in dumps. Throws BlockingInHub, and what is pending (a kill,
  // an expired Timeout), before it stops or when interrupted. Who parks links himself to whatever
  // will wake him first, and unlinks himself in a destructor.
  Wake park(const char* what, std::int64_t on = -1, Deadline deadline = {});

  // try_park() is park() for code that no exception may cross: it returns Interrupted and leaves
  // what is pending. Both say Notified if that was taken back before the greenlet's turn: a Timeout
  // that was cancelled. So whoever parks looks whether what it waits for is there.
  FERN_INTERNAL Wake try_park(const char* what, std::int64_t on = -1,
                              Deadline deadline = {}) noexcept;

  // try_park_fetched() is try_park() for who has had fetched himself what those need who come next.
  // In park.hpp.
  Wake try_park_fetched(const char* what, std::int64_t on, Deadline deadline) noexcept;

  // sleep() parks until then; throws as park().
  void sleep(Deadline until);

  // prepare_yield() puts the running greenlet at the end of the queue and takes the next one; null
  // when nobody else is ready and the slice is not over. The caller switches between the two.
  Greenlet* prepare_yield();
  Greenlet* requeue() noexcept;  // the same when others are ready, the first of which has begun
  bool others_ready() const noexcept { return !ready_.empty(); }
  bool next_begins() const noexcept { return begins(ready_.first()); }

  // ready() is for who wants to know whose turns come later.
  const ReadyQueue& ready() const noexcept { return ready_; }

  // go_last() lets all that are ready run once, and leaves what is pending. give_way() also has a
  // look at the loop if the last one is a time slice ago: for who never waits.
  void go_last() noexcept;
  FERN_INTERNAL void give_way() noexcept;

#ifdef FERN_INLINE_SWITCH
  // The same where others are ready, and a park with nothing pending and no deadline, but for the
  // jump itself, which the caller has to make at once.
  detail::Passage prepare_last() noexcept;
  detail::Passage prepare_park(const char* what) noexcept;
#endif

  // wait_idle() parks until nothing else is ready. wait_all(), in main only, until nothing is left
  // that this hub could do; false when the deadline passes first. idle.cpp
  void wait_idle();
  bool wait_all(Deadline deadline);

  // wake() makes a parked greenlet ready; false, and nothing, if it is not parked. Idempotent per
  // park: the first reason counts.
  static bool wake(Greenlet& greenlet, Wake why) noexcept {
    if (greenlet.state != State::Parked) return false;
    greenlet.state = State::Ready;
    greenlet.woken = why;
    greenlet.hub->push(greenlet);
    return true;
  }

  // tell() is wake() by a descriptor, in a look at the loop.
  static void tell(Greenlet& greenlet) noexcept {
    if (wake(greenlet, Wake::Notified)) ++greenlet.hub->told_;
  }

  // push() appends to the ready queue.
  void push(Greenlet& greenlet) noexcept { ready_.push(greenlet); }

  // make_room() lets one block more than there are, and main, be ready at once: called before a
  // block is taken. Throws std::bad_alloc and changes nothing.
  void make_room() { ready_.reserve(stacks_.stats().made + 2, main_); }

  // run_greenlets() is all that runs on a greenlet's stack: the running one, and after its end
  // whoever begins there next.
  [[noreturn]] void run_greenlets();

  // begin() gives one that begins its stack.
  void begin(Greenlet& greenlet) noexcept;

  // continue_with() makes the caller's switch one to that greenlet, which is in no queue.
  void continue_with(Greenlet& to) noexcept { running_ = &to; }

  // suspend() stops the running greenlet, whose inbox is empty, until somebody switches to it by
  // hand or interrupts it.
  void suspend(Value& inbox) noexcept;

  // meet_pending() throws what a wait throws before it stops; `what` is the wait.
  void meet_pending(const char* what);

  // post() runs `remote` on this hub's own stack, in order per caller. From any thread.
  using fern::Hub::post;
  FERN_INTERNAL void post(detail::Remote& remote) noexcept;

  Timers& timers() noexcept { return timers_; }
  StackPool& stacks() noexcept { return stacks_; }

  // loop() is the loop, made new first if this process has forked.
  Loop& loop() {
    if (forked_) [[unlikely]]
      after_fork();
    return *loop_;
  }
  void after_fork() noexcept;
  void mark_forked() noexcept;  // in the child, before anything else
  unsigned forks() const noexcept { return forks_; }

  // pulse() is another one after every switch and every look at the loop. From any thread, which
  // sees it late but whole: the hub's thread counts without knowing of anybody. asleep() asks
  // whether it waits for its loop, or is about to. thread() is the kernel's number of its thread.
  struct Pulse {
    std::uint64_t switches;
    std::uint64_t polls;
    const Greenlet* running;
    bool operator==(const Pulse&) const = default;
  };
  Pulse pulse() const noexcept;
  std::size_t greenlets_seen() const noexcept;  // greenlets(), in the same way
  bool asleep() const noexcept { return sleeping_.load(std::memory_order_relaxed); }
  int thread() const noexcept { return thread_.load(std::memory_order_relaxed); }

  // era() counts the threads that this hub has served. From any thread.
  std::uint32_t era() const noexcept { return era_.load(std::memory_order_relaxed); }

  RawSwitches& raw() noexcept { return raw_; }

  // closed() asks whether this hub serves no thread; leave_thread() is called when the thread goes
  // away under a greenlet; reuse() when the last handle of a closed hub's main has gone.
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }
  void leave_thread() noexcept;
  void reuse() noexcept;

  // For the lists of strangers at this hub's greenlets. From any thread, for a few instructions.
  detail::SpinLock strangers_lock;

  // External is something that can wake this hub from outside Fern (an armed descriptor, a
  // signal, a job of a worker) for as long as it lives: no LoopExit meanwhile.
  class External {
   public:
    explicit External(Hub& hub) noexcept : hub_(hub), forks_(hub.forks_) { ++hub_.external_; }
    External(const External&) = delete;
    External& operator=(const External&) = delete;
    ~External() {
      if (forks_ == hub_.forks_) --hub_.external_;
    }

   private:
    Hub& hub_;
    unsigned forks_;
  };

  // Extension is something that a layer above keeps with this hub, and is told of the hub's ends.
  // Only the hub's thread attaches and detaches.
  struct Extension {
    Extension* next = nullptr;
    Extension* previous = nullptr;
    virtual void ended() noexcept = 0;  // detached, in the hub's thread, before the loop goes
    virtual void forked() noexcept {}   // in a child; the loop is the parent's yet

   protected:
    ~Extension() = default;
  };
  void attach(Extension& extension) noexcept;
  void detach(Extension& extension) noexcept;
  Extension* fd_table = nullptr;  // the one of io, attached as well

  // around_turns, if set, is called on the hub's own stack before each turn of a greenlet, and with
  // null after it: every switch goes by that stack then. For libfern_monkey, which moves the thread
  // pointer; thread_pointer is its own, and so is the place of the exception state that it uses.
  FERN_INTERNAL static void (*around_turns)(Hub& hub, const Greenlet* next) noexcept;
  void* thread_pointer = nullptr;
  void use_eh(EhGlobals* live) noexcept { eh_ = live; }

  // While there are watches every switch goes by the hub's own stack.
  SwitchWatch* watches() const noexcept { return watches_; }
  void set_watches(SwitchWatch* first) noexcept {
    watches_ = first;
    switches_ += granted_ - budget_;
    budget_ = granted_ = 1;
  }

  // for_each() calls f for every greenlet that has not ended, main first.
  template <class F>
  void for_each(F&& f) {
    f(main_);
    stacks_.for_each([&](Greenlet& greenlet) {
      if (greenlet.state != State::Free && greenlet.state != State::Dead) f(greenlet);
    });
  }

  // describe() writes a line per greenlet: name, state, what it waits on.
  void describe(std::ostream& out);

  // Bookkeeping of greenlet.cpp.
  void born(Greenlet& unstarted) noexcept {
    ++greenlets_;
    unstarted.pending = birth_pending_;
    unstarted.slow = raw_.trace != nullptr ? slow_traced : 0;
    unstarted.era = era();
  }
  void ended() noexcept;
  void recycle(Greenlet& dead) noexcept;

  std::uint64_t switches() const noexcept { return switches_ + (granted_ - budget_); }
  std::uint64_t polls() const noexcept { return polls_; }
  std::size_t greenlets() const noexcept { return greenlets_; }
  EhGlobals& live_eh() noexcept { return *eh_; }
  std::chrono::nanoseconds exit_limit{std::chrono::seconds(1)};

  // run() is the loop on the hub's own stack.
  [[noreturn]] void run() noexcept;

 private:
  friend struct Registry;
  friend class fern::Hub;

  Hub();
  ~Hub() = delete;
  FERN_INTERNAL static Hub& make();
  FERN_INTERNAL static Hub* forked() noexcept;

  // hub_life.cpp
  void open();
  void close() noexcept;  // the thread ends
  void end_greenlets() noexcept;
  void abandon_greenlets() noexcept;
  void end_extensions() noexcept;
  void bury() noexcept;
  void end_thread() noexcept;

  enum class Fetch : bool { Ahead, Done };
  template <Fetch fetch = Fetch::Ahead>
  Greenlet& first() noexcept;  // who runs now: the first that is ready, or our own stack
  template <Fetch fetch = Fetch::Ahead>
  Greenlet& next() noexcept;  // the same, with a stack
  template <Fetch fetch = Fetch::Ahead>
  void switch_away(Greenlet& from) noexcept;
  template <Fetch fetch = Fetch::Ahead>
  Wake stop(Greenlet& self, const char* what, std::int64_t on, Deadline deadline) noexcept;
  template <Fetch fetch>
  Wake try_to_stop(const char* what, std::int64_t on, Deadline deadline) noexcept;
  void switch_away_until(Greenlet& from, Deadline deadline) noexcept;
  bool may_not_stop(Greenlet& self) noexcept;

  // hub_turn.cpp
  static constexpr std::int64_t slice_ns = 1'000'000;  // ready greenlets run so long between polls
  void turn() noexcept;                                // one round of the hub's own stack
  void rest() noexcept;
  void let_first(std::size_t line) noexcept;  // those who came behind so many
  void wake_idlers() noexcept;
  bool nothing_left() noexcept;
  void take_posts() noexcept;
  void drain_closed() noexcept;
  void housekeeping(std::int64_t now) noexcept;

  // deadlock.cpp
  bool nothing_pending() noexcept;                // nothing of this hub's own can ever wake it
  std::int64_t stuck(std::int64_t now) noexcept;  // until when to sleep then, if not a LoopExit
  void declare_deadlock() noexcept;
  std::int64_t stall_deadline(std::int64_t now) noexcept;
  void report_stall(std::int64_t now) noexcept;

  // The first line is what switching touches.
  ReadyQueue ready_;
  Greenlet* running_ = nullptr;
  std::uint64_t budget_ = 1;  // switches until the hub's own stack has a look
  EhGlobals* eh_ = nullptr;   // this thread's
  std::uint64_t granted_ = 1;
  std::uint64_t switches_ = 0;  // before the current grant

  std::int64_t sliced_at_ = 0;         // steady nanoseconds of the last end of a time slice
  std::int64_t checked_at_ = 0;        // and of the last look at the clock
  std::int64_t polled_at_ = 0;         // and at the loop
  std::uint64_t polled_switches_ = 0;  // how many switches there had been then
  std::size_t told_ = 0;               // how many it woke
  std::uint64_t passes_at_ = 0;        // who is due may pass a line from so many switches on
  std::int64_t trim_at_ = 0;
  std::uint64_t polls_ = 0;
  std::size_t greenlets_ = 0;
  std::size_t external_ = 0;
  // What greenlets are born with: a kill while main waits in end_greenlets.
  std::uint8_t birth_pending_ = 0;
  bool forked_ = false;
  unsigned forks_ = 0;
  Greenlet* survivor_ = nullptr;  // who called fork
  bool awaits_end_ = false;       // main is in wait_all(), and there is something left to do
  bool awaits_end_with_timer_ = false;
  bool stall_reported_ = false;
  std::int64_t ask_at_ = 0;             // do not count threads again before
  std::int64_t stuck_since_ = 0;        // how long nothing has been ready nor pending; 0: not so
  std::int64_t told_stuck_since_ = -1;  // the one that main could not be told by a LoopExit

  Greenlet main_;  // the thread's own stack
  Greenlet own_;   // the hub's
  Stack own_stack_;
  Timers timers_;
  StackPool stacks_;
  std::optional<Loop> loop_;
  Extension* extensions_ = nullptr;
  SwitchWatch* watches_ = nullptr;
  detail::SpinLock idle_lock_;  // for form: only the hub's thread comes here
  detail::WaitQueue idlers_;
  RawSwitches raw_;

  // For other threads.
  alignas(64) std::atomic<detail::Remote*> mailbox_{nullptr};  // newest first
  std::atomic<bool> sleeping_{false};  // in, or about to go into, a poll that blocks
  std::atomic<int> wakers_{0};         // threads between their look at sleeping_ and wake_up
  std::atomic<bool> closed_{true};
  std::atomic<std::uint32_t> era_{0};
  std::atomic<int> thread_{0};
  std::atomic<bool> deadlocked_{false};  // another hub found that all are stuck
  bool waits_stuck_ = false;             // under the registry's mutex: idle and stuck
};

// Where many are ready, blocks and frames are far away: fetches a block, and the first lines of the
// frame of one whose block is there by now. Who yields in a loop needs one line; who comes out of a
// wait has more to do, and often ends. (src/README.md has the figures.)
template <int lines>
__attribute__((always_inline)) inline void look_ahead(const ReadyQueue& ready) noexcept {
  constexpr std::size_t near = 4;
  constexpr std::size_t far = ReadyQueue::foresight;
  __builtin_prefetch(&ready.soon(far));
  const char* frame = static_cast<const char*>(ready.soon(near).context.sp);
#pragma GCC unroll 8
  for (int i = 0; i < lines; ++i) __builtin_prefetch(frame + i * 64);
}

template <Hub::Fetch fetch>
__attribute__((always_inline)) inline Greenlet& Hub::first() noexcept {
  Greenlet* next = &own_;
  if (!ready_.empty() && --budget_ != 0) [[likely]] {
    const bool others = ready_.has_second();
    next = &ready_.pop();
    if (fetch == Fetch::Ahead && others) look_ahead<3>(ready_);
  }
  running_ = next;
  return *next;
}

inline void Hub::ended() noexcept {
  if (--greenlets_ == 0 && birth_pending_ != 0) wake(main_, Wake::Notified);
}

inline void Hub::recycle(Greenlet& dead) noexcept {
  if ((dead.extras & extra_cold) != 0) [[unlikely]]
    forget_cold(dead);
  if ((dead.extras & extra_stack) != 0) [[unlikely]] {
    if (running_ == &dead) {
      let_go_of_stack(dead);
    } else {
      stacks_.give_stack(*dead.stack, dead);
    }
  }
  stacks_.give(&dead);
}

#ifdef FERN_INLINE_SWITCH
// passage() is what the caller jumps with, at once, from one greenlet to the other.
__attribute__((always_inline)) inline detail::Passage passage(Hub& hub, Greenlet& from,
                                                              Greenlet& to) noexcept {
  EhGlobals& live = hub.live_eh();
  eh_copy(from.context.eh, live);
  eh_copy(live, to.context.eh);
  return {to.context.sp, &from.context};
}
#endif

// Whether a hub whose thread ends leaves its greenlets as they are instead of unwinding them: in a
// program of green threads, as its threads would be left.
FERN_INTERNAL extern bool exit_leaves_greenlets;

// live_greenlets() counts those of the thread's hub that have not ended; 0 without a hub.
std::size_t live_greenlets() noexcept;

// Threads of Fern's own that wait for work do not count as somebody who could wake a hub.
FERN_INTERNAL void service_thread_idle(int change) noexcept;

// describe() is one line about a greenlet.
std::string describe(const Greenlet& greenlet);

template <class F>
void StackPool::for_each(F&& f) {
  auto visit = [&](Class& sizes) {
    for (Slab* slab = sizes.slabs; slab != nullptr; slab = slab->next) {
      for (std::uint32_t i = 0; i < slab->used; ++i) f(slab->blocks[i]);
    }
  };
  visit(default_);
  for (Class* sizes = others_; sizes != nullptr; sizes = sizes->next) visit(*sizes);
}

}  // namespace fern::core
