#pragma once

// Waiting for several things of whatever kind: greenlets, events, semaphores, results.
//
//   fern::Event stop;
//   auto ready = fern::wait({worker, stop}, {.deadline = 5s, .count = 1});
//   if (ready.empty()) return late();
//   if (ready[0] == stop) worker.kill();
//
//   for (auto& fetch : fern::iwait(fetches, 10s)) show(fetch.get());   // in order of completion
//
// A greenlet is ready when it has ended, an Event while it is set, an AsyncResult once something
// was set. A Semaphore is ready when it has a permit; waiting takes none. What was ready once,
// while somebody waited for it here, counts as ready, even if it is not any more: an Event that
// was set and cleared, say. select() waits for one of several things and acts on it.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/async_state.hpp>
#include <fern/detail/wait_queue.hpp>
#include <fern/greenlet.hpp>
#include <fern/wait.hpp>

#include <compare>
#include <concepts>
#include <cstddef>
#include <exception>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace fern {

class Event;
class Semaphore;
template <class T>
class AsyncResult;

namespace detail {

// Signal is what an object of sync is to those who only look: a lock whose word says whether it is
// ready, and the queue under it.
struct Signal {
  SpinLock* lock = nullptr;
  WaitQueue* queue = nullptr;
  SpinLock::Word ready_from = 0;  // ready if the word is not less
  SpinLock::Word waiters = 0;     // a bit of the word: whether the queue is not empty
  bool ready() const noexcept { return lock->value() >= ready_from; }
};

struct WaitableAccess;

}  // namespace detail

// Waitable refers to something that can be waited for; made from it implicitly, for lists of
// several kinds. An Event or Semaphore has to stay where it is until it was handed out; of a
// greenlet and of an AsyncResult it is one more handle.
class FERN_API Waitable {
 public:
  Waitable(Event& event) noexcept;
  Waitable(Semaphore& semaphore) noexcept;
  Waitable(AnyGreenlet greenlet);  // throws GreenletError for a handle of nothing
  template <class T>
  Waitable(const AsyncResult<T>& result) : Waitable(share(result)) {}

  // ready() asks whether it is ready now.
  bool ready() const noexcept;

  // exception() is what ended the greenlet, or was set instead of a value; null if nothing was.
  std::exception_ptr exception() const noexcept;

  // Equal are those that refer to the same thing.
  friend bool operator==(const Waitable& a, const Waitable& b) noexcept {
    return a.signal_.lock == b.signal_.lock && a.greenlet_ == b.greenlet_;
  }

 private:
  friend struct detail::WaitableAccess;
  explicit Waitable(std::shared_ptr<detail::AsyncState> result) noexcept;

  template <class T>
  static std::shared_ptr<detail::AsyncState> share(const AsyncResult<T>& result) {
    result.state();
    return result.state_;
  }

  detail::Signal signal_;  // of all but a greenlet
  std::shared_ptr<detail::AsyncState> result_;
  AnyGreenlet greenlet_;
};

namespace detail {

struct WaitableAccess {
  static const Signal& signal(const Waitable& thing) noexcept { return thing.signal_; }
  static core::Greenlet* greenlet(const Waitable& thing) noexcept {
    return Access::block(thing.greenlet_);
  }
};

// Watch tells in which order several Waitables become ready. It stays with one greenlet.
class FERN_API Watch {
 public:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  explicit Watch(std::vector<Waitable> things);  // those that are ready come first, in their order
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();

  // next() waits for the next one and gives its index, each once; none when all were given, or
  // when the deadline passes first.
  std::size_t next(Deadline deadline);

 private:
  struct Watched;
  struct State;
  std::unique_ptr<State> state_;
};

FERN_API std::vector<std::size_t> wait_many(std::vector<Waitable> things,
                                            const JoinOptions& options);

template <class Element>
  requires std::convertible_to<Element&, Waitable>
Waitable waitable(Element& element) {
  return element;
}
template <class Element>
  requires std::convertible_to<Element&, Waitable>
Waitable waitable(Element* element) {
  return *element;
}

template <class Element>
std::vector<Waitable> waitables(std::vector<Element>& elements) {
  std::vector<Waitable> all;
  all.reserve(elements.size());
  for (Element& element : elements) all.push_back(waitable(element));
  return all;
}

}  // namespace detail

// A range of handles, of results, of pointers to events or semaphores, or of Waitables.
template <class Range>
concept WaitableRange =
    std::ranges::forward_range<const Range> &&
    requires(std::ranges::range_value_t<Range>& element) { detail::waitable(element); };

// wait() waits until all are ready, or options.count of them, or the deadline has passed, and
// returns those that are: first the ones that were before the call, in the range's order, then the
// others in the order in which they became ready. With raise_error it rethrows the first failure
// of a greenlet or result. (gevent's wait.) Throws BlockingInHub. A kill ends the wait.
template <WaitableRange Range>
auto wait(const Range& range, const JoinOptions& options = {}) {
  using Element = std::ranges::range_value_t<Range>;
  std::vector<Element> all(std::ranges::begin(range), std::ranges::end(range));
  std::vector<Element> ready;
  for (std::size_t i : detail::wait_many(detail::waitables(all), options)) ready.push_back(all[i]);
  return ready;
}

inline std::vector<Waitable> wait(std::initializer_list<Waitable> things,
                                  const JoinOptions& options = {}) {
  return wait(std::vector<Waitable>(things), options);
}

// Iwait is what iwait() returns: a view that is moved, never copied, and read once, in the greenlet
// that made it. It may be left half-way.
template <class Element>
class Iwait : public std::ranges::view_base {
  struct State;

 public:
  class Iterator {
   public:
    using value_type = Element;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    // *it and it == end wait for the next that is ready, whichever comes first; ++it does not.
    Element& operator*() const { return state_->elements[state_->arrive()]; }
    Element* operator->() const { return &**this; }
    Iterator& operator++() {
      state_->arrive();  // one that nobody has looked at is passed over
      state_->arrived = false;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) {
      return it.state_->arrive() == detail::Watch::none;
    }

   private:
    friend class Iwait;
    explicit Iterator(State* state) noexcept : state_(state) {}
    State* state_;
  };

  Iwait(std::vector<Element> elements, Deadline deadline)
      : state_(std::make_unique<State>(std::move(elements), deadline)) {}

  // begin() is where it stands: at the first that is ready, or at the last that was handed out.
  Iterator begin() noexcept { return Iterator(state_.get()); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  struct State {
    State(std::vector<Element> all, Deadline deadline)
        : elements(std::move(all)), watch(detail::waitables(elements)), deadline(deadline) {}
    std::size_t arrive() {
      if (!arrived) at = watch.next(deadline);
      arrived = true;
      return at;
    }
    std::vector<Element> elements;
    detail::Watch watch;
    Deadline deadline;
    std::size_t at = detail::Watch::none;
    bool arrived = false;  // `at` is where it stands
  };
  std::unique_ptr<State> state_;
};

// iwait() hands out what becomes ready, as it does: what is ready already comes first, in the
// range's order. It ends when all were handed out, and, without a word, when the deadline passes
// first. A wait that is killed loses nothing: the next is for the same. (gevent's iwait.)
template <WaitableRange Range>
auto iwait(const Range& range, Deadline deadline = {}) {
  using Element = std::ranges::range_value_t<Range>;
  return Iwait<Element>(std::vector<Element>(std::ranges::begin(range), std::ranges::end(range)),
                        deadline);
}

inline Iwait<Waitable> iwait(std::initializer_list<Waitable> things, Deadline deadline = {}) {
  return iwait(std::vector<Waitable>(things), deadline);
}

}  // namespace fern
