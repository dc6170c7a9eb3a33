#pragma once

// A GreenPile collects what different calls return, in the order in which they were spawned:
//
//   fern::GreenPile<std::string> pile(200);
//   for (auto& url : urls) pile.spawn(fetch, url);
//   for (std::string& body : pile) index(body);
//
// It is a GreenPool, its own or a shared one, and an Imap over what was spawned. Spawning waits
// while the pool is full, so another greenlet may read meanwhile; without one, results wait. A
// read that finds nothing spawned and not handed out is at the end, and may go on after the next
// spawn. ~GreenPile neither waits nor kills. One thread, as the pool. (eventlet's GreenPile.)

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/feed.hpp>
#include <fern/detail/job.hpp>
#include <fern/imap.hpp>
#include <fern/pool.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fern {

template <class T>
class GreenPile {
 public:
  // A pool of its own, of that size; or a shared one, which must outlive the pile.
  explicit GreenPile(std::ptrdiff_t size = 1000) : own_(std::in_place, size), pool_(*own_) {}
  explicit GreenPile(GreenPool& pool) : pool_(pool) {}
  GreenPile(const GreenPile&) = delete;
  GreenPile& operator=(const GreenPile&) = delete;
  ~GreenPile() { feed_->abandon(false); }

  // spawn() is the pool's, for a function that returns what a T is made of.
  template <class Fn, class... Args>
    requires std::is_invocable_r_v<T, std::decay_t<Fn>, std::decay_t<Args>...>
  void spawn(Fn&& f, Args&&... args) {
    using Bound = Work<std::decay_t<Fn>, std::decay_t<Args>...>;
    detail::start_job(*feed_, Bound{std::forward<Fn>(f), {std::forward<Args>(args)...}},
                      [this](auto job) { return pool_.spawn(std::move(job)); });
  }

  // begin(), its iterator and next() are those of Imap.
  auto begin() { return results_.begin(); }
  std::default_sentinel_t end() const noexcept { return {}; }
  T* next(Deadline deadline = {}) { return results_.next(deadline); }

  // waitall() is the pool's: with a shared one it waits for the others' greenlets too.
  bool waitall(Deadline deadline = {}) { return pool_.waitall(deadline); }

 private:
  template <class Fn, class... Args>
  struct Work {
    Fn fn;
    std::tuple<Args...> args;
    decltype(auto) operator()() {
      return std::apply(
          [this](Args&... args) -> decltype(auto) {
            return std::invoke(std::move(fn), std::move(args)...);
          },
          args);
    }
  };

  static detail::Ref<detail::Results<T>> make_feed() {
    using Made = detail::Results<T>;
    detail::Ref<Made> made(
        new Made(detail::Feed::Order::Input, detail::unlimited, detail::unlimited));
    made->complete();
    return made;
  }

  std::optional<GreenPool> own_;
  GreenPool& pool_;
  detail::Ref<detail::Results<T>> feed_ = make_feed();
  Imap<T> results_{feed_};
};

}  // namespace fern
