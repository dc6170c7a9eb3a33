#include "core/end_watch.hpp"
#include "core/wait_queue.hpp"

#include <fern/detail/select_cases.hpp>
#include <fern/errors.hpp>

#include <algorithm>
#include <functional>
#include <span>

namespace fern::detail {

using core::Hub;
using core::Wake;

namespace {

// Where to begin looking: any case, with no pattern that a program could be in step with.
std::size_t random_below(std::size_t count) noexcept {
  static thread_local std::uint64_t state = 0;
  state = state * 6364136223846793005 + 1442695040888963407;
  return (state >> 33) % count;
}

}  // namespace

// Selection is one call. As Go does it: all locks are taken at once, in the order of their
// addresses, to look at all cases. If nothing can be done a waiter goes into the queue of each, and
// after the one park all locks are taken again. Under them no other can meet one of our waiters, so
// whether somebody has, or we may do something ourselves, is seen at a glance.
class Selection {
 public:
  Selection(std::span<Case*> cases, SpinLock** locks, Deadline deadline) noexcept
      : cases_(cases), deadline_(deadline) {
    std::size_t count = 0;
    for (Case* each : cases) {
      if (!each->off_ && each->signal_.lock != nullptr) locks[count++] = each->signal_.lock;
    }
    std::sort(locks, locks + count, std::less<SpinLock*>());
    locks_ = {locks, std::unique(locks, locks + count)};
  }
  Selection(const Selection&) = delete;
  Selection& operator=(const Selection&) = delete;
  ~Selection() { leave(no_case); }

  std::size_t run() {
    Hub::mine();  // a forked child learns who is gone
    lock();
    std::size_t chosen = attempt();
    if (chosen == no_case && deadline_ != Deadline::past()) chosen = wait();
    leave(chosen);
    if (chosen != no_case) cases_[chosen]->finish(deadline_);
    return chosen;
  }

 private:
  void lock() noexcept {
    for (SpinLock* each : locks_) each->lock();
    locked_ = true;
  }

  void unlock() noexcept {
    locked_ = false;
    for (Case* each : cases_) {
      const Signal& signal = each->signal_;
      if (each->off_ || signal.waiters == 0) continue;
      SpinLock::Word rest = signal.lock->value() & ~signal.waiters;
      signal.lock->set(signal.queue->empty() ? rest : rest | signal.waiters);
    }
    for (SpinLock* each : locks_) each->unlock();
  }

  std::size_t attempt() {
    std::size_t start = random_below(cases_.size());
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      std::size_t at = (start + i) % cases_.size();
      if (!cases_[at]->off_ && cases_[at]->attempt()) return at;
    }
    return due();
  }

  // The case whose deadline has passed, the earliest first.
  std::size_t due() const noexcept {
    std::size_t first = no_case;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      const Case& each = *cases_[i];
      if (each.off_ || !each.due_.expired()) continue;
      if (first == no_case || each.due_ < cases_[first]->due_) first = i;
    }
    return first;
  }

  // Nothing can be done at once; the locks are held.
  std::size_t wait() {
    hub_ = Hub::here();
    auto watched = [](Case* each) { return !each->off_ && each->greenlet_ != nullptr; };
    if (hub_ != nullptr && std::none_of(cases_.begin(), cases_.end(), watched)) return park();
    unlock();
    hub_ = &Hub::current();  // takes a while and may throw
    return watch(0);
  }

  // Watches the greenlets among the cases from `at` on: each watch stands on this stack.
  std::size_t watch(std::size_t at) {
    for (; at < cases_.size(); ++at) {
      core::Greenlet* greenlet = cases_[at]->greenlet_;
      if (cases_[at]->off_ || greenlet == nullptr || core::is_dead(*greenlet)) continue;
      core::EndWatch end(
          *greenlet,
          [](void* self) noexcept {
            Hub::wake(*static_cast<core::Greenlet*>(self), Wake::Notified);
          },
          &hub_->running());
      return watch(at + 1);
    }
    // No lock is held any more when the watches go, whatever is thrown.
    struct Leaving {
      Selection& self;
      ~Leaving() { self.leave(no_case); }
    } leaving{*this};
    lock();
    std::size_t chosen = attempt();
    if (chosen == no_case) chosen = park();
    leave(chosen);
    return chosen;
  }

  std::size_t park() {
    if (hub_->on_own_stack()) throw BlockingInHub("select() was called on the hub's own stack");
    link();
    for (;;) {
      sleeper_.sleep();
      unlock();
      Wake why = hub_->try_park("select()", -1, until_);
      lock();
      std::size_t chosen = served();
      if (chosen != no_case) return chosen;
      if (why == Wake::Interrupted) core::throw_pending(hub_->running());
      chosen = attempt();
      if (chosen != no_case || why == Wake::TimedOut) return chosen;
      for (Case* each : cases_) {
        if (each->linked_) each->signal_.queue->renew(each->waiter_);
      }
    }
  }

  void link() noexcept {
    until_ = deadline_;
    for (Case* each : cases_) {
      if (each->off_) continue;
      until_ = std::min(until_, each->due_);
      if (each->signal_.queue == nullptr) continue;
      Waiter& waiter = each->waiter_;
      waiter.greenlet = &hub_->running();
      waiter.hub = hub_;
      if (waiter.watch == nullptr) waiter.sleeper = &sleeper_;
      each->signal_.queue->link(waiter);
      each->linked_ = true;
    }
  }

  // The case that another has done for us.
  std::size_t served() const noexcept {
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      if (cases_[i]->linked_ && cases_[i]->waiter_.served) return i;
    }
    return no_case;
  }

  // Takes everything back but what the chosen case came for.
  void leave(std::size_t chosen) noexcept {
    if (!locked_) return;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      Case& each = *cases_[i];
      if (!each.linked_ || each.waiter_.served) continue;
      if (i == chosen) each.waiter_.notified = false;
      each.signal_.queue->unlink(each.waiter_);
    }
    unlock();
    if (chosen != no_case) cases_[chosen]->unlocked();
    for (Case* each : cases_) {
      if (std::exchange(each->linked_, false)) WaitQueue::stay(each->waiter_, "select()");
    }
  }

  std::span<Case*> cases_;
  std::span<SpinLock*> locks_;
  Deadline deadline_;
  Deadline until_;  // the earliest of the deadlines
  Hub* hub_ = nullptr;
  Sleeper sleeper_;
  bool locked_ = false;
};

std::size_t select_one(Case** cases, SpinLock** locks, std::size_t count, Deadline deadline) {
  return Selection({cases, count}, locks, deadline).run();
}

ReadyCase::ReadyCase(Waitable thing) noexcept
    : Case(WaitableAccess::signal(thing), WaitableAccess::greenlet(thing)),
      thing_(std::move(thing)) {
  waiter_.watch = [](Waiter& waiter) noexcept { Hub::wake(*waiter.greenlet, Wake::Notified); };
}

// What was notified was ready then.
bool ReadyCase::attempt() {
  if (greenlet_ != nullptr) return core::is_dead(*greenlet_);
  return waiter_.notified || signal_.ready();
}

}  // namespace fern::detail
