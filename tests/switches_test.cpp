#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>

#include "children.hpp"
#include "fern/debug.hpp"
#include "fern/errors.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/raw_greenlet.hpp"
#include "support.hpp"

namespace {

using namespace std::chrono_literals;
using fern::assert_switches;
using fern::FailedToSwitch;

class SwitchesTest : public FernTest {
 protected:
  // Keeps the thread for at least so long.
  static void block(std::chrono::nanoseconds time) { std::this_thread::sleep_for(time); }

  template <class F>
  static std::string failure_of(F&& f) {
    try {
      f();
    } catch (const FailedToSwitch& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(SwitchesTest, AFunctionThatWaitsPasses) {
  EXPECT_EQ(assert_switches([] {
              fern::sleep(1ms);
              return 3;
            }),
            3);
  assert_switches([] { fern::spawn([] {}).join(); });
  auto other = fern::spawn([] { fern::yield(); });
  assert_switches([] { fern::yield(); });
  other.join();
}

TEST_F(SwitchesTest, SwitchesByHandCountToo) {
  fern::RawGreenlet other([] {
    block(8ms);
    fern::getcurrent().parent().switch_to();
    fern::sleep(1ms);
  });
  assert_switches([&] { other.switch_to(); });
  EXPECT_NE(failure_of([&] { assert_switches(5ms, [] { block(6ms); }); }), "");
  fern::RawGreenlet slow([] { block(30ms); });
  assert_switches(20ms, [&] { slow.switch_to(); });  // it was not this one that ran so long
  assert_switches(1h, [&] { other.switch_to(); });   // it waits, and ends
  EXPECT_TRUE(other.ready());
}

TEST_F(SwitchesTest, OneThatDoesNotFails) {
  auto greenlet = fern::spawn(fern::SpawnOptions{.name = "busy"},
                              [] { return failure_of([] { assert_switches([] {}); }); });
  EXPECT_EQ(greenlet.get(), "greenlet busy did not switch");
  // A set Event costs no switch.
  fern::Event set;
  set.set();
  EXPECT_THROW(assert_switches([&] { return set.wait(); }), FailedToSwitch);
}

TEST_F(SwitchesTest, WithALimitEachStretchCounts) {
  EXPECT_NE(failure_of([] { assert_switches(5ms, [] { block(6ms); }); }), "");
  EXPECT_NE(failure_of([] {
              assert_switches(5ms, [] {
                fern::sleep(1ms);
                block(6ms);  // in the middle
                fern::sleep(1ms);
              });
            }),
            "");
  EXPECT_NE(failure_of([] {
              assert_switches(5ms, [] {
                fern::sleep(1ms);
                block(6ms);  // at the end
              });
            }),
            "");
  std::string text = failure_of([] { assert_switches(5ms, [] { block(6ms); }); });
  EXPECT_NE(text.find("ms without a switch, and 5 ms are the limit"), std::string::npos) << text;
}

TEST_F(SwitchesTest, WhatOthersDoAndHowLongItWaitsDoesNotCount) {
  bool done = false;
  auto hog = fern::spawn([&] {
    while (!done) {
      block(3ms);
      fern::yield();
    }
  });
  // Long waits, but short runs: only a thread that the system stops for so long could fail here.
  assert_switches(10s, [] {
    for (int i = 0; i < 3; ++i) fern::yield();
    fern::sleep(20ms);
  });
  done = true;
  hog.join();
}

TEST_F(SwitchesTest, ScopesNestAndRunSideBySide) {
  auto watched = [](std::chrono::nanoseconds time) {
    return failure_of([time] {
      assert_switches(5ms, [time] {
        fern::yield();
        EXPECT_NO_THROW(assert_switches([] { fern::yield(); }));
        if (time > 0s) block(time);
        fern::yield();
      });
    });
  };
  auto slow = fern::spawn(watched, 6ms);
  auto other = fern::spawn([] { return assert_switches(10s, [] { return fern::sleep(2ms), 1; }); });
  EXPECT_NE(slow.get(), "");
  EXPECT_EQ(other.get(), 1);
}

TEST_F(SwitchesTest, TheFunctionsOwnExceptionGoesOn) {
  EXPECT_THROW(assert_switches([] { throw std::out_of_range("x"); }), std::out_of_range);
  auto killed = fern::spawn([] { assert_switches(1ms, [] { fern::sleep(1h); }); });
  fern::yield();
  killed.kill();
  EXPECT_TRUE(killed.killed());
}

TEST_F(SwitchesTest, GivesWhateverTheFunctionReturns) {
  int number = 0;
  static_assert(
      std::is_same_v<decltype(assert_switches(1s, [&]() -> int& { return number; })), int&>);
  EXPECT_EQ(&assert_switches(10s, [&]() -> int& { return number; }), &number);
  EXPECT_EQ(*assert_switches(10s, [] { return std::make_unique<int>(2); }), 2);
}

TEST_F(SwitchesTest, InTheHubItIsRefused) {
  fern::Event tried;
  fern::Hub::current().post([&] {
    EXPECT_THROW(assert_switches([] {}), fern::BlockingInHub);
    tried.set();
  });
  tried.wait();
}

TEST_F(SwitchesTest, SwitchesAreCountedAsEver) {
  auto round = [] {
    auto before = fern::Hub::current().switches();
    auto other = fern::spawn([] {
      for (int i = 0; i < 50; ++i) fern::yield();
    });
    for (int i = 0; i < 50; ++i) fern::yield();
    other.join();
    return fern::Hub::current().switches() - before;
  };
  auto plain = round();
  auto watched = assert_switches(10s, round);
  EXPECT_GE(watched, 100U);
  EXPECT_GE(plain, 100U);
  EXPECT_LE(watched, plain + 5);
}

TEST_F(SwitchesTest, AForkedChildGoesOnMeasuring) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  auto other = fern::spawn([] { assert_switches(10s, [] { fern::sleep(1h); }); });
  fern::yield();
  assert_switches(10s, [] {
    EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([] {
      fern::sleep(1ms);
      return failure_of([] { assert_switches([] {}); }).empty() ? 1 : 0;
    })));
    fern::sleep(1ms);
  });
  other.kill();
}

}  // namespace
