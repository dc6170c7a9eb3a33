#pragma once

// libc's times and ours.

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

}  // namespace fern::monkey
