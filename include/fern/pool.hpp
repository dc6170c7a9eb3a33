#pragma once

// A GreenPool is a Group with a limit: spawn waits while the pool is full.
//
//   fern::GreenPool pool(200);
//   while (auto job = next_job()) pool.spawn_raw(work, std::move(*job));   // 200 at a time
//   pool.waitall();
//
//   for (auto& page : pool.imap(fetch, urls)) index(page);                 // see imap.hpp
//
// Whoever waits for a place gets one in turn: first come, first served. A member that spawns into
// its own full pool would wait for itself, so the function then runs at once, inside of spawn, in
// the caller's greenlet (eventlet does so). ~GreenPool neither waits nor kills. Use a pool in one
// thread, that of the hub whose greenlets it holds: elsewhere its functions throw a GreenletError.
//
// Killed while it waits in spawn, a greenlet unwinds and spawns nothing.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/feed.hpp>
#include <fern/detail/mapping.hpp>
#include <fern/detail/members.hpp>
#include <fern/greenlet.hpp>
#include <fern/imap.hpp>

#include <concepts>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fern {

class FERN_API GreenPool {
 public:
  // Size 0 is a pool that is always full. Negative throws std::invalid_argument.
  explicit GreenPool(std::ptrdiff_t size = 1000);
  GreenPool(const GreenPool&) = delete;
  GreenPool& operator=(const GreenPool&) = delete;
  ~GreenPool();

  // spawn() is that of greenlet.hpp, for a member; it waits for a place first. With a deadline it
  // throws TimeoutError if the pool stayed full until then. (eventlet's spawn.)
  template <class Fn, class... Args>
    requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
  auto spawn(Fn&& f, Args&&... args) {
    return detail::spawn_member(*members_, {}, {}, std::forward<Fn>(f),
                                std::forward<Args>(args)...);
  }
  template <class Fn, class... Args>
    requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
  auto spawn(const SpawnOptions& options, Fn&& f, Args&&... args) {
    return detail::spawn_member(*members_, {}, options, std::forward<Fn>(f),
                                std::forward<Args>(args)...);
  }
  template <class Fn, class... Args>
    requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
  auto spawn(Deadline deadline, Fn&& f, Args&&... args) {
    return detail::spawn_member(*members_, deadline, {}, std::forward<Fn>(f),
                                std::forward<Args>(args)...);
  }

  // spawn_raw() is spawn() without a handle. (eventlet's spawn_n.)
  template <class Fn, class... Args>
    requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
  void spawn_raw(Fn&& f, Args&&... args) {
    detail::spawn_raw_member(*members_, std::forward<Fn>(f), std::forward<Args>(args)...);
  }

  // add() makes a greenlet of this thread a member, waiting for a place first; nothing if it is
  // one, or has ended. Throws TimeoutError as spawn(), and GreenletError if a member calls it and
  // the pool is full.
  void add(const AnyGreenlet& greenlet, Deadline deadline = {});

  // discard() lets one go on as no member; false if it was none.
  bool discard(const AnyGreenlet& greenlet);
  bool contains(const AnyGreenlet& greenlet) const noexcept;

  std::size_t size() const noexcept;     // how many may run
  std::size_t running() const noexcept;  // members
  std::size_t free() const noexcept;     // places left
  std::size_t waiting() const noexcept;  // who wait for a place

  // wait_available() waits until there is a place and takes none. It gives the number of places,
  // which is 0 when the deadline passes first or another took the one that it was woken for.
  std::size_t wait_available(Deadline deadline = {});

  // resize() changes the size: places that are new are given out at once; when there are too many
  // members now, nobody gets one until enough have ended. Negative throws std::invalid_argument.
  void resize(std::ptrdiff_t size);

  // waitall() waits until no member is left; false when the deadline passed first. A member that
  // calls it gets a GreenletError.
  bool waitall(Deadline deadline = {});

  // kill() kills all members, as Group::kill().
  bool kill(const KillOptions& options = {});

  // apply() calls f in a member and waits for what it returns; throws as Greenlet::get. A member
  // that calls it is one already, so f is called at once, in the caller's greenlet. A caller that
  // is killed leaves the member running. (gevent's.)
  template <class Fn, class... Args>
    requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
  auto apply(Fn&& f, Args&&... args) {
    return detail::apply_in_member(*members_, std::forward<Fn>(f), std::forward<Args>(args)...);
  }

  // map() calls f with each element, a member for each, and returns all results in order. The
  // first failure in that order is thrown, and the others run on. Ranges as in imap.hpp.
  template <class Fn, class... Ranges>
    requires detail::Mappable<Fn, Ranges...>
  auto map(Fn&& f, Ranges&&... ranges) {
    return detail::map_eagerly(detail::unlimited, members_, std::forward<Fn>(f),
                               std::forward<Ranges>(ranges)...);
  }

  // imap() and imap_unordered() do it lazily, in as many private greenlets as the pool's size is
  // now: see imap.hpp.
  template <class Fn, class... Ranges>
    requires detail::Mappable<Fn, Ranges...>
  auto imap(Fn&& f, Ranges&&... ranges) {
    return Imap(detail::map_lazily(detail::Feed::Order::Input, size(), nullptr, std::forward<Fn>(f),
                                   std::forward<Ranges>(ranges)...));
  }
  template <class Fn, class... Ranges>
    requires detail::Mappable<Fn, Ranges...>
  auto imap_unordered(Fn&& f, Ranges&&... ranges) {
    return Imap(detail::map_lazily(detail::Feed::Order::Completion, size(), nullptr,
                                   std::forward<Fn>(f), std::forward<Ranges>(ranges)...));
  }

  // starmap() is imap() over tuples, each of which is all the arguments of a call.
  template <class Fn, class Range>
    requires detail::Mappable<detail::Spread<std::decay_t<Fn>>, Range>
  auto starmap(Fn&& f, Range&& tuples) {
    return imap(detail::Spread<std::decay_t<Fn>>{std::forward<Fn>(f)}, std::forward<Range>(tuples));
  }

 private:
  detail::Members* members_;  // counted: outlives the pool while it has members
};

}  // namespace fern
