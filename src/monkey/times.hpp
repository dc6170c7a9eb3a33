#pragma once

// libc's times and ours.

#include <fern/deadline.hpp>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <ctime>

namespace fern::monkey {

constexpr long nanoseconds_of_a_second = 1'000'000'000;

// is_time() is false for what the kernel calls EINVAL, and for what points to nothing.
inline bool is_time(const timespec* time) noexcept {
  // The kernel says EFAULT of the page that is never there.
  if (reinterpret_cast<std::uintptr_t>(time) < 4096) return false;
  return time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < nanoseconds_of_a_second;
}

// to_chrono() takes what is_time(); more than a century is a century.
inline std::chrono::nanoseconds to_chrono(const timespec& time) noexcept {
  constexpr std::int64_t most =
      std::chrono::nanoseconds::max().count() / nanoseconds_of_a_second / 2;
  if (time.tv_sec >= most) return std::chrono::seconds(most);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

inline timespec to_timespec(std::chrono::nanoseconds time) noexcept {
  if (time.count() <= 0) return {};
  return {time.count() / nanoseconds_of_a_second, time.count() % nanoseconds_of_a_second};
}

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
