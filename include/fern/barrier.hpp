#pragma once

// A Barrier lets a number of greenlets go on only when all of them have arrived, round after round:
//
//   fern::Barrier barrier(4, [&] { swap(front, back); });   // the last one does this, alone
//   auto work = [&](int part) {
//     for (int step = 0; step < 100; ++step) {
//       advance(part);
//       barrier.wait();                                     // until the other three are here
//     }
//   };
//
// If one of them cannot come to the end of its wait - it is killed, its deadline passes, a Timeout
// scope ends it, the action throws - the others would wait in vain. So the barrier breaks: each of
// them gets a BrokenBarrier, and so does everybody who arrives later, until reset(). (threading's.)
//
// Greenlets of any hub and plain threads may meet. Destroy it only when every wait() has returned.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/function.hpp>
#include <fern/detail/wait_queue.hpp>

#include <cstddef>

namespace fern {

class FERN_API Barrier {
 public:
  // For so many parties; std::invalid_argument unless it is positive. `action` is called in each
  // round by the last to arrive, before anybody goes on, and may wait; who arrives for the next
  // round meanwhile waits until it has returned.
  explicit Barrier(std::ptrdiff_t parties, detail::Function<void()> action = {});
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  // wait() arrives, blocks until all have, and returns how many were there before it: 0 for the
  // first, parties() - 1 for the last. Throws TimeoutError when the deadline passes first, which
  // breaks the barrier, as a kill does; BrokenBarrier when it is or gets broken, or reset() is
  // called; to the last one, what the action throws; BlockingInHub, and changes nothing, on the
  // hub's own stack.
  std::size_t wait(Deadline deadline = {});

  // abort() breaks it. reset() makes it as new: who waits gets a BrokenBarrier, who comes later
  // does not. Neither switches; from any thread and from Hub::post.
  void abort() noexcept;
  void reset() noexcept;

  bool broken() const noexcept { return (lock_.value() & broken_bit) != 0; }
  std::size_t parties() const noexcept { return parties_; }
  std::size_t n_waiting() const noexcept {  // who have arrived in this round
    return static_cast<std::size_t>(lock_.value() / one);
  }

 private:
  struct Arrival;
  enum class Outcome : unsigned char { None, Passed, Broken };

  // The word: the spin lock's bit, whether it is broken, and the number of arrivals above.
  static constexpr detail::SpinLock::Word broken_bit = 2;
  static constexpr detail::SpinLock::Word one = 4;

  void arrive(Arrival& arrival, Deadline deadline);
  void act();
  void finish(Outcome outcome) noexcept;
  void break_up() noexcept;

  detail::SpinLock lock_;
  detail::WaitQueue queue_;     // who have arrived
  detail::WaitQueue entrance_;  // who wait until the action has ended
  Arrival* first_ = nullptr;    // of the round that is not over
  bool acting_ = false;         // the last to arrive runs the action
  const std::size_t parties_;
  detail::Function<void()> action_;
};

}  // namespace fern
