#pragma once

// Timeout limits everything its greenlet waits for inside a scope, however deep:
//
//   fern::Timeout timeout{2s};
//   connect();            // whichever wait is under way 2 s from now throws TimeoutError ...
//   talk();               // ... and timeout.owns(error) tells that it was this scope's
//
// It arms when it is made and disarms when it goes. It throws only from a wait, so a busy loop
// delays it, and never while the stack unwinds or under a ShieldKill: then at the next wait. When
// several scopes have expired, the one that expired first throws. (gevent's Timeout; a scope that
// is left before its error is thrown just shows expired().)

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/errors.hpp>

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

namespace fern {
namespace core {
struct Greenlet;
}

class FERN_API Timeout {
 public:
  // Arms; a Deadline of never arms nothing. Zero expires at the hub's next look at its timers.
  // Never switches. Throws BlockingInHub on the hub's own stack. It must end in the greenlet that
  // made it; any greenlet of the thread may call what follows.
  explicit Timeout(Deadline deadline);
  Timeout(const Timeout&) = delete;
  Timeout& operator=(const Timeout&) = delete;
  ~Timeout();

  // cancel() disarms; idempotent.
  void cancel() noexcept;

  // restart() arms anew, whether it was pending, expired or cancelled.
  void restart(Deadline deadline);

  // pending() asks whether it is armed and its time has not come.
  bool pending() const noexcept { return state_ == State::Pending; }

  // expired() asks whether its time has come, thrown yet or not.
  bool expired() const noexcept { return state_ == State::Expired || state_ == State::Thrown; }

  // check() throws its TimeoutError if it has expired and a wait of C code was told so by an errno
  // (monkey.hpp), which may have got lost there. with_timeout does when f has returned.
  void check();

  // owns() asks whether this scope threw the error.
  bool owns(const TimeoutError& error) const noexcept { return error.scope_ == this; }

 private:
  friend struct TimeoutAccess;
  enum class State : unsigned char { Idle, Pending, Expired, Thrown };

  void arm(Deadline deadline);

  Timeout* outer_ = nullptr;            // the greenlet's next scope outwards
  core::Greenlet* greenlet_ = nullptr;  // whose waits it limits
  Deadline deadline_;
  State state_ = State::Idle;
  alignas(void*) unsigned char timer_[8 * sizeof(void*)];  // a core::Timer
};

namespace detail {
template <class Fn>
auto invoke_in(Timeout& timeout, Fn&& f) -> std::invoke_result_t<Fn> {
  if constexpr (std::is_void_v<std::invoke_result_t<Fn>>) {
    std::invoke(std::forward<Fn>(f));
    timeout.check();
  } else {
    decltype(auto) result = std::invoke(std::forward<Fn>(f));
    timeout.check();
    return std::forward<std::invoke_result_t<Fn>>(result);
  }
}
}  // namespace detail

// with_timeout() calls f under a Timeout: its result, or the TimeoutError from f's wait.
template <std::invocable Fn>
auto with_timeout(Deadline deadline, Fn&& f) -> std::invoke_result_t<Fn> {
  Timeout timeout(deadline);
  return detail::invoke_in(timeout, std::forward<Fn>(f));
}

// with_timeout() with a fallback returns that instead when its own Timeout cut f short; every
// other error goes on, an outer scope's too.
template <std::invocable Fn, class Fallback>
  requires std::convertible_to<Fallback, std::invoke_result_t<Fn>>
auto with_timeout(Deadline deadline, Fn&& f, Fallback&& fallback) -> std::invoke_result_t<Fn> {
  Timeout timeout(deadline);
  try {
    return detail::invoke_in(timeout, std::forward<Fn>(f));
  } catch (const TimeoutError& error) {
    if (!timeout.owns(error)) throw;
  }
  return std::forward<Fallback>(fallback);
}

// with_timeout_silent() is true when f ran to its end, false when its own Timeout cut it short.
template <std::invocable Fn>
bool with_timeout_silent(Deadline deadline, Fn&& f) {
  Timeout timeout(deadline);
  try {
    std::invoke(std::forward<Fn>(f));
    timeout.check();
    return true;
  } catch (const TimeoutError& error) {
    if (!timeout.owns(error)) throw;
  }
  return false;
}

// ShieldKill holds back kills and Timeout scopes while it lives: they are delivered at the
// greenlet's next wait after it. For clean-up that has to wait, in destructors above all, since
// an exception must not leave those:
//
//   Connection::~Connection() {
//     fern::ShieldKill shield;
//     socket_.sendall(goodbye, 1s);   // Deadlines still count
//   }
class FERN_API ShieldKill {
 public:
  ShieldKill();
  ShieldKill(const ShieldKill&) = delete;
  ShieldKill& operator=(const ShieldKill&) = delete;
  ~ShieldKill();

 private:
  core::Greenlet* greenlet_;
};

}  // namespace fern
