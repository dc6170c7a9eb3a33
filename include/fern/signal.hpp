#pragma once

// Signals as greenlets: a function that runs in a greenlet of its own each time a signal arrives,
// where it may do anything, wait too.
//
//   auto stop = fern::on_signal(SIGINT, [&] { server.stop(5s); });
//   auto reload = fern::on_signal(SIGHUP, [&](int) { read_settings(); });
//
// As long as a SignalHandler lives, its signal can wake the hub, so there is no LoopExit.

#include <fern/config.hpp>
#include <fern/detail/function.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace fern {

class SignalHandler;

namespace detail {
FERN_API SignalHandler listen_to(int number, Function<void(int)> f);
}

// SignalHandler listens until it goes, or cancel() is called, or its hub ends. Move-only; it may go
// in any thread.
class FERN_API SignalHandler {
 public:
  SignalHandler() noexcept = default;  // listens to nothing
  SignalHandler(SignalHandler&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  SignalHandler& operator=(SignalHandler&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~SignalHandler() { cancel(); }

  // cancel() stops listening; what has been started runs on. Idempotent.
  void cancel() noexcept;

  bool active() const noexcept { return state_ != nullptr; }

 private:
  struct State;
  friend SignalHandler detail::listen_to(int number, detail::Function<void(int)> f);

  State* state_ = nullptr;
};

// on_signal() calls f, with the signal's number if it takes one, in a new greenlet of this thread's
// hub for each arrival; several that arrive before the hub looks may be one. Any number of handlers
// may listen to one signal, in any thread. The signal's disposition is replaced by Fern's, and is
// the default again when nobody listens any more. Throws std::system_error (EINVAL) for what cannot
// be caught. Never switches.
template <class Fn>
  requires(std::invocable<std::decay_t<Fn>&> || std::invocable<std::decay_t<Fn>&, int>)
[[nodiscard]] SignalHandler on_signal(int number, Fn&& f) {
  if constexpr (std::invocable<std::decay_t<Fn>&, int>) {
    return detail::listen_to(number, std::forward<Fn>(f));
  } else {
    return detail::listen_to(number,
                             [f = std::decay_t<Fn>(std::forward<Fn>(f))](int) mutable { f(); });
  }
}

}  // namespace fern
