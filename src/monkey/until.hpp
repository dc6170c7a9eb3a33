#pragma once

// Absolute times of POSIX clocks as Deadlines.

#include "monkey/times.hpp"

#include <fern/deadline.hpp>

#include <cerrno>
#include <cstdint>
#include <ctime>

namespace fern::monkey {

// until() makes a Deadline of a time of the clock; 0, or EINVAL for what is no time. That the clock
// is set meanwhile is not noticed.
inline int until(clockid_t clock, const timespec& time, Deadline& limit) noexcept {
  if (time.tv_nsec < 0 || time.tv_nsec >= nanoseconds_of_a_second) return EINVAL;
  if (time.tv_sec < 0) {
    limit = Deadline::past();
    return 0;
  }
  timespec now{};
  clock_gettime(clock, &now);
  std::int64_t left = 0;
  if (__builtin_mul_overflow(time.tv_sec - now.tv_sec, nanoseconds_of_a_second, &left)) return 0;
  left += time.tv_nsec - now.tv_nsec;
  limit = std::chrono::nanoseconds(left);
  return 0;
}

}  // namespace fern::monkey
