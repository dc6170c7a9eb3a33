#pragma once

// select() waits until one of several things can be done, does that one, and says which.
//
//   bool more = true;
//   while (more) {
//     fern::select(10s,
//                  fern::on_get(jobs, [&](Job job) { work(job); }, [&] { more = false; }),
//                  fern::on_put(samples, sensor.read()),
//                  fern::on(stop, [&] { more = false; }));
//   }
//
// The cases are written inside the call. They may be gets from and puts into channels and queues,
// events, semaphores, results and greenlets to become ready, and points of time, as many as
// needed, in any mixture. Exactly one happens; its function is called when nothing is held any
// more, what that throws leaves select(), and the index of the case is returned. If several are
// possible at once one is picked at random, as Go does, so that none starves. (Go's select.)
//
// What did not happen leaves no trace: an item that was not got stays, a value that was not put is
// as it was, a semaphore keeps its permit, and whoever was woken for us in vain is made up for.
// That holds for a kill and an expired Timeout too. Two selects may meet each other in a channel,
// in whatever threads; one never meets itself.
//
// From any greenlet and any plain thread, and where it need not wait from Hub::post callbacks; else
// it throws BlockingInHub there. What can be done at once never switches, but for a put into a
// channel, which lets its getter go first. Items are moved under the locks of all the cases'
// objects: moving may neither wait nor use any of these.

#include <fern/async_result.hpp>
#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/select_cases.hpp>
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/waitable.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

namespace fern {

// A case that select() takes.
template <class T>
concept SelectCase = std::derived_from<std::remove_cvref_t<T>, detail::Case>;

// on_get() is the get of a value, which f is called with. Once the channel or queue is closed, and
// empty, `closed` is called instead; without one select() throws QueueClosed.
template <detail::Selectable Source, std::invocable<typename Source::value_type> Fn,
          std::invocable Closed = detail::Refuse>
auto on_get(Source& source, Fn f, Closed closed = {}) {
  return detail::GetCase<Source, Fn, Closed>(source, std::move(f), std::move(closed));
}

// on_put() is the put of a value, after which f is called. An rvalue is moved from only if it is
// put; an lvalue is copied before. A channel or queue that is closed makes select() throw
// QueueClosed.
template <detail::Selectable Source, class Value, std::invocable Fn = detail::Nothing>
  requires std::constructible_from<typename Source::value_type, Value>
auto on_put(Source& source, Value&& value, Fn f = {}) {
  using Kept = detail::PutValue<Value, typename Source::value_type>;
  return detail::PutCase<Source, Kept, Fn>(source, std::forward<Value>(value), std::move(f));
}

// on() waits until an Event, Semaphore, AsyncResult or greenlet is ready, which changes nothing
// about it, and calls f. An f that takes the value of a result or greenlet is called with it; if
// there is an exception instead, select() throws that.
template <std::invocable Fn = detail::Nothing>
auto on(Waitable thing, Fn f = {}) {
  return detail::OnReady<Fn>(std::move(thing), std::move(f));
}
template <class T, std::invocable<T&> Fn>
auto on(const AsyncResult<T>& result, Fn f) {
  return detail::OnResult<AsyncResult<T>, Fn>(result, std::move(f));
}
template <class T, std::invocable<T&> Fn>
auto on(const Greenlet<T>& greenlet, Fn f) {
  return detail::OnResult<Greenlet<T>, Fn>(greenlet, std::move(f));
}

// on_deadline() happens when its deadline has passed and nothing else is possible.
template <std::invocable Fn = detail::Nothing>
auto on_deadline(Deadline deadline, Fn f = {}) {
  return detail::OnDeadline<Fn>(deadline, std::move(f));
}

// when() leaves a case out of this select unless the condition holds.
template <SelectCase Case>
Case&& when(bool condition, Case&& which) noexcept {
  which.enable(condition);
  return std::forward<Case>(which);
}

// select() waits until one of the cases happens and gives its index, counted from 0. Throws
// TimeoutError when the deadline, which comes first and may be left out, passes before that. A
// deadline of zero tries once and never parks.
template <SelectCase... Cases>
  requires(sizeof...(Cases) > 0)
std::size_t select(Deadline deadline, Cases&&... cases) {
  const std::size_t chosen = detail::select_and_run(deadline, cases...);
  if (chosen == detail::no_case) throw TimeoutError("nothing to select from in time");
  return chosen;
}
template <SelectCase... Cases>
  requires(sizeof...(Cases) > 0)
std::size_t select(Cases&&... cases) {
  return select(Deadline::never(), cases...);
}

// try_select() does one that can be done at once, if there is one; never parks. (Go's default.)
template <SelectCase... Cases>
  requires(sizeof...(Cases) > 0)
std::optional<std::size_t> try_select(Cases&&... cases) {
  const std::size_t chosen = detail::select_and_run(Deadline::past(), cases...);
  return chosen == detail::no_case ? std::nullopt : std::optional(chosen);
}

}  // namespace fern
