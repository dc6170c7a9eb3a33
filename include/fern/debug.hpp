#pragma once

// Looking inside a program that hangs, or that uses more than it should.
//
//   fern::dump(std::cerr);                     // who waits on what, with backtraces
//   fern::Stats stats = fern::stats();
//   std::cerr << stats.greenlets << " alive, " << stats.kept << " ended but still held\n";
//
//   fern::debug::on_sigquit();                 // from now on Ctrl-\ in the terminal does the first
//
//   Table table = fern::assert_switches(50ms, [&] { return parse(text); });   // it should yield

#include <fern/config.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace fern {

// dump() writes, for every greenlet of the calling thread's hub that has not ended, its name, id,
// state, what it waits on, and the functions on its stack, innermost first. Functions that are not
// exported are a file and an offset in it: `addr2line -Cfe FILE OFFSET` names them. Slow; it does
// not switch in any way that the greenlets could notice. From a greenlet or from Hub::post.
FERN_API void dump(std::ostream& out);

// Stats counts what the calling thread's hub has.
struct Stats {
  std::size_t greenlets = 0;      // started or not, not ended; main not counted
  std::size_t kept = 0;           // ended, but a handle keeps them from reuse
  std::size_t stacks = 0;         // ever opened, one for each greenlet at the same time
  std::size_t free_stacks = 0;    // of those, reserved for nobody
  std::size_t given_back = 0;     // of those, with their memory returned to the system
  std::size_t unguarded = 0;      // lent without a guard page
  std::size_t address_space = 0;  // bytes mapped for stacks
  std::uint64_t switches = 0;
  std::uint64_t polls = 0;
};

// stats() reads them; kept costs a walk over all stacks.
FERN_API Stats stats();

// FailedToSwitch says that a greenlet kept the thread from all others for too long.
class FERN_API FailedToSwitch : public std::logic_error {
 public:
  explicit FailedToSwitch(const std::string& what);
  ~FailedToSwitch() override;
};

namespace detail {
// SwitchScope watches the calling greenlet; check() throws FailedToSwitch if it failed.
class FERN_API SwitchScope {
 public:
  SwitchScope();
  SwitchScope(const SwitchScope&) = delete;
  SwitchScope& operator=(const SwitchScope&) = delete;
  ~SwitchScope();
  void check();  // that it has switched at all
  void check(std::chrono::nanoseconds limit);

 private:
  alignas(void*) unsigned char watch_[6 * sizeof(void*)];  // a core::SwitchWatch
};

template <class Fn, class... Limit>
auto watch_switches(Fn&& f, Limit... limit) -> std::invoke_result_t<Fn> {
  SwitchScope scope;
  if constexpr (std::is_void_v<std::invoke_result_t<Fn>>) {
    std::invoke(std::forward<Fn>(f));
    scope.check(limit...);
  } else {
    decltype(auto) result = std::invoke(std::forward<Fn>(f));
    scope.check(limit...);
    return std::forward<std::invoke_result_t<Fn>>(result);
  }
}
}  // namespace detail

// assert_switches() calls f and returns its result, but throws FailedToSwitch afterwards if the
// greenlet never switched to another meanwhile; with a limit, if it ran for longer than that from
// one switch to the next. For tests: while f runs, each switch in this thread costs a look at the
// clock more. Throws BlockingInHub on the hub's own stack. (gevent.util's assert_switches.)
template <std::invocable Fn>
auto assert_switches(Fn&& f) -> std::invoke_result_t<Fn> {
  return detail::watch_switches(std::forward<Fn>(f));
}
template <std::invocable Fn>
auto assert_switches(std::chrono::nanoseconds limit, Fn&& f) -> std::invoke_result_t<Fn> {
  return detail::watch_switches(std::forward<Fn>(f), limit);
}

namespace debug {

// on_sigquit() makes SIGQUIT print the dump() of the calling thread's greenlets on stderr, as soon
// as the hub looks, idle or not; the program goes on. Until the thread ends; call it in each thread
// that has greenlets. It does not hold back a LoopExit. Idempotent. Throws std::system_error.
FERN_API void on_sigquit();

}  // namespace debug

}  // namespace fern
