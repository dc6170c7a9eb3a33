// The truth about the sleep family.

#include "monkey/truth.hpp"

#include <ctime>

using namespace fern::truth;

namespace {

std::chrono::nanoseconds now(clockid_t clock = CLOCK_MONOTONIC) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

timespec later(clockid_t clock, std::chrono::nanoseconds by) {
  std::chrono::nanoseconds at = now(clock) + by;
  return {at.count() / 1'000'000'000, at.count() % 1'000'000'000};
}

using std::chrono::milliseconds;

const Rows sleep_rows(
    "Sleep",
    {
        {"sleep of nothing", [](World& world) { world.call("sleep", [] { return sleep(0); }); }},
        {"sleep of a second",
         [](World& world) {
           world.timed_call("sleep", milliseconds(1000), [] { return sleep(1); });
         }},
        {"usleep",
         [](World& world) {
           world.call("usleep", [] { return usleep(0); });
           world.timed_call("usleep", milliseconds(20), [] { return usleep(20'000); });
         }},
        {"usleep of more than a second",
         [](World& world) {
           world.timed_call("usleep", milliseconds(1010), [] { return usleep(1'010'000); });
         }},
        {"nanosleep",
         [](World& world) {
           timespec time{0, 20'000'000};
           timespec left{7, 8};
           world.timed_call("nanosleep", milliseconds(20), [&] { return nanosleep(&time, &left); });
           world.note("left", left.tv_sec);
           world.timed_call("nanosleep", milliseconds(20),
                            [&] { return nanosleep(&time, nullptr); });
           world.timed_call("nanosleep", milliseconds(20), [&] { return nanosleep(&time, &time); });
           world.note("time", time.tv_nsec);
         }},
        {"nanosleep of nothing",
         [](World& world) {
           timespec time{0, 0};
           world.call("nanosleep", [&] { return nanosleep(&time, nullptr); });
         }},
        {"nanosleep of what is no time",
         [](World& world) {
           for (timespec time : {timespec{0, 1'000'000'000}, timespec{0, -1}, timespec{-1, 0},
                                 timespec{1, 2'000'000'000}}) {
             world.call("nanosleep", [&] { return nanosleep(&time, nullptr); });
           }
         }},
        {"nanosleep of no pointer",
         [](World& world) {
           world.call("nanosleep", [] { return nanosleep(null<timespec>(), nullptr); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"clock_nanosleep for a time",
         [](World& world) {
           for (clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI}) {
             timespec time{0, 20'000'000};
             world.timed_call("clock_nanosleep", milliseconds(20),
                              [&] { return clock_nanosleep(clock, 0, &time, nullptr); });
           }
         }},
        {"clock_nanosleep until a time",
         [](World& world) {
           for (clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI}) {
             timespec time = later(clock, milliseconds(20));
             world.waiting_call("clock_nanosleep", [&] {
               return clock_nanosleep(clock, TIMER_ABSTIME, &time, nullptr);
             });
             world.note("late enough", now(clock) >= std::chrono::seconds(time.tv_sec) +
                                                         std::chrono::nanoseconds(time.tv_nsec));
           }
         }},
        {"clock_nanosleep until a time that has passed",
         [](World& world) {
           for (clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC}) {
             timespec time = later(clock, -milliseconds(20));
             world.call("clock_nanosleep",
                        [&] { return clock_nanosleep(clock, TIMER_ABSTIME, &time, nullptr); });
             timespec never{0, 0};
             world.call("clock_nanosleep",
                        [&] { return clock_nanosleep(clock, TIMER_ABSTIME, &never, nullptr); });
           }
         }},
        {"clock_nanosleep of what is no time",
         [](World& world) {
           for (int flags : {0, TIMER_ABSTIME}) {
             for (timespec time : {timespec{0, 1'000'000'000}, timespec{0, -1}, timespec{-1, 0}}) {
               world.call("clock_nanosleep",
                          [&] { return clock_nanosleep(CLOCK_MONOTONIC, flags, &time, nullptr); });
             }
           }
         }},
        {"clock_nanosleep of a clock that does not do",
         [](World& world) {
           timespec time{0, 1};
           for (clockid_t clock : {CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
                                   CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, 99, -1}) {
             world.call("clock_nanosleep",
                        [&] { return clock_nanosleep(clock, 0, &time, nullptr); });
           }
         }},
        {"clock_nanosleep with flags that nobody knows",
         [](World& world) {
           timespec time{0, 1};
           world.call("clock_nanosleep",
                      [&] { return clock_nanosleep(CLOCK_MONOTONIC, 2, &time, nullptr); });
           world.call("clock_nanosleep", [&] {
             return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME | 64, &time, nullptr);
           });
         }},
        {"clock_nanosleep of no pointer",
         [](World& world) {
           world.call("clock_nanosleep", [] {
             return clock_nanosleep(CLOCK_MONOTONIC, 0, null<timespec>(), nullptr);
           });
         },
         In::Greenlet, FERN_TRUTH_WILD},
    });

}  // namespace
