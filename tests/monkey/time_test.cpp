// Sleeps of libc park, and say of themselves what the native ones say.

#include "monkey/patched.hpp"

#include <signal.h>
#include <sys/time.h>
#include <threads.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <functional>
#include <vector>

using namespace std::chrono_literals;

namespace {

// The compiler knows nothing of what this returns.
template <class T>
T* unknown(T* pointer) {
  asm volatile("" : "+r"(pointer));
  return pointer;
}

class MonkeyTime : public MonkeyTest {
 protected:
  ~MonkeyTime() override {
    itimerval off{};
    setitimer(ITIMER_REAL, &off, nullptr);
    signal(SIGALRM, SIG_DFL);
  }

  // A handler with SA_RESTART, which restarts no sleep, every so often until done with.
  static void interrupt_every(std::chrono::microseconds time) {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, nullptr);
    itimerval timer{{time / 1s, time % 1s / 1us}, {time / 1s, time % 1s / 1us}};
    setitimer(ITIMER_REAL, &timer, nullptr);
  }

  static timespec in(std::chrono::nanoseconds time, clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    time += std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
    return {time / 1s, time % 1s / 1ns};
  }
};

TEST_F(MonkeyTime, EverySleepLetsOthersRunAndLastsLongEnough) {
  timespec time{0, 5'000'000};
  std::vector<std::function<int()>> sleeps = {
      [&] { return nanosleep(&time, nullptr); },
      [&] { return clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr); },
      [&] { return clock_nanosleep(CLOCK_REALTIME, 0, &time, nullptr); },
      [&] { return clock_nanosleep(CLOCK_BOOTTIME, 0, &time, nullptr); },
      [&] { return clock_nanosleep(CLOCK_TAI, 0, &time, nullptr); },
      [&] { return thrd_sleep(&time, nullptr); },
      [&] { return usleep(5'000); },
      [&] {
        timespec until = in(5ms, CLOCK_REALTIME);
        return clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, nullptr);
      },
      [&] {
        timespec until = in(5ms, CLOCK_MONOTONIC);
        return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
      },
  };
  for (std::size_t i = 0; i < sleeps.size(); ++i) {
    bool ran = false;
    auto other = fern::spawn([&] { ran = true; });
    auto begin = std::chrono::steady_clock::now();
    errno = 77;
    EXPECT_EQ(sleeps[i](), 0) << i;
    EXPECT_EQ(errno, 77) << i;
    EXPECT_TRUE(ran) << i;
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 4900us) << i;
    other.join();
  }
}

TEST_F(MonkeyTime, SleepingUntilThePastIsNoSleep) {
  timespec past{1, 0};
  EXPECT_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &past, nullptr), 0);
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, nullptr), 0);
}

TEST_F(MonkeyTime, WhatIsNoTimeIsRefusedAsNatively) {
  timespec wrong{0, 1'000'000'000};
  EXPECT_EQ(nanosleep(&wrong, nullptr), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(clock_nanosleep(CLOCK_REALTIME, 0, &wrong, nullptr), EINVAL);
  wrong = {-1, 0};
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wrong, nullptr), EINVAL);
  EXPECT_EQ(thrd_sleep(&wrong, nullptr), -2);
  EXPECT_EQ(nanosleep(unknown<timespec>(nullptr), nullptr), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, unknown<timespec>(nullptr), nullptr), EFAULT);
}

TEST_F(MonkeyTime, ClocksThatNobodyCanSleepOnAreRefusedAsNatively) {
  timespec time{0, 0};
  EXPECT_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &time, nullptr), EINVAL);
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &time, nullptr), EOPNOTSUPP);
  EXPECT_EQ(clock_nanosleep(99, 0, &time, nullptr), EINVAL);
}

TEST_F(MonkeyTime, TheProcessorsClockGoesOnWhileOthersWork) {
  bool end = false;
  auto worker = fern::spawn([&] {
    while (!end) fern::yield();
  });
  timespec time{0, 10'000'000};
  std::clock_t begin = std::clock();
  EXPECT_EQ(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &time, nullptr), 0);
  EXPECT_GE(std::clock() - begin, CLOCKS_PER_SEC / 200);
  end = true;
  worker.join();
}

TEST_F(MonkeyTime, AnyHandlerEndsANanosleepAndTellsWhatIsLeft) {
  interrupt_every(10ms);
  timespec time{60, 0};
  EXPECT_EQ(nanosleep(&time, &time), -1);
  EXPECT_EQ(errno, EINTR);
  EXPECT_EQ(time.tv_sec, 59);
  interrupt_every(10ms);
  timespec untouched{7, 7};
  timespec until = in(60s, CLOCK_MONOTONIC);
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, &untouched), EINTR);
  EXPECT_EQ(untouched.tv_sec, 7);
}

TEST_F(MonkeyTime, SleepReturnsTheWholeSecondsThatAreLeft) {
  interrupt_every(10ms);
  EXPECT_EQ(sleep(3), 2u);
  EXPECT_EQ(errno, EINTR);
  interrupt_every(10ms);
  EXPECT_EQ(usleep(5'000'000), -1);
  EXPECT_EQ(errno, EINTR);
}

TEST_F(MonkeyTime, ThrdSleepTellsAHandlerFromTheRest) {
  interrupt_every(10ms);
  timespec time{60, 0};
  timespec left{};
  EXPECT_EQ(thrd_sleep(&time, &left), -1);
  EXPECT_EQ(left.tv_sec, 59);
  interrupt_every(0ms);
  int result = 0;
  auto victim = fern::spawn([&] { result = thrd_sleep(&time, nullptr); });
  fern::yield();
  victim.kill();
  EXPECT_EQ(result, -2);
}

TEST_F(MonkeyTime, AKilledSleeperIsToldAndKnowsWhatIsLeft) {
  timespec time{60, 0};
  unsigned left = 0;
  auto victim = fern::spawn([&] {
    EXPECT_EQ(nanosleep(&time, &time), -1);
    EXPECT_EQ(errno, ECANCELED);
    left = sleep(10);
  });
  fern::yield();
  victim.kill();
  EXPECT_EQ(time.tv_sec, 59);
  EXPECT_GE(left, 9u);
}

}  // namespace
