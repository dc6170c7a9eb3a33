#include "fern/signal.hpp"

#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "children.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "support.hpp"

using namespace std::chrono_literals;

namespace {

class SignalTest : public FernTest {};

TEST_F(SignalTest, RunsTheFunctionInAGreenletForEachArrival) {
  int seen = 0;
  fern::Event arrived;
  auto handler = fern::on_signal(SIGUSR1, [&](int number) {
    fern::sleep(1ms);  // it may wait
    seen += number;
    arrived.set();
  });
  EXPECT_TRUE(handler.active());
  for (int i = 1; i <= 3; ++i) {
    ::raise(SIGUSR1);
    EXPECT_TRUE(arrived.wait(20s));
    arrived.clear();
    EXPECT_EQ(seen, i * SIGUSR1);
  }
}

TEST_F(SignalTest, WakesAHubThatSleeps) {
  fern::Event arrived;
  auto handler = fern::on_signal(SIGUSR1, [&] { arrived.set(); });
  std::thread other([main = ::pthread_self()] {
    std::this_thread::sleep_for(5ms);
    ::pthread_kill(main, SIGUSR1);
  });
  arrived.wait();  // without a deadline: a signal is enough to wait for
  other.join();
}

TEST_F(SignalTest, SeveralHandlersOfOneSignalAllRun) {
  int ran = 0;
  auto one = fern::on_signal(SIGUSR1, [&] { ++ran; });
  {
    auto two = fern::on_signal(SIGUSR1, [&] { ++ran; });
    ::raise(SIGUSR1);
    while (ran < 2) fern::sleep(100us);
  }
  ::raise(SIGUSR1);
  while (ran < 3) fern::sleep(100us);
  fern::sleep(1ms);
  EXPECT_EQ(ran, 3);
}

TEST_F(SignalTest, AHandlerMayCancelItselfAndItsFunctionRunsOn) {
  std::string log;
  fern::SignalHandler handler;
  handler = fern::on_signal(SIGUSR1, [&, long_lived = std::string(100, 'x')] {
    handler.cancel();
    fern::sleep(1ms);
    log += long_lived;
  });
  ::raise(SIGUSR1);
  while (log.empty()) fern::sleep(100us);
  EXPECT_EQ(log, std::string(100, 'x'));
  EXPECT_FALSE(handler.active());
  handler.cancel();
}

TEST_F(SignalTest, TheDispositionIsTheDefaultWhenNobodyListens) {
  struct sigaction now;
  {
    auto handler = fern::on_signal(SIGUSR2, [] {});
    ASSERT_EQ(::sigaction(SIGUSR2, nullptr, &now), 0);
    EXPECT_NE(now.sa_handler, SIG_DFL);
    auto moved = std::move(handler);
    EXPECT_FALSE(handler.active());
    EXPECT_TRUE(moved.active());
  }
  ASSERT_EQ(::sigaction(SIGUSR2, nullptr, &now), 0);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

TEST_F(SignalTest, WhatCannotBeCaughtIsAnError) {
  for (int number : {SIGKILL, SIGSTOP, 0, -1, 1000}) {
    try {
      auto handler = fern::on_signal(number, [] {});
      ADD_FAILURE() << "nothing was thrown for " << number;
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code(), std::errc::invalid_argument);
    }
  }
}

TEST_F(SignalTest, SignalsInTheMiddleOfSwitchesAreAllServed) {
  int ran = 0;
  auto handler = fern::on_signal(SIGUSR1, [&] { ++ran; });
  bool done = false;
  auto busy = fern::spawn([&] {
    while (!done) fern::yield();
  });
  std::thread other([main = ::pthread_self()] {
    for (int i = 0; i < 200; ++i) {
      ::pthread_kill(main, SIGUSR1);
      std::this_thread::sleep_for(20us);
    }
  });
  fern::sleep(20ms);
  other.join();
  fern::sleep(1ms);
  EXPECT_GT(ran, 0);
  done = true;
  busy.join();
}

TEST_F(SignalTest, AChildIsHeardOf) {
  fern::Event ended;
  auto handler = fern::on_signal(SIGCHLD, [&] { ended.set(); });
  EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([] { return 0; })));
  EXPECT_TRUE(ended.wait(20s));
}

TEST_F(SignalTest, AForkedChildGoesOnListening) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  int ran = 0;
  fern::Event arrived;
  auto handler = fern::on_signal(SIGUSR1, [&] {
    ++ran;
    arrived.set();
  });
  EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([&] {
    fern::sleep(1ms);
    ::raise(SIGUSR1);
    return arrived.wait(20s) ? 0 : 1;
  })));
  fern::sleep(1ms);
  EXPECT_EQ(ran, 0);
}

TEST_F(SignalTest, AHandlerMayOutliveItsHub) {
  may_keep_heap("a thread's hub is kept for the next thread");
  fern::SignalHandler left;
  fern::testing::in_thread([&] { left = fern::on_signal(SIGUSR2, [] {}); });
  struct sigaction now;
  ASSERT_EQ(::sigaction(SIGUSR2, nullptr, &now), 0);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
  fern::testing::in_thread([&] {
    // The hub that had it serves another thread now, which a signal cannot wake.
    left.cancel();
    fern::Event never;
    EXPECT_FALSE(never.wait(1ms));
  });
}

TEST_F(SignalTest, AHandlerMayBeCancelledInAnotherThread) {
  may_keep_heap("a thread's hub is kept for the next thread");
  auto handler = fern::on_signal(SIGUSR2, [] {});
  fern::testing::in_thread([&] { handler.cancel(); });
  fern::sleep(1ms);
  struct sigaction now;
  ASSERT_EQ(::sigaction(SIGUSR2, nullptr, &now), 0);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

}  // namespace
