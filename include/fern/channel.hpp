#pragma once

// A Channel hands values from greenlet to greenlet and keeps none: put() waits for a getter, get()
// for a putter. (gevent's Channel, Go's unbuffered channel.)
//
//   fern::Channel<Frame> frames;
//   auto player = fern::spawn([&] {
//     for (Frame& frame : frames) show(frame);   // until it is closed
//   });
//   while (auto frame = decode()) frames.put(*frame);   // never ahead of the player
//   frames.close();
//   player.join();
//
// When both are there the getter goes on first, then the putter. Each side is served first come
// first. With select() a greenlet waits for several channels at once.
//
// A put() that returns has handed its value to a get() that returns it, whatever happens to the
// two greenlets meanwhile; one that is killed, late or refused has handed over nothing, and its
// value is as it was. A kill that comes after the hand-over is met at the next wait.
//
// Any greenlet of any hub, any plain thread and any Hub::post callback may call any of this, but
// where a call would have to park on the hub's own stack it throws BlockingInHub. Moving a T runs
// under the channel's lock: it may neither wait nor use the channel. Destroy it only when nobody
// waits in it any more.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/queue_core.hpp>
#include <fern/errors.hpp>

#include <cstddef>
#include <iterator>
#include <optional>
#include <ranges>
#include <utility>

namespace fern {

template <class T>
class Channel {
 public:
  using value_type = T;
  using Iterator = detail::Getting<Channel, T>;

  Channel() : core_(0) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // put() hands a value to a getter, waiting for one if need be. Throws QueueFull when the deadline
  // passes first, QueueClosed when the channel is closed or gets closed meanwhile. It lets a getter
  // of its own hub go on before it returns.
  void put(T&& value, Deadline deadline = {}) {
    core_.check_put(core_.meet_here(Side::Put, &value, hand_over, deadline));
  }
  void put(const T& value, Deadline deadline = {}) { put(T(value), deadline); }

  // try_put() hands a value to a getter that waits already, if there is one; never switches. Throws
  // QueueClosed.
  bool try_put(T&& value) {
    Outcome outcome = core_.meet(Side::Put, &value, hand_over, Deadline::past());
    if (outcome == Outcome::Late) return false;
    core_.check_put(outcome);
    return true;
  }
  bool try_put(const T& value) { return try_put(T(value)); }

  // get() takes a putter's value, waiting for one if need be. Throws QueueEmpty when the deadline
  // passes first, QueueClosed when the channel is closed or gets closed meanwhile. What a putter
  // holds ready is taken without a switch.
  T get(Deadline deadline = {}) {
    std::optional<T> value;
    core_.check_get(core_.meet_here(Side::Get, &value, hand_over, deadline));
    return *std::move(value);
  }

  // try_get() takes the value of a putter that waits already, if there is one; never switches.
  std::optional<T> try_get() {
    std::optional<T> value;
    core_.meet(Side::Get, &value, hand_over, Deadline::past());
    return value;
  }

  // balance() is how many putters wait, or, below zero, how many getters; counts them.
  std::ptrdiff_t balance() const { return core_.balance(); }

  // size() is 0, empty() and full() are true: nothing stays in it.
  std::size_t size() const noexcept { return 0; }
  bool empty() const noexcept { return true; }
  bool full() const noexcept { return true; }

  // close() ends the channel: put() and get() throw QueueClosed from now on, also where they wait
  // already. Idempotent; never switches.
  void close() noexcept { core_.close(); }
  bool closed() const noexcept { return core_.closed(); }

  // begin() and end() make `for (T& value : channel)` take values, waiting for each, until it is
  // closed. The iterators are those of a Queue. Several may iterate at once.
  Iterator begin() noexcept { return Iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend Iterator;
  friend detail::QueueAccess;
  using Outcome = detail::QueueCore::Outcome;
  using Side = detail::QueueCore::Side;

  static constexpr detail::QueueCore::Move hand_over = detail::QueueAccess::hand_over<T>;

  Outcome remove(std::optional<T>& into, Deadline deadline) {
    return core_.meet_here(Side::Get, &into, hand_over, deadline);
  }

  mutable detail::QueueCore core_;
};

}  // namespace fern

// What comes out of it is not counted by size().
template <class T>
inline constexpr bool std::ranges::disable_sized_range<fern::Channel<T>> = true;
