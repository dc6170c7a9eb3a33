// A hub's own stack, which has its turn when nobody is ready, or now and then: posts are taken, the
// loop is looked at, timers fire.

#include "base/clock.hpp"
#include "core/hub.hpp"
#include "core/registry.hpp"
#include "core/switch_watch.hpp"

#include <algorithm>
#include <limits>

namespace fern::core {
namespace {

constexpr std::int64_t most_unpolled_ns = 100'000'000;  // while those last woken wait
constexpr std::uint64_t most_granted = 1024;            // switches between two looks at the clock
constexpr std::uint64_t first_granted = 1;              // after a rest
constexpr std::int64_t slow_ns = 100'000;               // what a turn takes that takes long
constexpr std::size_t long_line = 9;                    // greenlets
constexpr std::size_t enough_timers = 256;  // then those whom they wake have their turns
constexpr std::int64_t trim_every_ns = 1'000'000'000;
constexpr std::size_t keep_free_stacks = 1024;  // never given back
constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

}  // namespace

void Hub::run() noexcept {
  for (;;) {
    if (watches_ != nullptr) [[unlikely]]
      SwitchWatch::stopped(watches_);
    turn();
    if (ready_.empty()) continue;
    Greenlet* next = &ready_.pop();
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
void Hub::let_first(std::size_t line) noexcept {
  if (ready_.size() <= line || line < long_line || switches_ < passes_at_) return;
  const std::size_t due = ready_.size() - line;
  // Then the line has as many turns: those who sleep again and again would keep it standing.
  passes_at_ = switches_ + 2 * due;
  ready_.put_first(due);
}

void Hub::turn() noexcept {
  if (forked_) [[unlikely]]
    after_fork();
  switches_ += granted_ - budget_;
  budget_ = granted_;
  bool look = true;   // at the loop
  bool slow = false;  // those who had turns since the last one here
  if (!ready_.empty()) {
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
  look |= ready_.empty();
  if (look) told_ = 0;
  if (ready_.empty()) {
    ready_.rewind();
    budget_ = granted_ = first_granted;
    rest();
  } else if (look) {
    loop_->poll(false, never);
  }
  take_posts();
  // After descriptors and posts: an operation that is due together with its deadline wins.
  std::int64_t now = base::now_ns();
  const std::size_t line = ready_.size();
  timers_.expire(now, enough_timers);
  if (slow) [[unlikely]]
    let_first(line);
  housekeeping(now);
  if (ready_.empty() && !idlers_.empty()) wake_idlers();
  if (!ready_.empty()) stuck_since_ = 0;
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
    if (!ready_.empty()) {  // LoopExit
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
  if (!ready_.empty() || mailbox_.load(std::memory_order_relaxed) != nullptr) stuck_since_ = 0;
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

}  // namespace fern::core
