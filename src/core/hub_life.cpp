// How a hub begins and how it ends: its thread returns, leaves from inside a greenlet, or forks.

#include "base/clock.hpp"
#include "core/fault.hpp"
#include "core/hub.hpp"
#include "core/registry.hpp"
#include "core/switch_watch.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cxxabi.h>
#include <exception>
#include <iostream>
#include <limits>
#include <new>
#include <utility>

extern "C" __attribute__((visibility("hidden"))) void* __dso_handle;

namespace fern::core {
namespace {

constexpr std::size_t own_stack_size = 128 * 1024;  // libuv needs up to 17 KiB of it

// In a forked child until its first use of Fern: the hub that it has to set right.
constinit thread_local Hub* forked_hub = nullptr;

bool is_alive(const Greenlet& greenlet) noexcept {
  return greenlet.state != State::Free && greenlet.state != State::Dead;
}

// In the child of a fork: who watched it from other threads does not exist.
void forget_strangers(Greenlet& greenlet) noexcept {
  greenlet.life.fetch_and(~life_watched, std::memory_order_relaxed);
  greenlet.strangers = nullptr;
}

}  // namespace

bool exit_leaves_greenlets = false;

Hub* Hub::forked() noexcept {
  if (forked_hub != nullptr) forked_hub->after_fork();
  return this_hub;
}

Hub* Hub::left() noexcept { return this_hub != nullptr ? this_hub : forked_hub; }

Hub& Hub::make() {
  if (Hub* hub = forked()) return *hub;
  Hub* hub = Registry::take();
  try {
    hub->open();
  } catch (...) {
    Registry::put_back(*hub);
    throw;
  }
  this_hub = hub;
  Registry::opened(*hub);
  // Not a thread_local object: a thread_local's destructor that comes after this one may need a hub
  // again, and that one has to end as well.
  abi::__cxa_thread_atexit([](void* ends) { static_cast<Hub*>(ends)->close(); }, hub,
                           &__dso_handle);
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
  make_room();
  loop_.emplace();
  fault_handler_thread();
  eh_ = eh_globals();
  main_.hub = own_.hub = this;
  main_.state = own_.state = State::Ready;
  main_.life.store(1, std::memory_order_relaxed);
  main_.flags = 0;
  main_.extras = own_.extras = extra_fixed;
  own_.pending = pending_refusal;
  context_adopt(main_.tools);
  stack_reused(own_stack_);
  context_make(own_.context, own_.tools, own_stack_, own_stack_.top);
  running_ = &main_;
  polled_at_ = sliced_at_ = checked_at_ = base::now_ns();
  trim_at_ = 0;
  timers_.expire(polled_at_);
  budget_ = granted_ = 1;
  external_ = 0;  // what the last thread's end has left
  watches_ = nullptr;
  raw_.trace = nullptr;
  main_.slow = 0;
  exit_limit = std::chrono::seconds(1);
  ++era_;
  main_.era = own_.era = era();
  thread_.store(gettid(), std::memory_order_relaxed);
}

// --- the thread's end -------------------------------------------------------------------------

void Hub::close() noexcept {
  if (running_ != &main_ || exit_leaves_greenlets) {
    // exit(), or another end of the thread, inside a greenlet. This may be its stack.
    bool left = closed_.load(std::memory_order_relaxed);
    leave_thread();
    if (left) end_thread();
    return;
  }
  if (forked_) after_fork();
  raw_.trace = nullptr;  // what it needs may be gone
  main_.shields = 1;
  main_.pending = 0;
  main_.kill_exception = nullptr;
  main_.exit.reset();
  for (Greenlet* greenlet : {&main_, &own_}) {
    if (greenlet->locals != nullptr) locals_ended(*greenlet);
  }
  end_greenlets();
  bool all_ended = greenlets_ == 0;
  if (!all_ended) abandon_greenlets();
  main_.shields = 0;
  main_.pending = 0;  // what came meanwhile is not for the next thread's main
  main_.kill_exception = nullptr;
  end_extensions();  // before others may run what is posted
  main_.state = State::Dead;
  std::uint64_t before = main_.life.fetch_or(life_dead, std::memory_order_acq_rel);
  this_hub = nullptr;
  tell_links(main_);
  if ((before & life_watched) != 0) tell_strangers(main_);
  Registry::closed(*this);
  Registry::with_closed(*this, [this] {
    take_posts();
    stacks_.trim(0);
    stacks_.trim(0);
  });
  end_thread();
  delete std::exchange(main_.name, nullptr);
  // Its own count; see reuse(). A hub whose greenlets refused to end keeps them, unused, for ever.
  if (all_ended) release(main_);
}

// What never started is cancelled, the rest is killed and gets exit_limit to unwind. What they
// spawn meanwhile is born with a kill pending.
void Hub::end_greenlets() noexcept {
  birth_pending_ = pending_kill;
  stacks_.for_each([](Greenlet& greenlet) {
    if (is_alive(greenlet)) kill(greenlet, nullptr);
  });
  Deadline limit = exit_limit;
  for (bool late = false; !late;) {
    while (greenlets_ > 0 && !late) {
      late = try_park("end of the thread", -1, limit) == Wake::TimedOut;
    }
    if (late) go_last();  // it may have passed those in line
    if (ready_.empty() && mailbox_.load(std::memory_order_relaxed) == nullptr) break;
    // What was cancelled leaves the ready queue by having its turn; what was posted has its own.
    late = late || limit.expired();
    polled_at_ = sliced_at_ = 0;
    budget_ = 1;
    if (greenlets_ == 0) detail::plain_yield();
  }
  birth_pending_ = 0;
}

void Hub::abandon_greenlets() noexcept {
  std::cerr << "fern: " << greenlets_ << " greenlet(s) did not end within the exit limit:\n";
  for_each([&](Greenlet& greenlet) {
    if (&greenlet != &main_) std::cerr << "fern:   " << core::describe(greenlet) << '\n';
  });
  bury();
}

// Declares all greenlets dead that are not, without unwinding them. Watchers of other threads learn
// it; nothing of the user's runs any more here, and whoever waited here does not go on.
void Hub::bury() noexcept {
  ready_.clear();
  for_each([](Greenlet& greenlet) {
    if (!is_alive(greenlet)) return;
    greenlet.state = State::Dead;
    greenlet.flags |= flag_killed;
    std::uint64_t before = mark_dead(greenlet);
    if ((before & life_watched) != 0) tell_strangers(greenlet);
  });
}

// The thread goes away under a greenlet: by pthread_exit, or with the process. Nobody is unwound.
// A wait that comes after this makes a hub of its own.
void Hub::leave_thread() noexcept {
  if (closed_.load(std::memory_order_relaxed)) return;
  bury();
  end_extensions();
  Registry::closed(*this);
  Registry::with_closed(*this, [this] { take_posts(); });
  this_hub = nullptr;
}

void Hub::attach(Extension& extension) noexcept {
  extension.previous = nullptr;
  extension.next = extensions_;
  if (extensions_ != nullptr) extensions_->previous = &extension;
  extensions_ = &extension;
}

void Hub::detach(Extension& extension) noexcept {
  (extension.previous == nullptr ? extensions_ : extension.previous->next) = extension.next;
  if (extension.next != nullptr) extension.next->previous = extension.previous;
}

void Hub::end_extensions() noexcept {
  fd_table = nullptr;
  while (Extension* first = extensions_) {
    detach(*first);
    first->ended();
  }
}

// The last thing that a hub does in its thread.
void Hub::end_thread() noexcept {
  while (wakers_.load(std::memory_order_seq_cst) > 0) {
  }
  loop_.reset();
  tools_destroyed(own_.tools);
  fault_handler_thread_end();
}

// The last handle of main has gone, or there was none: now another thread may have this hub.
void Hub::reuse() noexcept { Registry::put_back(*this); }

// --- fork -------------------------------------------------------------------------------------

// In the child at once; the rest when the hub is used again, for most children only exec.
void Hub::mark_forked() noexcept {
  forked_ = true;
  survivor_ = running_;
  survivor_->pending |= pending_fork;
  forget_strangers(*survivor_);
  ready_.clear();
  budget_ = granted_ = 1;
  forked_hub = this;
  this_hub = nullptr;
}

// The child has this thread and the greenlet that forked; what the hub had to resume is gone
// without unwinding.
void Hub::after_fork() noexcept {
  forked_ = false;
  survivor_->pending &= static_cast<std::uint8_t>(~pending_fork);
  forked_hub = nullptr;
  this_hub = this;
  ++forks_;
  thread_.store(gettid(), std::memory_order_relaxed);
  external_ = 0;
  greenlets_ = survivor_ == &main_ || survivor_ == &own_ ? 0 : 1;
  mailbox_.store(nullptr, std::memory_order_relaxed);
  bool ready = false;  // the survivor may have yielded; whom else it woke does not exist
  while (!ready_.empty()) ready = &ready_.pop() == survivor_ || ready;
  // By hand one can still switch to those that are suspended; if main is gone, nobody would.
  bool by_hand = survivor_ == &main_ || (is_raw(*survivor_) && main_.state == State::Suspended);
  auto gone = [this, by_hand](Greenlet& greenlet) {
    if (&greenlet == survivor_ || !is_alive(greenlet)) return;
    if (by_hand && (greenlet.state == State::Suspended ||
                    (greenlet.state == State::Unstarted && is_raw(greenlet)))) {
      if (&greenlet != &main_) ++greenlets_;
      forget_strangers(greenlet);
      rearm_timeouts(greenlet);
      return;
    }
    if (greenlet.state == State::Unstarted) forget_start(greenlet);
    greenlet.state = State::Dead;
    greenlet.flags |= flag_killed | flag_read;
    mark_dead(greenlet);
  };
  ::new (&idlers_) detail::WaitQueue;  // of the gone
  timers_.forget();
  rearm_timeouts(*survivor_);
  raw_.nudged.store(false, std::memory_order_relaxed);
  gone(main_);
  stacks_.for_each(gone);
  SwitchWatch::forked(watches_);
  for (Extension* each = extensions_; each != nullptr; each = each->next) each->forked();
  loop_->forked();
  if (ready) push(*survivor_);
}

}  // namespace fern::core
