#pragma once

// Waiting for many greenlets at once, and stopping them.
//
//   std::vector<fern::Greenlet<Page>> fetches;
//   for (auto& url : urls) fetches.push_back(fern::spawn(fetch, url));
//   auto done = fern::joinall(fetches, {.deadline = 5s});
//   if (done.size() < fetches.size()) fern::killall(fetches);

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/greenlet.hpp>

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <ranges>
#include <vector>

namespace fern {

struct JoinOptions {
  Deadline deadline = {};    // return what has ended by then
  bool raise_error = false;  // rethrow the first failure, in order of completion
  std::size_t count = std::numeric_limits<std::size_t>::max();  // return when so many have ended
};

namespace detail {
FERN_API std::vector<std::size_t> join_many(const std::vector<core::Greenlet*>& blocks,
                                            const JoinOptions& options);
FERN_API bool kill_many(const std::vector<core::Greenlet*>& blocks, const KillOptions& options);

template <class Range>
std::vector<core::Greenlet*> blocks_of(const Range& range) {
  std::vector<core::Greenlet*> blocks;
  if constexpr (std::ranges::sized_range<const Range>) blocks.reserve(std::ranges::size(range));
  for (const auto& handle : range) blocks.push_back(Access::block(handle));
  return blocks;
}
}  // namespace detail

template <class Range>
concept GreenletRange = std::ranges::forward_range<const Range> &&
                        std::derived_from<std::ranges::range_value_t<Range>, AnyGreenlet>;

// joinall() waits until all have ended, or options.count of them, or the deadline has passed, and
// returns handles to those that have: first the ones that had ended before the call, in the
// range's order, then the others in the order in which they ended. A failure is rethrown only
// with raise_error; the others run on. It goes on where a joiner of the last one it waited for
// would. An empty handle or the calling greenlet among them is a GreenletError at once, whatever
// the options. From any thread; greenlets of other threads count from when this one hears of
// their end. A kill ends the wait; BlockingInHub on the hub's own stack. (gevent's joinall.)
template <GreenletRange Range>
auto joinall(const Range& range, const JoinOptions& options = {}) {
  using Handle = std::ranges::range_value_t<Range>;
  std::vector<Handle> handles(std::ranges::begin(range), std::ranges::end(range));
  std::vector<Handle> ended;
  for (std::size_t i : detail::join_many(detail::blocks_of(handles), options)) {
    ended.push_back(handles[i]);
  }
  return ended;
}

inline std::vector<AnyGreenlet> joinall(std::initializer_list<AnyGreenlet> greenlets,
                                        const JoinOptions& options = {}) {
  return joinall(std::vector<AnyGreenlet>(greenlets), options);
}

template <std::derived_from<AnyGreenlet>... Handles>
  requires(sizeof...(Handles) > 0)
std::vector<AnyGreenlet> joinall(const AnyGreenlet& first, const Handles&... more) {
  return joinall({first, more...});
}

// killall() kills those that were never started, which end without running, then the others in
// order, and waits for all to end if options.block. Throws TimeoutError when the deadline passes
// first. The calling greenlet, if it is among them, is killed last: after the others have ended,
// with block. From any thread. A kill of the caller ends the wait, not the killing; BlockingInHub
// where it would wait on the hub's own stack. (gevent's.)
template <GreenletRange Range>
void killall(const Range& range, const KillOptions& options = {}) {
  std::vector<std::ranges::range_value_t<Range>> handles(std::ranges::begin(range),
                                                         std::ranges::end(range));
  if (!detail::kill_many(detail::blocks_of(handles), options)) throw TimeoutError();
}

inline void killall(std::initializer_list<AnyGreenlet> greenlets, const KillOptions& options = {}) {
  killall(std::vector<AnyGreenlet>(greenlets), options);
}

// wait() without anybody named waits for everything: until no greenlet of this hub is ready, and no
// timer, descriptor, signal or job is left that could make one so. True then, false when the
// deadline passes first. Greenlets that wait for what only another thread could bring, or nobody,
// are left waiting; so is what limits the wait itself, a Timeout scope. Only from the thread's main
// greenlet, or it throws GreenletError. (gevent's wait.)
FERN_API bool wait(Deadline deadline = {});

}  // namespace fern
