#pragma once

// Deadline is the one time type below the API: an absolute point of the steady clock, or never.
// Every blocking call takes one as its last, optional parameter, and a duration converts to it:
//
//   event.wait(2s);                       // a relative limit for this call
//   fern::Deadline budget = 5s;           // fixed here, when it is made ...
//   socket.connect(address, budget);      // ... so that several calls share one budget
//   socket.recv(buffer, budget);
//
// A duration reads the clock once (about 25 ns); never, the default, costs nothing. Zero or less
// means: try once, never park. What overflows is never. A NaN is a bug and asserts. Wall-clock
// points do not compile: the wall clock jumps.

#include <fern/config.hpp>

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace fern {

class Deadline {
 public:
  // A default Deadline never passes.
  constexpr Deadline() noexcept = default;

  // A duration counts from now; any Rep, rounded up to whole nanoseconds.
  template <class Rep, class Period>
  Deadline(std::chrono::duration<Rep, Period> timeout) : ns_(after(timeout)) {}

  // A point of the steady clock is itself; one before its epoch is past().
  template <class Duration>
  constexpr Deadline(std::chrono::time_point<std::chrono::steady_clock, Duration> point) noexcept
      : ns_(whole_ns(point.time_since_epoch())) {}

  template <class Clock, class Duration>
  Deadline(std::chrono::time_point<Clock, Duration>) = delete;

  // never() is the Deadline that does not pass; past() one that has.
  static constexpr Deadline never() noexcept { return {}; }
  static constexpr Deadline past() noexcept { return from_ns(0); }

  // from_ns() makes one from nanoseconds of the steady clock.
  static constexpr Deadline from_ns(std::int64_t ns) noexcept {
    Deadline made;
    made.ns_ = ns;
    return made;
  }

  constexpr bool is_never() const noexcept { return ns_ == never_ns; }

  // expired() asks the clock whether the point has passed.
  bool expired() const noexcept { return !is_never() && remaining_ns() <= 0; }

  // remaining() is the time left, zero when passed, the largest duration for never.
  std::chrono::nanoseconds remaining() const noexcept {
    std::int64_t left = is_never() ? never_ns : remaining_ns();
    return std::chrono::nanoseconds(left > 0 ? left : 0);
  }

  // ns() is the point in nanoseconds of the steady clock.
  constexpr std::int64_t ns() const noexcept { return ns_; }

  friend constexpr auto operator<=>(Deadline, Deadline) noexcept = default;

 private:
  static constexpr std::int64_t never_ns = std::numeric_limits<std::int64_t>::max();

  FERN_API static std::int64_t after_ns(std::int64_t timeout_ns) noexcept;
  FERN_API static void refuse_nan() noexcept;
  FERN_API std::int64_t remaining_ns() const noexcept;

  template <class Rep, class Period>
  static std::int64_t after(std::chrono::duration<Rep, Period> timeout) {
    std::int64_t ns = whole_ns(timeout);
    return ns == 0 || ns == never_ns ? ns : after_ns(ns);
  }

  // Rounded up; 0 for what is not positive, never_ns for what is too large.
  template <class Rep, class Period>
  static constexpr std::int64_t whole_ns(std::chrono::duration<Rep, Period> span) {
    using Wide = std::chrono::duration<long double, std::nano>;
    if constexpr (std::is_floating_point_v<Rep>) {
      if (span.count() != span.count()) refuse_nan();
    }
    if (span <= span.zero()) return 0;
    long double ns = Wide(span).count();
    if (ns >= static_cast<long double>(never_ns)) return never_ns;
    if constexpr (std::is_integral_v<Rep>) {
      return std::chrono::ceil<std::chrono::nanoseconds>(span).count();
    } else {
      auto whole = static_cast<std::int64_t>(ns);
      return static_cast<long double>(whole) < ns ? whole + 1 : whole;
    }
  }

  std::int64_t ns_ = never_ns;
};

}  // namespace fern
