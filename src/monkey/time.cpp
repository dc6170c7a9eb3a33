// The sleep family. Any handler ends a sleep of the main greenlet early: none of them restarts.

#include "core/hub.hpp"
#include "monkey/green.hpp"
#include "monkey/times.hpp"
#include "monkey/wait.hpp"

#include <algorithm>
#include <chrono>

namespace fern::monkey::green {
namespace {

using std::chrono::nanoseconds;

bool read_clock(clockid_t clock, nanoseconds& now) noexcept {
  timespec time{};
  if (clock_gettime(clock, &time) < 0) return false;
  now = to_chrono(time);
  return true;
}

// 0, or an errno, and what is left of the time then.
int sleep_for(nanoseconds duration, nanoseconds& left) noexcept {
  core::Hub& hub = *core::Hub::here();
  int saved = errno;
  Deadline until = duration;
  Interrupts interrupts(Interrupts::any_handler);
  int error = 0;
  while (error == 0) {
    core::Wake why = hub.try_park("sleep()", -1, until);
    if (why == core::Wake::TimedOut) {
      errno = saved;
      return 0;
    }
    if (why == core::Wake::Interrupted) {
      error = core::refuse(hub.running());
    } else if (interrupts.came()) {
      error = EINTR;
    }
  }
  nanoseconds now{};
  read_clock(CLOCK_MONOTONIC, now);
  left = std::max(nanoseconds(until.ns()) - now, nanoseconds(0));
  errno = saved;
  // A handler that came when the time was over is too late.
  return error == EINTR && left.count() == 0 ? 0 : error;
}

// A clock that can be set, or that goes on while the machine sleeps, or with the processor's work,
// is asked again at least once a second.
int sleep_until(clockid_t clock, nanoseconds until, nanoseconds& left) noexcept {
  for (;;) {
    nanoseconds now{};
    if (!read_clock(clock, now)) return errno;
    left = std::max(until - now, nanoseconds(0));
    nanoseconds step = left;
    if (clock != CLOCK_MONOTONIC) step = std::min<nanoseconds>(step, std::chrono::seconds(1));
    nanoseconds rest{};
    if (int error = sleep_for(step, rest); error != 0) {
      left = left - step + rest;
      return error;
    }
    if (step == left && clock == CLOCK_MONOTONIC) return 0;
    if (!read_clock(clock, now) || now >= until) return 0;
  }
}

}  // namespace

int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* left) noexcept {
  bool relative = (flags & TIMER_ABSTIME) == 0;
  bool steady = clock == CLOCK_MONOTONIC || (clock == CLOCK_REALTIME && relative);
  if (!is_time(time) || (!steady && clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME &&
                         clock != CLOCK_TAI && clock != CLOCK_PROCESS_CPUTIME_ID)) {
    return native::clock_nanosleep(clock, flags, time, left);
  }
  nanoseconds rest{};
  if (!relative) return sleep_until(clock, to_chrono(*time), rest);
  int error;
  if (steady) {
    error = sleep_for(to_chrono(*time), rest);
  } else {
    nanoseconds now{};
    read_clock(clock, now);
    error = sleep_until(clock, now + to_chrono(*time), rest);
  }
  if (error != 0 && left != nullptr) *left = to_timespec(rest);
  return error;
}

int nanosleep(const timespec* duration, timespec* left) noexcept {
  if (!is_time(duration)) return native::nanosleep(duration, left);
  int error = green::clock_nanosleep(CLOCK_REALTIME, 0, duration, left);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

// The rest in whole seconds.
unsigned sleep(unsigned seconds) noexcept {
  nanoseconds rest{};
  int error = sleep_for(std::chrono::seconds(seconds), rest);
  if (error == 0) return 0;
  errno = error;
  return static_cast<unsigned>(rest / std::chrono::seconds(1));
}

int usleep(useconds_t microseconds) noexcept {
  nanoseconds rest{};
  int error = sleep_for(std::chrono::microseconds(microseconds), rest);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

// -1 is a handler, -2 everything else; a kill also tells errno.
int thrd_sleep(const timespec* duration, timespec* left) noexcept {
  if (!is_time(duration)) return native::thrd_sleep(duration, left);
  int error = green::clock_nanosleep(CLOCK_REALTIME, 0, duration, left);
  if (error == 0) return 0;
  if (error == EINTR) return -1;
  errno = error;
  return -2;
}

}  // namespace fern::monkey::green
