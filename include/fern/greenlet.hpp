#pragma once

// Greenlets: functions that run on stacks of their own, take turns in one OS thread and give the
// thread away by themselves whenever they wait.
//
//   fern::Greenlet<int> answer = fern::spawn([](int a, int b) { return a * b; }, 6, 7);
//   fern::spawn(fern::SpawnOptions{.name = "ticker"}, tick);
//   std::cout << answer.get() << '\n';       // parks until it has ended; rethrows its exception
//
// spawn never runs the new greenlet: it runs when the spawner next waits, in FIFO order with all
// that is ready. A handle may be copied, joined and killed from any thread; dropping it detaches.
// A greenlet's exception that nobody reads is printed once, with the greenlet's name, and stops
// no other. The result lives with the greenlet: a kept handle of an ended greenlet keeps its
// control block from reuse, and its stack if the result is large, so take the value and let go.
//
// Whatever waits here throws what a kill or a Timeout scope sends the waiting greenlet, which ends
// the wait and nothing else, and BlockingInHub on the hub's own stack.
//
// When main returns, or a thread's function, the greenlets that are left are killed and unwound.
// Its own objects have gone by then: what such greenlets use must live longer, or they must be
// joined.
//
// thread_local objects belong to the OS thread, so greenlets of a hub share them; one that was
// first touched inside a greenlet is destroyed before the greenlets left at the thread's end are
// unwound, so do not use it in a destructor that may run there.
//
// Cost: spawn from a warm pool allocates nothing; a default stack is 260 KiB of address space,
// of which only touched pages are memory, with a guard page below. A greenlet whose callable and
// arguments are small has none before it runs, so those that run one after another share one.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/function.hpp>
#include <fern/detail/switch.hpp>
#include <fern/detail/task.hpp>
#include <fern/errors.hpp>

#include <chrono>
#include <compare>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

namespace fern {

struct KillOptions {
  std::exception_ptr exception = nullptr;  // thrown in the greenlet; GreenletExit when null
  bool block = true;                       // wait until it has ended
  Deadline deadline = {};                  // at most until then
};

// LinkId names a callback for unlink(); 0 is none.
using LinkId = std::uint64_t;

// AnyGreenlet is a handle to a greenlet whatever it returns. Thread-safe where not said otherwise.
class FERN_API AnyGreenlet {
 public:
  AnyGreenlet() noexcept = default;  // a handle of nothing; using it throws GreenletError
  AnyGreenlet(const AnyGreenlet& other) noexcept;
  AnyGreenlet(AnyGreenlet&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  AnyGreenlet& operator=(AnyGreenlet other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~AnyGreenlet() {
    if (block_ != nullptr) drop();
  }

  bool valid() const noexcept { return block_ != nullptr; }

  // join() waits until the greenlet has ended; false when the deadline passed first. It does not
  // throw the greenlet's exception. A greenlet that joins itself gets a GreenletError. From another
  // thread too it returns once the greenlet has ended, whatever that one's thread does next.
  FERN_NOPLT bool join(Deadline deadline = {}) const;

  // get() joins, then rethrows what ended the greenlet: its exception, or GreenletKilled.
  // Throws TimeoutError when the deadline passes first.
  void get(Deadline deadline = {}) const;

  // kill() ends the greenlet by an exception (GreenletExit) thrown from the wait it stands in, or
  // from its next wait if it stands in none; see ShieldKill for when it is held back. One that
  // was never started does not run at all; its links still fire. With block it waits for the end,
  // and a greenlet may kill itself so; of what a prompt end makes ready, its links too, nothing
  // runs before the killer goes on. Returns whether the greenlet has ended. Code that is killed
  // inside a noexcept function or destructor terminates the program unless a ShieldKill covers the
  // wait. One that catches the GreenletExit and goes on is reported on stderr, unless it calls
  // GreenletExit::dismiss(); kill() then waits until it ends some other way.
  bool kill(const KillOptions& options = {}) const;

  // cancel() kills the greenlet only if it was never started; true if so. From its hub's thread.
  bool cancel() const;

  bool ready() const noexcept;  // it has ended
  bool dead() const noexcept { return ready(); }
  bool started() const noexcept;     // it is scheduled or has begun, and has not ended (gevent's)
  bool successful() const noexcept;  // it has ended without an exception, or by GreenletExit
  bool killed() const noexcept;      // it has ended by GreenletExit

  // exception() is what ended it, null if nothing did or it was GreenletExit; counts as read.
  std::exception_ptr exception() const noexcept;

  // link() calls f with a handle, in a greenlet of its own, when the greenlet ends, in order with
  // its joiners; at the next turn if it has ended already. link_value() only on success,
  // link_exception() only otherwise. From the greenlet's hub's thread. unlink() is true if
  // the callback was still to come.
  LinkId link(detail::Function<void(AnyGreenlet)> f) const;
  LinkId link_value(detail::Function<void(AnyGreenlet)> f) const;
  LinkId link_exception(detail::Function<void(AnyGreenlet)> f) const;
  bool unlink(LinkId id) const noexcept;

  // name() is the given one, else "Greenlet-" and the id. From its hub's thread.
  std::string name() const;
  void set_name(std::string_view name) const;

  // id() is unique among the greenlets of the hub that have not ended.
  std::uint64_t id() const noexcept;

  // stack_used() is how many bytes of its stack were ever touched, in whole pages, by it and by
  // others on the same stack, before it and after its end; 0 before it runs.
  std::size_t stack_used() const;

  friend bool operator==(const AnyGreenlet&, const AnyGreenlet&) noexcept = default;
  friend auto operator<=>(const AnyGreenlet& a, const AnyGreenlet& b) noexcept {
    return std::compare_three_way()(a.block_, b.block_);
  }

 protected:
  friend struct std::hash<AnyGreenlet>;
  friend struct detail::Access;
  explicit AnyGreenlet(core::Greenlet* block) noexcept : block_(block) {}  // takes over one count

  core::Greenlet* checked() const;
  FERN_NOPLT void drop() noexcept;

  core::Greenlet* block_ = nullptr;
};

// Greenlet<T> is a handle to a greenlet that returns a T.
template <class T>
class Greenlet : public AnyGreenlet {
 public:
  using value_type = T;
  Greenlet() noexcept = default;

  // get() joins and gives the result by reference, to any number of joiners; on an rvalue handle
  // it moves the result out. Throws as AnyGreenlet::get.
  T& get(Deadline deadline = {}) const& {
    AnyGreenlet::get(deadline);
    return *result();
  }
  T get(Deadline deadline = {}) && {
    AnyGreenlet::get(deadline);
    return std::move(*result());
  }

  // value() points to the result, null while there is none.
  T* value() const noexcept { return successful() && !killed() ? result() : nullptr; }

 private:
  friend struct detail::Access;
  using AnyGreenlet::AnyGreenlet;
  T* result() const { return static_cast<detail::Result<T>*>(detail::task_of(block_))->value(); }
};

template <>
class Greenlet<void> : public AnyGreenlet {
 public:
  using value_type = void;
  Greenlet() noexcept = default;

 private:
  friend struct detail::Access;
  using AnyGreenlet::AnyGreenlet;
};

// spawn() makes a greenlet that will call f(args...), both copied or moved to its stack first;
// std::ref() passes a reference. A member function takes its object's pointer as its first
// argument. Throws std::bad_alloc when memory is out, and whatever copying throws; never switches.
template <class Fn, class... Args>
  requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
auto spawn(const SpawnOptions& options, Fn&& f, Args&&... args) {
  using T = detail::ResultOf<Fn, Args...>;
  auto* block = detail::make<T>(options, std::forward<Fn>(f), std::forward<Args>(args)...);
  detail::start(block);
  return detail::Access::adopt<Greenlet<T>>(block);
}

template <class Fn, class... Args>
  requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
auto spawn(Fn&& f, Args&&... args) {
  return spawn(SpawnOptions{}, std::forward<Fn>(f), std::forward<Args>(args)...);
}

// spawn_later() starts it after a delay; until then cancel() or kill() keep it from running.
template <class Rep, class Period, class Fn, class... Args>
  requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
auto spawn_later(std::chrono::duration<Rep, Period> delay, Fn&& f, Args&&... args) {
  using T = detail::ResultOf<Fn, Args...>;
  auto* block = detail::make<T>(SpawnOptions{}, std::forward<Fn>(f), std::forward<Args>(args)...);
  detail::start_later(block, Deadline(delay));
  return detail::Access::adopt<Greenlet<T>>(block);
}

// spawn_raw() spawns without a handle: nothing to join, and an exception is printed at once.
template <class Fn, class... Args>
  requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
void spawn_raw(Fn&& f, Args&&... args) {
  auto* block =
      detail::make<void>(SpawnOptions{}, std::forward<Fn>(f), std::forward<Args>(args)...);
  detail::start_detached(block);
}

// yield() lets everything that is ready run once and comes back: exact round robin. Throws what a
// wait throws when a kill is pending. Costs one switch; without anybody ready it returns at once,
// except now and then to look at descriptors and timers.
inline void yield() {
#ifdef FERN_INLINE_SWITCH
  detail::Passage passage = detail::prepare_yield();
  if (passage.to != nullptr) detail::jump(passage);
#else
  detail::plain_yield();
#endif
}

// sleep() parks for the duration, never less; zero or less is yield(). One that is due together
// with a Timeout scope is done, and the next wait throws.
FERN_API void sleep(Deadline until);

// idle() parks until nothing else is ready: no greenlet, and no descriptor, timer or post that is
// due. All who are idle go on then, first come first. For work that is to be in nobody's way, a
// piece at a time. (gevent's idle.)
FERN_API void idle();

// current_greenlet() is a handle to the calling greenlet; of the thread's main one outside any.
FERN_API AnyGreenlet current_greenlet();

}  // namespace fern

template <>
struct std::hash<fern::AnyGreenlet> {
  std::size_t operator()(const fern::AnyGreenlet& handle) const noexcept {
    return std::hash<const void*>()(handle.block_);
  }
};
template <class T>
struct std::hash<fern::Greenlet<T>> : std::hash<fern::AnyGreenlet> {};
