// Kills and Timeouts reach C code as errnos, and its greenlet as what they are.

#include "monkey/patched.hpp"

#include <cerrno>
#include <string>

using namespace std::chrono_literals;

namespace {

class MonkeyTold : public MonkeyTest {};

TEST_F(MonkeyTold, AKillEndsAWrappedWaitWithEcanceled) {
  Pair pair;
  int error = 0;
  auto victim = fern::spawn([&] {
    char byte;
    EXPECT_EQ(recv(pair[0], &byte, 1, 0), -1);
    error = errno;
  });
  fern::yield();
  victim.kill();
  EXPECT_EQ(error, ECANCELED);
  EXPECT_TRUE(victim.killed());
}

TEST_F(MonkeyTold, EveryLaterWrappedWaitOfAKilledGreenletEndsTheSame) {
  Pair pair;
  int refused = 0;
  int others = 0;
  bool end = false;
  auto other = fern::spawn([&] {
    while (!end) {
      ++others;
      fern::yield();
    }
  });
  auto victim = fern::spawn([&] {
    char byte;
    for (int i = 0; i < 100; ++i) {
      if (recv(pair[0], &byte, 1, 0) == -1 && errno == ECANCELED) ++refused;
    }
  });
  fern::yield();
  victim.kill();
  EXPECT_EQ(refused, 100);
  EXPECT_GE(others, 100);
  end = true;
  other.join();
}

TEST_F(MonkeyTold, CodeThatIgnoresItsEndForAThousandTimesSleeps) {
  Pair pair;
  auto victim = fern::spawn([&] {
    char byte;
    for (int i = 0; i < 1020; ++i) recv(pair[0], &byte, 1, 0);
  });
  fern::yield();
  auto begin = std::chrono::steady_clock::now();
  victim.kill();
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
}

TEST_F(MonkeyTold, CodeThatIgnoresItsEndIsNamedByTheDetector) {
  may_keep_heap("the detector's lists");
  Pair pair;
  std::string report;
  {
    fern::debug::BlockingDetector detector(1h, [&](const std::string& text) { report += text; });
    auto victim = fern::spawn({.name = "deaf"}, [&] {
      char byte;
      for (int i = 0; i < 1010; ++i) recv(pair[0], &byte, 1, 0);
    });
    fern::yield();
    victim.kill();
  }
  EXPECT_TRUE(says(report, "greenlet deaf (id ")) << report;
  EXPECT_TRUE(says(report, "ignored that 1000 times\n")) << report;
}

TEST_F(MonkeyTold, TheKillIsThrownAtTheNextWaitOfFerns) {
  Pair pair;
  bool after = false;
  auto victim = fern::spawn([&] {
    char byte;
    recv(pair[0], &byte, 1, 0);
    fern::sleep(1h);
    after = true;
  });
  fern::yield();
  victim.kill();
  EXPECT_TRUE(victim.killed());
  EXPECT_FALSE(after);
}

TEST_F(MonkeyTold, WhatTheCodeThrowsAboutTheErrnoDoesNotHideTheKill) {
  Pair pair;
  auto victim = fern::spawn([&] {
    char byte;
    if (recv(pair[0], &byte, 1, 0) < 0) throw std::runtime_error("connection lost");
  });
  fern::yield();
  victim.kill();
  EXPECT_TRUE(victim.killed());
}

TEST_F(MonkeyTold, AKillByAnExceptionOfOnesOwnIsTheEnd) {
  Pair pair;
  auto victim = fern::spawn([&] {
    char byte;
    recv(pair[0], &byte, 1, 0);
  });
  fern::yield();
  victim.kill({.exception = std::make_exception_ptr(std::runtime_error("shut down"))});
  EXPECT_FALSE(victim.successful());
  EXPECT_THROW(victim.get(), std::runtime_error);
}

TEST_F(MonkeyTold, ATimeoutScopeEndsAWrappedWaitWithEtimedout) {
  Pair pair;
  fern::Timeout timeout(10ms);
  char byte;
  EXPECT_EQ(recv(pair[0], &byte, 1, 0), -1);
  EXPECT_EQ(errno, ETIMEDOUT);
  EXPECT_TRUE(timeout.expired());
  EXPECT_EQ(usleep(1), -1);
  EXPECT_EQ(errno, ETIMEDOUT);
  try {
    fern::sleep(1h);
    ADD_FAILURE() << "slept";
  } catch (const fern::TimeoutError& error) {
    EXPECT_TRUE(timeout.owns(error));
  }
}

TEST_F(MonkeyTold, WithTimeoutThrowsWhenTheCodeEndsWithoutAWaitOfFerns) {
  Pair pair;
  auto receive = [&] {
    char byte;
    return recv(pair[0], &byte, 1, 0);
  };
  EXPECT_THROW(fern::with_timeout(10ms, receive), fern::TimeoutError);
  EXPECT_EQ(fern::with_timeout(10ms, receive, -7), -7);
  EXPECT_FALSE(fern::with_timeout_silent(10ms, receive));
}

TEST_F(MonkeyTold, AScopeThatExpiredUnnoticedIsStillLeftInPeace) {
  auto busy = [] {
    auto end = std::chrono::steady_clock::now() + 5ms;
    while (std::chrono::steady_clock::now() < end) {
    }
    return 1;
  };
  EXPECT_EQ(fern::with_timeout(1ms, busy), 1);
}

}  // namespace
