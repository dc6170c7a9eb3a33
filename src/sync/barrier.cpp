#include "core/hub.hpp"

#include <fern/barrier.hpp>
#include <fern/errors.hpp>

#include <mutex>
#include <stdexcept>
#include <utility>

namespace fern {

using Word = detail::SpinLock::Word;

// One who is in wait(), on its stack; in the list of its round from its arrival until the outcome.
struct Barrier::Arrival {
  explicit Arrival(Barrier& barrier) noexcept : barrier(barrier) {}
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;
  ~Arrival() {
    if (outcome != Outcome::None) return;
    barrier.break_up();
  }

  Barrier& barrier;
  Arrival* next = nullptr;
  std::size_t index = 0;
  Outcome outcome = Outcome::None;
};

Barrier::Barrier(std::ptrdiff_t parties, detail::Function<void()> action)
    : parties_(static_cast<std::size_t>(parties)), action_(std::move(action)) {
  if (parties <= 0) throw std::invalid_argument("Barrier: the number of parties must be positive");
}

std::size_t Barrier::wait(Deadline deadline) {
  if (core::Hub::current().on_own_stack()) {
    throw BlockingInHub("Barrier::wait() was called on the hub's own stack");
  }
  std::lock_guard hold(lock_);
  Arrival arrival(*this);
  arrive(arrival, deadline);
  if (arrival.outcome == Outcome::Broken) throw BrokenBarrier();
  return arrival.index;
}

// Until the outcome, unless it throws.
void Barrier::arrive(Arrival& arrival, Deadline deadline) {
  auto late = [] { return TimeoutError("the other parties of the barrier did not come in time"); };
  auto open = [this](bool) { return !acting_ || broken(); };
  if (!entrance_.wait(lock_, deadline, "Barrier::wait()", open)) throw late();
  if (broken()) {
    arrival.outcome = Outcome::Broken;
    return;
  }
  arrival.index = n_waiting();
  arrival.next = std::exchange(first_, &arrival);
  lock_.set(lock_.value() + one);
  if (n_waiting() == parties_) {
    if (action_) act();
    if (arrival.outcome == Outcome::None) finish(Outcome::Passed);
    return;
  }
  auto over = [&](bool) { return arrival.outcome != Outcome::None; };
  if (!queue_.wait(lock_, deadline, "Barrier::wait()", over)) throw late();
}

void Barrier::act() {
  acting_ = true;
  lock_.unlock();
  struct Acted {
    Barrier& barrier;
    ~Acted() {
      barrier.lock_.lock();
      barrier.acting_ = false;
      barrier.entrance_.notify_all();
    }
  } acted{*this};
  action_();
}

// Ends the round for all who have arrived.
void Barrier::finish(Outcome outcome) noexcept {
  for (Arrival* each = first_; each != nullptr; each = each->next) each->outcome = outcome;
  first_ = nullptr;
  lock_.set(lock_.value() & broken_bit);
  queue_.notify_all();
}

void Barrier::break_up() noexcept {
  lock_.set(lock_.value() | broken_bit);
  finish(Outcome::Broken);
  entrance_.notify_all();
}

void Barrier::abort() noexcept {
  std::lock_guard hold(lock_);
  break_up();
}

void Barrier::reset() noexcept {
  std::lock_guard hold(lock_);
  lock_.set(0);
  finish(Outcome::Broken);
}

}  // namespace fern
