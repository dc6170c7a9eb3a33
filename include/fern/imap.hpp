#pragma once

// imap calls a function with each element of a range, in greenlets, many at a time, and hands out
// the results lazily, as an input range:
//
//   fern::GreenPool pool(200);
//   for (Page& page : pool.imap(fetch, urls)) std::cout << page.title << '\n';
//
//   auto long_ones = pool.imap_unordered(fetch, urls) | std::views::filter(is_long);
//
// imap is in the order of its input, imap_unordered in that of completion. With a GreenPool of
// size n at most n calls are under way, in private greenlets (the pool's own places stay free),
// and at most n + 1 elements are read and not yet handed out: a slow consumer slows the reading.
// Reading is done by a greenlet that starts when the caller next waits.
//
// Elements: a range given as an lvalue is referenced and must outlive the Imap; an rvalue is moved
// into it. Each element is copied into its call, or moved if the range was moved in; the function
// is copied once, called by several greenlets at once, and must return something. Several ranges
// are read in step to the end of the shortest: pool.imap(f, hosts, ports) calls f(host, port).
//
// The wait is in `it != end` and in *it, whichever comes first, but not in ++it:
// std::views::take(3) of an imap waits for three results and no fourth.
//
// Failures: *it throws what the call threw, or GreenletKilled if its greenlet was killed, and ++it
// goes on to the next. What the range itself throws comes after the last result, then the end:
//
//   for (auto it = results.begin(); it != results.end(); ++it) {
//     try {
//       use(*it);
//     } catch (const std::exception& error) {
//       report(error);
//     }
//   }
//
// An Imap that goes half-way abandons the rest: nothing more is read, calls that have not started
// are dropped, those under way run on, and nobody waits for them. If the range itself is waiting
// just then (it reads from a socket, say), that wait is killed, and the destructor stays until it
// has let go of the range. Failures that nobody saw are printed, as those of any greenlet.
//
// All of it is in one thread, that of the hub it was made in.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/feed.hpp>
#include <fern/detail/job.hpp>

#include <cstddef>
#include <iterator>
#include <memory>
#include <ranges>
#include <utility>

namespace fern {

// Imap<T> is the range of results: a view that is moved, never copied, and read once. T is what
// the function returns, without references. A wait that ends by a kill or an expired Timeout loses
// nothing: the next one is for the same result again.
template <class T>
class Imap : public std::ranges::view_base {
 public:
  class Iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    Iterator(Iterator&&) noexcept = default;
    Iterator& operator=(Iterator&&) noexcept = default;

    // *it waits for the result, which is valid until ++it; throws what the call threw.
    T& operator*() const {
      feed_->arrive({});
      return feed_->value();
    }
    T* operator->() const { return std::addressof(**this); }

    // ++it gives the result back and goes on to the next, without waiting for it. A result that
    // was not looked at is waited for, and passed over.
    Iterator& operator++() {
      feed_->arrive({});
      feed_->step();
      return *this;
    }
    void operator++(int) { ++*this; }

    // it == end waits until there is a result, or none any more.
    friend bool operator==(const Iterator& it, std::default_sentinel_t) {
      it.feed_->arrive({});
      return it.feed_->done();
    }

   private:
    friend class Imap;
    explicit Iterator(detail::Results<T>* feed) noexcept : feed_(feed) {}
    detail::Results<T>* feed_;
  };

  explicit Imap(detail::Ref<detail::Results<T>> feed) noexcept : feed_(std::move(feed)) {}
  Imap(Imap&&) noexcept = default;
  Imap& operator=(Imap&& other) noexcept {
    if (this != &other) {
      abandon();
      feed_ = std::move(other.feed_);
    }
    return *this;
  }
  ~Imap() { abandon(); }

  // begin() is where it stands: at the first result, or at the one that was read last.
  Iterator begin() {
    if (feed_->done()) feed_->step();  // a pile goes on after an end
    return Iterator(feed_.get());
  }
  std::default_sentinel_t end() const noexcept { return {}; }

  // next() waits for the next result and points to it, valid until the next call; null at the end.
  // Throws what the call threw, and TimeoutError when the deadline passes first: call it again.
  T* next(Deadline deadline = {}) {
    feed_->advance(deadline);
    return feed_->done() ? nullptr : std::addressof(feed_->value());
  }

 private:
  void abandon() noexcept {
    if (feed_) feed_->abandon(true);
  }

  detail::Ref<detail::Results<T>> feed_;
};

}  // namespace fern
