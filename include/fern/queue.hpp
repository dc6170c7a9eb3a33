#pragma once

// A Queue passes values between greenlets. get() waits while it is empty, put() while it is full.
//
//   fern::Queue<Url> todo(100);           // at most 100 wait in it
//   auto worker = fern::spawn([&] {
//     for (Url& url : todo) fetch(url);   // until it is closed and empty
//   });
//   for (Url& url : start) todo.put(url);
//   todo.close();
//   worker.join();
//
// Queue<T>() has no limit; Queue<T>(0) is a rendezvous: a put ends when a getter has taken the
// value, and the getter goes on first. LifoQueue gives the youngest first, PriorityQueue whatever
// Compare puts first, by default the least.
//
// Getters are served first come first, and so are putters, but nothing is handed over: a greenlet
// that runs before a woken getter may take the value, and that one waits on in its place. What can
// be done at once never switches. (gevent's.) Killed, or ended by a Timeout, a get() has taken
// nothing and a put() has put nothing.
//
// Any greenlet of any hub, any plain thread and any Hub::post callback may call any of this, but
// where a call would have to park on the hub's own stack it throws BlockingInHub. Moving a T, and
// Compare, run under the queue's lock: they may neither wait nor use the queue. Destroy it only
// when nobody waits in it any more.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/queue_core.hpp>
#include <fern/errors.hpp>

#include <cstddef>
#include <functional>
#include <iterator>
#include <optional>
#include <ranges>
#include <utility>

namespace fern {

template <class T, class Items = detail::Fifo<T>>
class Queue {
 public:
  using value_type = T;
  using Iterator = detail::Getting<Queue, T>;

  // Without a limit.
  Queue() = default;
  // With one; std::invalid_argument when it is negative.
  explicit Queue(std::ptrdiff_t capacity) : core_(capacity) {}
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // put() adds a value, waiting for room if need be. Throws QueueFull when the deadline passes
  // first, QueueClosed when the queue is closed or gets closed meanwhile; `value` is then as it
  // was.
  void put(T&& value, Deadline deadline = {}) { core_.check_put(add(value, deadline)); }
  void put(const T& value, Deadline deadline = {}) { put(T(value), deadline); }

  // try_put() adds a value if there is room, into a rendezvous if a getter waits; never switches.
  // Throws QueueClosed.
  bool try_put(T&& value) {
    Outcome outcome = add(value, Deadline::past());
    if (outcome == Outcome::Late) return false;
    core_.check_put(outcome);
    return true;
  }
  bool try_put(const T& value) { return try_put(T(value)); }

  // get() removes a value, waiting for one if need be. Throws QueueEmpty when the deadline passes
  // first, QueueClosed when the queue is closed and empty.
  T get(Deadline deadline = {}) {
    return core_.rendezvous() ? get_offered(deadline) : get_kept(deadline);
  }

  // try_get() removes a value if there is one; never switches.
  std::optional<T> try_get() {
    std::optional<T> value;
    remove(value, Deadline::past());
    return value;
  }

  // size() is how many values are in it; what the putters of a rendezvous offer does not count.
  // empty() and full() say whether get() or put() would have to wait, a rendezvous both.
  std::size_t size() const noexcept { return core_.size(); }
  bool empty() const noexcept { return size() == 0; }
  bool full() const noexcept { return size() >= core_.capacity(); }

  // task_done() says that a value got from the queue has been dealt with. Throws std::logic_error
  // when it is called more often than values were put.
  void task_done() { core_.task_done(); }

  // join() waits until task_done() was called for every value put; false when the deadline passes
  // first.
  bool join(Deadline deadline = {}) { return core_.join(deadline); }

  // close() ends the queue: put() throws QueueClosed from now on, also where it waits already;
  // get() does so once what is left has been taken. Idempotent; never switches.
  void close() noexcept { core_.close(); }
  bool closed() const noexcept { return core_.closed(); }

  // begin() and end() make `for (T& value : queue)` take values, waiting for each, until the queue
  // is closed and empty. A value lives until ++it. The taking is in `it != end` and in *it,
  // whichever comes first: std::views::take(2) of a queue takes two. Several may iterate at once.
  Iterator begin() noexcept { return Iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend Iterator;
  friend detail::QueueAccess;
  using Outcome = detail::QueueCore::Outcome;
  using Side = detail::QueueCore::Side;

  T get_kept(Deadline deadline) {
    detail::QueueCore::Change change(core_);
    core_.check_get(core_.wait_item(deadline));
    T value(std::move(items_.next()));
    items_.drop();
    change.took();
    return value;
  }
  T get_offered(Deadline deadline) {
    std::optional<T> value;
    core_.check_get(remove(value, deadline));
    return *std::move(value);
  }

  Outcome add(T& value, Deadline deadline) {
    if (core_.rendezvous())
      return core_.meet(Side::Put, &value, detail::QueueAccess::hand_over<T>, deadline);
    detail::QueueCore::Change change(core_);
    Outcome outcome = core_.wait_room(deadline);
    if (outcome == Outcome::Ok) {
      items_.put(std::move(value));
      change.put();
    }
    return outcome;
  }

  Outcome remove(std::optional<T>& into, Deadline deadline) {
    if (core_.rendezvous())
      return core_.meet(Side::Get, &into, detail::QueueAccess::hand_over<T>, deadline);
    detail::QueueCore::Change change(core_);
    Outcome outcome = core_.wait_item(deadline);
    if (outcome == Outcome::Ok) {
      detail::QueueAccess::take(*this, into);
      change.took();
    }
    return outcome;
  }

  detail::QueueCore core_;
  Items items_;
};

// LifoQueue gives what was put last; PriorityQueue what Compare puts first.
template <class T>
using LifoQueue = Queue<T, detail::Lifo<T>>;
template <class T, class Compare = std::less<T>>
using PriorityQueue = Queue<T, detail::Heap<T, Compare>>;

}  // namespace fern

// What comes out of it is not counted by size().
template <class T, class Items>
inline constexpr bool std::ranges::disable_sized_range<fern::Queue<T, Items>> = true;
