#pragma once

// A Group is a set of greenlets, to wait for or to kill together:
//
//   fern::Group group;
//   for (auto& host : hosts) group.spawn(probe, host);
//   if (!group.waitall(5s)) group.kill();       // kill() returns when all have ended
//
// Each is a member until it ends. ~Group neither waits nor kills: members go on without it. Use it
// in one thread, that of the hub whose greenlets it holds: elsewhere its functions throw a
// GreenletError. A group that shall limit how many run at once is a GreenPool.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/feed.hpp>
#include <fern/detail/mapping.hpp>
#include <fern/detail/members.hpp>
#include <fern/greenlet.hpp>
#include <fern/imap.hpp>

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace fern {

class FERN_API Group {
 public:
  Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group();

  // spawn() and spawn_raw() are those of greenlet.hpp, for a member. They never switch.
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
  void spawn_raw(Fn&& f, Args&&... args) {
    detail::spawn_raw_member(*members_, std::forward<Fn>(f), std::forward<Args>(args)...);
  }

  // add() makes a greenlet of this thread a member; nothing if it is one, or has ended.
  void add(const AnyGreenlet& greenlet);

  // discard() lets one go on as no member; false if it was none.
  bool discard(const AnyGreenlet& greenlet);
  bool contains(const AnyGreenlet& greenlet) const noexcept;

  std::size_t size() const noexcept;
  bool empty() const noexcept { return size() == 0; }

  // waitall() waits until no member is left; false when the deadline passed first. A member that
  // calls it gets a GreenletError.
  bool waitall(Deadline deadline = {});

  // kill() kills all members, and those who join them meanwhile, and waits until none is left if
  // options.block. Members that never started do not run. A member may call it: it is killed last.
  // Returns whether the group is empty; a passed deadline is no error. (gevent's Group.kill.)
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

  // imap() and imap_unordered() do it lazily, see imap.hpp, with members and without limit: the
  // whole input is read at once. That is for short inputs: GreenPool::imap reads as it goes.
  template <class Fn, class... Ranges>
    requires detail::Mappable<Fn, Ranges...>
  auto imap(Fn&& f, Ranges&&... ranges) {
    return Imap(detail::map_lazily(detail::Feed::Order::Input, detail::unlimited, members_,
                                   std::forward<Fn>(f), std::forward<Ranges>(ranges)...));
  }
  template <class Fn, class... Ranges>
    requires detail::Mappable<Fn, Ranges...>
  auto imap_unordered(Fn&& f, Ranges&&... ranges) {
    return Imap(detail::map_lazily(detail::Feed::Order::Completion, detail::unlimited, members_,
                                   std::forward<Fn>(f), std::forward<Ranges>(ranges)...));
  }

 private:
  detail::Members* members_;  // counted: outlives the group while it has members
};

}  // namespace fern
