// Raw greenlets that park, are killed and time out, and what the hub makes of them.
// conformance/greenlet_test.cpp.
#include <fern/debug.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/raw_greenlet.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <sstream>
#include <stdexcept>
#include <string>

#include "raw_greenlets.hpp"

using namespace std::chrono_literals;
using fern::getcurrent;
using fern::GreenletError;
using fern::RawGreenlet;

namespace {

std::string dumped() {
  std::ostringstream out;
  fern::dump(out);
  return out.str();
}

}  // namespace

TEST_F(RawGreenletTest, ParksLikeAnyOtherWhileWhoSwitchedToItStaysSuspended) {
  RawGreenlet g([&] {
    log("sleeps");
    fern::sleep(1ms);
    log("wakes");
    return 5;
  });
  auto other = fern::spawn([&] { log("other"); });
  EXPECT_EQ(g.switch_to().get<int>(), 5);
  log("main");
  EXPECT_EQ(text, "sleeps other wakes main ");
  other.join();
}

TEST_F(RawGreenletTest, ServesGreenletsOfTheHubEachWithItsOwn) {
  fern::Event ready;
  auto worker = [&](int from) {
    RawGreenlet numbers([from, &ready] {
      auto consumer = getcurrent().parent();
      for (int i = 0; i < 3; ++i) {
        ready.wait();
        consumer.switch_to(from + i);
      }
    });
    int sum = 0;
    for (;;) {
      auto next = numbers.switch_to();
      if (next.empty()) return sum;
      sum += next.get<int>();
      fern::yield();
    }
  };
  auto a = fern::spawn(worker, 1);
  auto b = fern::spawn(worker, 10);
  fern::yield();
  EXPECT_TRUE(says(dumped(), "suspended in switch_to()"));
  ready.set();
  EXPECT_EQ(a.get(), 1 + 2 + 3);
  EXPECT_EQ(b.get(), 10 + 11 + 12);
}

TEST_F(RawGreenletTest, YieldsToOthersThatAreReady) {
  auto other = fern::spawn([&] { log("other"); });
  RawGreenlet g([&] {
    fern::yield();
    log("raw");
  });
  g.switch_to();
  EXPECT_EQ(text, "other raw ");
  other.join();
}

TEST_F(RawGreenletTest, RefusesToResumeWhatTheHubWillResume) {
  fern::Event event;
  RawGreenlet waiter;
  auto greenlet = fern::spawn([&] {
    waiter = getcurrent();
    event.wait();
    fern::yield();
    log("waited");
  });
  fern::yield();
  RawGreenlet g([&] {
    for (auto* when : {"parked", "ready", "running"}) {
      EXPECT_THROW(waiter.switch_to(1), GreenletError) << when;
      EXPECT_THROW(waiter.throw_in(error("no")), GreenletError) << when;
      EXPECT_EQ(text, "") << when;
      event.set();
    }
    try {
      getcurrent().parent().throw_in(error("to the parent"));
    } catch (const GreenletError& refused) {
      log("refused");
    }
  });
  EXPECT_THROW(g.switch_to(), std::runtime_error);
  g = {};
  greenlet.join();
  EXPECT_EQ(text, "waited ");
}

TEST_F(RawGreenletTest, GreenletsOfSpawnCanBeSwitchedToWhileTheyAreSuspendedByHand) {
  RawGreenlet scheduled;
  RawGreenlet parks([&] {
    fern::sleep(1ms);
    log("parked one ends");
  });
  auto greenlet = fern::spawn([&] {
    scheduled = getcurrent();
    EXPECT_EQ(scheduled.parent().name(), "main");
    EXPECT_THROW(scheduled.set_parent(parks), GreenletError);
    return parks.switch_to().get<int>();
  });
  fern::yield();
  // The value is dropped: whoever wanted it waits for something else.
  RawGreenlet([&] { scheduled.switch_to(7); }).switch_to();
  EXPECT_EQ(greenlet.get(), 7);
  EXPECT_TRUE(scheduled.dead());
  parks.join();
  EXPECT_EQ(text, "parked one ends ");
}

TEST_F(RawGreenletTest, AnExceptionWhoseParentWaitsForSomethingElseIsPrinted) {
  ::testing::internal::CaptureStderr();
  RawGreenlet parks(fern::SpawnOptions{.name = "thrower"}, [] {
    fern::sleep(1ms);
    throw std::runtime_error("nobody listens");
  });
  EXPECT_FALSE(fern::with_timeout_silent(1ns, [&] { parks.switch_to(); }));
  EXPECT_TRUE(parks.join());
  auto said = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(says(said, "thrower") && says(said, "nobody listens")) << said;
}

TEST_F(RawGreenletTest, ATimeoutScopeOfTheCallersLimitsTheSwitch) {
  RawGreenlet g([&] {
    fern::sleep(2ms);
    log("goes on alone");
    return 1;
  });
  EXPECT_EQ(fern::with_timeout(1us, [&] { return g.switch_to().get<int>(); }, -1), -1);
  EXPECT_FALSE(g.dead());
  EXPECT_TRUE(g.join());
  EXPECT_EQ(text, "goes on alone ");
}

TEST_F(RawGreenletTest, ATimeoutThatIsCancelledBeforeItsTurnIsNotThrown) {
  fern::Event go;
  fern::Timeout* scope = nullptr;
  auto limited = fern::spawn([&] {
    RawGreenlet waits([&] {
      go.wait();
      return 3;
    });
    fern::Timeout timeout(1ms);
    scope = &timeout;
    return waits.switch_to().get<int>();
  });
  auto canceller = fern::spawn([&] {
    while (scope == nullptr || !scope->expired()) fern::yield();
    scope->cancel();
  });
  canceller.join();
  fern::yield();
  fern::yield();
  EXPECT_FALSE(limited.ready());
  go.set();
  EXPECT_EQ(limited.get(), 3);
}

TEST_F(RawGreenletTest, AKillUnwindsTheCallerAndLeavesTheOtherToTheHub) {
  RawGreenlet g([&] {
    fern::sleep(1ms);
    log("ends");
  });
  auto caller = fern::spawn([&] {
    OnExit unwound{[&] { log("unwound"); }};
    g.switch_to();
  });
  fern::yield();
  EXPECT_TRUE(caller.kill());
  EXPECT_TRUE(caller.killed());
  EXPECT_FALSE(g.dead());
  g.join();
  EXPECT_EQ(text, "unwound ends ");
}

TEST_F(RawGreenletTest, AKillOfOneThatIsSuspendedUnwindsItAndGoesToItsParent) {
  RawGreenlet g([&] {
    OnExit unwound{[&] { log("unwound"); }};
    suspend();
  });
  g.switch_to();
  EXPECT_TRUE(g.kill());
  EXPECT_TRUE(g.killed());
  EXPECT_EQ(text, "unwound ");
  RawGreenlet never([&] { log("never"); });
  EXPECT_TRUE(never.kill());
  EXPECT_TRUE(never.killed());
  EXPECT_FALSE(never.active());
  EXPECT_EQ(text, "unwound ");
}

TEST_F(RawGreenletTest, AKillThatIsPendingIsThrownBeforeTheSwitch) {
  RawGreenlet g([&] { log("never"); });
  auto caller = fern::spawn([&] {
    auto me = fern::current_greenlet();
    {
      fern::ShieldKill shield;
      me.kill({.block = false});
      RawGreenlet([&] { log("shielded"); }).switch_to();
    }
    g.switch_to();
  });
  caller.join();
  EXPECT_TRUE(caller.killed());
  EXPECT_EQ(text, "shielded ");
}

TEST_F(RawGreenletTest, LoopExitIsThrownFromTheSwitchWhenNobodyCanWakeAnybody) {
  fern::Event never;
  RawGreenlet g([&] { never.wait(); });
  try {
    g.switch_to();
    FAIL();
  } catch (const fern::LoopExit& exit) {
    EXPECT_TRUE(says(exit.what(), "main (id 0): suspended in switch_to()")) << exit.what();
  }
  EXPECT_TRUE(g.kill());
}

TEST_F(RawGreenletTest, LoopExitListsACallerWhoseResultWentElsewhere) {
  // The parent, main, waits in join(): the value is dropped, and the caller waits for ever.
  RawGreenlet g([] { return 5; });
  auto caller = fern::spawn(fern::SpawnOptions{.name = "stuck"}, [&] { g.switch_to(); });
  try {
    caller.join();
    FAIL();
  } catch (const fern::LoopExit& exit) {
    EXPECT_TRUE(says(exit.what(), "stuck")) << exit.what();
    EXPECT_TRUE(says(exit.what(), "suspended in switch_to()")) << exit.what();
  }
  EXPECT_TRUE(g.dead());
  caller.kill();
}

TEST_F(RawGreenletTest, CannotBeUsedOnTheHubsOwnStack) {
  RawGreenlet g([&] { log("ran"); });
  RawGreenlet suspended(suspend);
  suspended.switch_to();
  fern::Event done;
  fern::Hub::current().post([&] {
    EXPECT_THROW(g.switch_to(), fern::BlockingInHub);
    EXPECT_THROW(g.throw_in(), fern::BlockingInHub);
    EXPECT_THROW(suspended.switch_to(), fern::BlockingInHub);
    EXPECT_EQ(getcurrent().name(), "main");
    EXPECT_EQ(RawGreenlet([] {}).parent().name(), "main");
    done.set();
  });
  done.wait();
  EXPECT_EQ(text, "");
  g.switch_to();
  EXPECT_EQ(text, "ran ");
}

TEST_F(RawGreenletTest, CanBeJoinedAndLinkedLikeAnyGreenlet) {
  RawGreenlet g([] { fern::sleep(1ms); });
  RawGreenlet fails([] { throw std::runtime_error("failed"); });
  g.link([&](fern::AnyGreenlet ended) { log(ended == g ? "linked" : "?"); });
  auto starter = fern::spawn([&] { g.switch_to(); });
  EXPECT_EQ(fern::joinall({g}).size(), 1u);
  EXPECT_TRUE(g.successful());
  fern::yield();
  EXPECT_EQ(text, "linked ");
  // Its parent, main, was waiting for it in joinall(), not in a switch.
  EXPECT_FALSE(starter.ready());
  starter.kill();
  EXPECT_THROW(fails.switch_to(), std::runtime_error);
  EXPECT_THROW(fails.get(), std::runtime_error);
}
