#pragma once

// RawGreenlet is a greenlet that is switched to by hand: no queue, no turns, and each switch
// carries a value. (Python's greenlet.)
//
//   fern::RawGreenlet counter([](int from) {
//     auto consumer = fern::getcurrent().parent();
//     for (int i = from; i < from + 3; ++i) consumer.switch_to(i);   // hands out a value and stops
//   });
//   int first = counter.switch_to(10).get<int>();    // starts it with from = 10; first is 10
//   int second = counter.switch_to().get<int>();     // its own switch_to returns; second is 11
//
// switch_to() suspends the caller and continues the target at once. It returns when anybody
// switches back to the caller, with what that one passed, which need not be an answer. What the
// function returns goes to the greenlet's parent, and so does the exception that ends it: there it
// is the result of the switch_to() that the parent is suspended in. A GreenletExit that ends it is
// no error: the parent gets a Value that holds it. Parents that have ended are skipped, one that
// never began is started with the value as its argument, and every line of parents ends in the
// thread's main greenlet.
//
// A raw greenlet may sleep, receive, wait: it parks like any other, the hub goes on with whoever is
// ready, and the one that switched to it stays suspended. Nobody can switch to a greenlet that
// parks, or is ready: it belongs to the hub, which resumes it when its wait is over. switch_to() is
// itself a wait of the caller's: kills, Timeout scopes and LoopExit are thrown out of it, and what
// the target does then it does alone. An end whose parent is parked or ready just then has nobody
// to go to: the value is dropped, the exception is printed like that of any greenlet.
//
// Letting go of the last handle of one that is suspended in switch_to() unwinds it, by
// GreenletExit, before the letting go is over; the children's parent() are handles too. One that
// never began is dropped in silence, one that the hub will resume lives on. So a handle is to be
// kept for as long as the greenlet is wanted, unlike those of spawn(). One that has a handle of
// itself on its own stack, and greenlets that hold each other's, stay until their thread ends; that
// unwinds what is left, as it does all greenlets.
//
// The child of a fork, if main or a raw greenlet that main is suspended for has forked, keeps what
// was suspended by hand.
//
// Switches by hand give the hub no turn: timers and descriptors wait until somebody parks or
// yields.

#include <fern/config.hpp>
#include <fern/detail/raw_call.hpp>
#include <fern/greenlet.hpp>
#include <fern/value.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

namespace fern {

// A RawGreenlet is a handle, as AnyGreenlet is: copies mean the same greenlet, and join(), kill(),
// name(), dead() and the rest are there. Switching, and what concerns parents, is for the
// greenlet's own thread: in any other it throws GreenletError and changes nothing.
class FERN_API RawGreenlet : public AnyGreenlet {
 public:
  RawGreenlet() noexcept = default;  // a handle of nothing; using it throws GreenletError

  // A RawGreenlet of a function will call it, on a stack of its own, when first switched to. What
  // that switch passes are the function's arguments: none, typed ones, or a single Value that takes
  // whatever comes. When something else is passed, the function is not called and the greenlet
  // ends with a std::bad_any_cast. It may return void, a Value, or what shall become one. The
  // parent is the running greenlet unless one is given. Never switches. Throws GreenletError for a
  // parent of another thread, and what spawn() throws.
  template <class Fn>
    requires detail::RawCallable<std::decay_t<Fn>>
  explicit RawGreenlet(Fn&& fn)
      : RawGreenlet(SpawnOptions{}, std::forward<Fn>(fn), detail::raw_parent()) {}
  template <class Fn>
    requires detail::RawCallable<std::decay_t<Fn>>
  RawGreenlet(Fn&& fn, const RawGreenlet& parent)
      : RawGreenlet(SpawnOptions{}, std::forward<Fn>(fn), detail::raw_parent(parent.block_)) {}
  template <class Fn>
    requires detail::RawCallable<std::decay_t<Fn>>
  RawGreenlet(const SpawnOptions& options, Fn&& fn)
      : RawGreenlet(options, std::forward<Fn>(fn), detail::raw_parent()) {}
  template <class Fn>
    requires detail::RawCallable<std::decay_t<Fn>>
  RawGreenlet(const SpawnOptions& options, Fn&& fn, const RawGreenlet& parent)
      : RawGreenlet(options, std::forward<Fn>(fn), detail::raw_parent(parent.block_)) {}

  // switch_to() continues this greenlet, or starts it, with a copy of the arguments (one of them
  // may be a Value, moved in), and returns when somebody switches to the caller: with what was
  // passed, or throwing what was thrown in. To itself it returns the arguments; one that has ended
  // hands them to the first of its parents that has not. Throws GreenletError, before anything
  // happens, for a greenlet of another thread and one that the hub will resume; BlockingInHub; and
  // as a wait what is thrown from waits.
  template <class... A>
  Value switch_to(A&&... args) const {
    Value value = detail::pack(std::forward<A>(args)...);
    detail::exchange(block_, value);
    return value;
  }

  // throw_in() continues this greenlet by an exception, GreenletExit if none is given, out of its
  // switch_to(), and returns as switch_to() does. One that never began ends by it without having
  // run; of one that has ended, the first parent that has not gets it, and a GreenletExit as a
  // value. Into itself it is thrown here. Throws as switch_to().
  Value throw_in(std::exception_ptr error = nullptr) const {
    return detail::throw_raw(block_, std::move(error));
  }

  // parent() is who gets the result; a handle of nothing for main, and main for a greenlet of
  // spawn(), whose result goes nowhere. It stays the same when either has ended.
  // Of a handle that is a temporary it takes the place, so that getcurrent().parent().switch_to()
  // leaves no handle of the caller on its own stack.
  RawGreenlet parent() const&;
  RawGreenlet parent() &&;

  // set_parent() changes it, at any time. Throws GreenletError if that would make a circle
  // ("cyclic parent chain"), for a parent of another thread, for main and a greenlet of spawn().
  void set_parent(const RawGreenlet& parent) const;

  // active() asks whether it has begun and has not ended. Thread-safe.
  bool active() const noexcept { return started(); }

 private:
  friend struct detail::Access;
  using AnyGreenlet::AnyGreenlet;

  template <class Fn>
  RawGreenlet(const SpawnOptions& options, Fn&& fn, core::Greenlet* parent)
      : AnyGreenlet(detail::make_raw(options, std::forward<Fn>(fn), parent)) {}
};

// getcurrent() is a handle to the running greenlet, whoever made it; of the thread's main one
// outside any.
FERN_API RawGreenlet getcurrent();

enum class TraceEvent : unsigned char {
  Switch,  // with a value
  Throw,   // with an exception
};

// A TraceCallback is told who switched to whom by hand.
using TraceCallback =
    std::function<void(TraceEvent, const RawGreenlet& origin, const RawGreenlet& target)>;

// settrace() has the callback called at each switch by hand in this thread: by switch_to(), by
// throw_in(), and by an end that goes to the parent. It runs in the target, right after the switch.
// An exception that leaves it ends the tracing and is thrown from the target's switch_to() in the
// value's place. An empty one ends the tracing as well. Returns the previous one; gettrace() the
// present one, or an empty one. The hub's own switches are not traced.
FERN_API TraceCallback settrace(TraceCallback callback);
FERN_API TraceCallback gettrace();

}  // namespace fern

template <>
struct std::hash<fern::RawGreenlet> : std::hash<fern::AnyGreenlet> {};
