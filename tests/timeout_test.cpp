// Timeout scopes, and what holds them back. Around a function: with_timeout_test.cpp.
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/timeout.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "support.hpp"

using namespace std::chrono_literals;
using fern::Timeout;
using fern::TimeoutError;
using std::chrono::steady_clock;

namespace {

using TimeoutTest = FernTest;

// Computes, without a wait, until the scope's time has come; the hub finds out at its next look.
void compute(std::chrono::nanoseconds duration) {
  for (auto end = steady_clock::now() + duration; steady_clock::now() < end;) {
  }
}

// Whose error a wait of an hour ends with.
std::string caught(const Timeout& inner, const Timeout& outer) {
  try {
    fern::sleep(1h);
  } catch (const TimeoutError& error) {
    if (inner.owns(error)) return "inner";
    if (outer.owns(error)) return "outer";
    return "stranger";
  }
  return "nothing";
}

}  // namespace

TEST_F(TimeoutTest, CutsAWaitShortNotBeforeItsTime) {
  auto began = steady_clock::now();
  Timeout timeout(2ms);
  EXPECT_TRUE(timeout.pending());
  EXPECT_FALSE(timeout.expired());
  EXPECT_THROW(fern::sleep(1h), TimeoutError);
  EXPECT_GE(steady_clock::now() - began, 2ms);
  EXPECT_FALSE(timeout.pending());
  EXPECT_TRUE(timeout.expired());
}

TEST_F(TimeoutTest, ThrowsOnce) {
  Timeout timeout(0s);
  EXPECT_THROW(fern::sleep(1h), TimeoutError);
  fern::sleep(1ms);
  fern::yield();
  EXPECT_TRUE(timeout.expired());
}

TEST_F(TimeoutTest, ThatIsLeftInTimeDoesNothing) {
  {
    Timeout timeout(1ms);
    fern::yield();
  }
  fern::sleep(3ms);
  auto allocations = fern::testing::heap_allocations();
  {
    Timeout timeout(1ms);
  }
  EXPECT_EQ(fern::testing::heap_allocations(), allocations);
}

TEST_F(TimeoutTest, ThatExpiresButIsLeftBeforeItThrowsShowsItAndThrowsNoMore) {
  {
    Timeout timeout(500us);
    {
      fern::ShieldKill shield;
      fern::sleep(2ms);
    }
    EXPECT_TRUE(timeout.expired());
    EXPECT_FALSE(timeout.pending());
  }
  fern::sleep(1ms);
}

TEST_F(TimeoutTest, OfZeroExpiresAtTheNextLookAtTheTimers) {
  Timeout timeout(0s);
  EXPECT_TRUE(timeout.pending());
  EXPECT_THROW(fern::sleep(1h), TimeoutError);
  Timeout negative(-1s);
  EXPECT_THROW(fern::sleep(1h), TimeoutError);
}

TEST_F(TimeoutTest, OfNeverIsNotEvenPending) {
  Timeout timeout(fern::Deadline::never());
  EXPECT_FALSE(timeout.pending());
  fern::sleep(1ms);
  EXPECT_FALSE(timeout.expired());
  Timeout endless(std::chrono::hours::max());
  EXPECT_FALSE(endless.pending());
}

TEST_F(TimeoutTest, ThrowsFromAYieldToo) {
  Timeout timeout(1ms);
  auto busy = fern::spawn([] {
    for (;;) fern::yield();
  });
  EXPECT_THROW(for (;;) fern::yield(), TimeoutError);
  busy.kill();
}

TEST_F(TimeoutTest, OfAGreenletThatComputesWaitsForItsWait) {
  Timeout timeout(200us);
  compute(1ms);
  EXPECT_FALSE(timeout.expired());
  EXPECT_THROW(fern::sleep(1h), TimeoutError);
}

TEST_F(TimeoutTest, LeavesTheOperationThatIsDueWithIt) {
  fern::Event event;
  Timeout timeout(200us);
  compute(1ms);
  // At the same look: the hub takes what was posted before it looks at its timers.
  fern::Hub::current().post([&] { event.set(); });
  EXPECT_TRUE(event.wait());
  EXPECT_TRUE(timeout.expired());
  EXPECT_THROW(fern::yield(), TimeoutError);
}

TEST_F(TimeoutTest, IsOfItsGreenletOnly) {
  Timeout timeout(1ms);
  auto child = fern::spawn([] {
    fern::sleep(3ms);
    return 1;
  });
  EXPECT_THROW(child.get(), TimeoutError);
  EXPECT_EQ(child.get(), 1);
}

TEST_F(TimeoutTest, ThatNobodyCatchesIsItsGreenletsFailure) {
  auto greenlet = fern::spawn([] {
    Timeout timeout(100us);
    fern::sleep(1h);
  });
  EXPECT_THROW(greenlet.get(), TimeoutError);
  EXPECT_FALSE(greenlet.successful());
}

// --- nesting ----------------------------------------------------------------------------------

TEST_F(TimeoutTest, TheInnerOneMayComeFirst) {
  Timeout outer(1h);
  Timeout inner(1ms);
  EXPECT_EQ(caught(inner, outer), "inner");
  EXPECT_FALSE(outer.expired());
}

TEST_F(TimeoutTest, TheOuterOnePassesThroughTheInner) {
  Timeout outer(1ms);
  try {
    Timeout inner(1h);
    try {
      fern::sleep(1h);
    } catch (const TimeoutError& error) {
      EXPECT_FALSE(inner.owns(error));
      throw;
    }
  } catch (const TimeoutError& error) {
    EXPECT_TRUE(outer.owns(error));
  }
  EXPECT_TRUE(outer.expired());
}

TEST_F(TimeoutTest, OfTwoThatAreDueTogetherTheOuterThrowsFirst) {
  fern::Deadline both = 1ms;
  Timeout outer(both);
  Timeout inner(both);
  EXPECT_EQ(caught(inner, outer), "outer");
  EXPECT_EQ(caught(inner, outer), "inner");
  fern::sleep(1ms);
}

TEST_F(TimeoutTest, OfTwoThatHaveExpiredTheEarlierThrowsFirst) {
  Timeout outer(500us);
  Timeout inner(200us);
  {
    fern::ShieldKill shield;
    fern::sleep(3ms);
  }
  EXPECT_EQ(caught(inner, outer), "inner");
  EXPECT_EQ(caught(inner, outer), "outer");
}

TEST_F(TimeoutTest, ADeadlineOfTheWaitItselfIsNoScopes) {
  Timeout outer(1h);
  Timeout inner(1h);
  auto sleeper = fern::spawn([] { fern::sleep(1h); });
  try {
    sleeper.get(1ms);
  } catch (const TimeoutError& error) {
    EXPECT_FALSE(inner.owns(error) || outer.owns(error));
  }
  EXPECT_FALSE(sleeper.join(1ms));
  sleeper.kill();
}

TEST_F(TimeoutTest, ScopesNeedNotEndInOrder) {
  auto first = std::make_unique<Timeout>(1ms);
  auto second = std::make_unique<Timeout>(2ms);
  auto third = std::make_unique<Timeout>(1h);
  first.reset();
  EXPECT_EQ(caught(*third, *second), "outer");
  third.reset();
  second.reset();
  fern::sleep(3ms);
}

// --- cancelling and restarting ----------------------------------------------------------------

TEST_F(TimeoutTest, ThatWasCancelledThrowsNothing) {
  Timeout timeout(500us);
  timeout.cancel();
  timeout.cancel();
  EXPECT_FALSE(timeout.pending());
  fern::sleep(2ms);
  EXPECT_FALSE(timeout.expired());
}

TEST_F(TimeoutTest, ThatExpiredAndIsCancelledBeforeItThrowsThrowsNothing) {
  Timeout timeout(500us);
  {
    fern::ShieldKill shield;
    fern::sleep(2ms);
  }
  timeout.cancel();
  EXPECT_TRUE(timeout.expired());
  fern::sleep(1ms);
}

TEST_F(TimeoutTest, ThatIsCancelledByAnotherGreenletAfterItWokeItsOwnGoesOnWaiting) {
  fern::Event event;
  Timeout timeout(500us);
  // It runs first of those that the hub wakes at that look: it was asleep for as long, and earlier.
  auto canceller = fern::spawn([&] {
    compute(1ms);
    fern::Hub::current().post([&] {
      fern::spawn_raw([&] {
        timeout.cancel();
        event.set();
      });
    });
  });
  EXPECT_TRUE(event.wait());
  canceller.join();
  EXPECT_TRUE(timeout.expired());
}

TEST_F(TimeoutTest, ThatIsCancelledSoLetsItsGreenletMissNothingThatComesThen) {
  fern::Event event;
  Timeout* scope = nullptr;
  auto waiter = fern::spawn([&] {
    Timeout timeout(1ms);
    scope = &timeout;
    event.wait();
  });
  while (scope == nullptr || !scope->expired()) fern::yield();
  scope->cancel();  // it has been woken, and has not had its turn
  event.set();
  event.clear();
  EXPECT_TRUE(waiter.join(1s));
  event.set();
}

TEST_F(TimeoutTest, RestartCountsAnewWhateverItsState) {
  Timeout timeout(1h);
  timeout.restart(1ms);
  EXPECT_TRUE(timeout.pending());
  EXPECT_THROW(fern::sleep(1h), TimeoutError);
  timeout.restart(1ms);
  EXPECT_TRUE(timeout.pending());
  EXPECT_FALSE(timeout.expired());
  EXPECT_THROW(fern::sleep(1h), TimeoutError);
  timeout.restart(1h);
  timeout.cancel();
  timeout.restart(1ms);
  EXPECT_THROW(fern::sleep(1h), TimeoutError);
  timeout.restart(500us);
  timeout.restart(fern::Deadline::never());
  EXPECT_FALSE(timeout.pending());
  fern::sleep(2ms);
}

TEST_F(TimeoutTest, RestartedInTimeAgainAndAgainItNeverThrows) {
  Timeout watchdog(1h);
  for (int i = 0; i < 5; ++i) {
    watchdog.restart(1h);
    fern::sleep(100us);
  }
  EXPECT_TRUE(watchdog.pending());
}

// --- what holds it back -----------------------------------------------------------------------

TEST_F(TimeoutTest, IsHeldBackByAShieldAndComesAtTheNextWait) {
  bool whole = false;
  Timeout timeout(500us);
  {
    fern::ShieldKill shield;
    fern::sleep(2ms);
    fern::yield();
    whole = true;
  }
  EXPECT_THROW(fern::yield(), TimeoutError);
  EXPECT_TRUE(whole);
}

TEST_F(TimeoutTest, IsHeldBackWhileTheStackUnwindsAndComesAtTheNextWait) {
  std::string log;
  Timeout timeout(500us);
  try {
    OnExit waits{[&] {
      fern::sleep(2ms);  // what it threw would meet noexcept
      log += "waited ";
    }};
    throw std::runtime_error("its own");
  } catch (const std::runtime_error&) {
    log += "caught ";
  }
  EXPECT_TRUE(timeout.expired());
  EXPECT_THROW(fern::sleep(1h), TimeoutError);
  EXPECT_EQ(log, "waited caught ");
}

TEST_F(TimeoutTest, InADestructorLimitsItsWaitsUnlessTheStackUnwinds) {
  struct Says {
    std::string& log;
    std::chrono::nanoseconds nap;
    Says(std::string& log, std::chrono::nanoseconds nap) : log(log), nap(nap) {}
    Says(const Says&) = delete;
    ~Says() {
      Timeout timeout(500us);
      try {
        fern::sleep(nap);
        log += "slept ";
      } catch (const TimeoutError&) {
        log += "cut ";
      }
    }
  };
  std::string log;
  {
    Says says(log, 1h);
  }
  EXPECT_EQ(log, "cut ");
  try {
    Says says(log, 2ms);
    throw std::runtime_error("unwinds");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(log, "cut slept ");
  fern::sleep(1ms);
}

TEST_F(TimeoutTest, ADeadlineLimitsADestructorThatAKillUnwinds) {
  std::string log;
  auto never = fern::spawn([] { fern::sleep(1h); });
  auto victim = fern::spawn([&] {
    OnExit cleans{[&] { log += never.join(2ms) ? "joined" : "late"; }};
    fern::sleep(1h);
  });
  fern::yield();
  auto began = steady_clock::now();
  victim.kill();
  EXPECT_GE(steady_clock::now() - began, 2ms);
  EXPECT_EQ(log, "late");
  never.kill();
}

TEST_F(TimeoutTest, AKillThatIsPendingTooComesFirst) {
  auto greenlet = fern::spawn([] {
    Timeout timeout(100us);
    {
      fern::ShieldKill shield;
      fern::sleep(1ms);
    }
    EXPECT_TRUE(timeout.expired());
    fern::sleep(1h);
  });
  fern::yield();
  greenlet.kill();
  EXPECT_TRUE(greenlet.killed());
}

TEST_F(TimeoutTest, OnTheHubsOwnStackIsRefused) {
  bool refused = false;
  fern::Event done;
  fern::Hub::current().post([&] {
    try {
      Timeout timeout(1s);
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
    done.set();
  });
  done.wait();
  EXPECT_TRUE(refused);
}
