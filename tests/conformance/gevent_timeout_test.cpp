#include "../support.hpp"
#include "greenlets.hpp"
#include "journal.hpp"

#include <fern/async_result.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/semaphore.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Deadline;
using fern::spawn;
using fern::Timeout;
using fern::TimeoutError;
using fern::with_timeout;
using fern::with_timeout_silent;
using fern::yield;

class GeventTimeout : public FernTest {};

// V42
TEST_F(GeventTimeout, OfTwoScopesTheInnerMayExpireFirstAndTheOuterLater) {
  Journal log;
  try {
    Timeout outer{50ms};
    try {
      Timeout inner{1ms};
      try {
        wait_forever();
      } catch (const TimeoutError& error) {
        log("first, of the inner ", inner.owns(error));
        throw;
      }
    } catch (const TimeoutError& error) {
      log("outside of the inner, of the outer ", outer.owns(error));
    }
    log("after the inner");
    try {
      wait_forever();
    } catch (const TimeoutError& error) {
      log("second, of the outer ", outer.owns(error), ", pending ", outer.pending());
      throw;
    }
  } catch (const TimeoutError&) {
    log("outside of both");
  }
  EXPECT_EQ(log.lines(), (Lines{"first, of the inner true",
                                "outside of the inner, of the outer false", "after the inner",
                                "second, of the outer true, pending false", "outside of both"}));
}

// V42
TEST_F(GeventTimeout, TheOuterScopesErrorPassesThroughTheInnerOne) {
  Journal log;
  Timeout outer{1ms};
  try {
    Timeout inner{10s};
    try {
      wait_forever();
    } catch (const TimeoutError& error) {
      log("of the inner ", inner.owns(error), ", of the outer ", outer.owns(error));
      throw;
    }
  } catch (const TimeoutError&) {
    log("outside of the inner");
  }
  fern::sleep(2ms);
  log("once only, pending ", outer.pending());
  EXPECT_EQ(log.lines(), (Lines{"of the inner false, of the outer true", "outside of the inner",
                                "once only, pending false"}));
}

// V43: a scope has no exception of its own to throw, and no text.
TEST_F(GeventTimeout, ASilentTimeoutSwallowsItsOwnErrorOnly) {
  Journal log;
  log("alone ", with_timeout_silent(1ms, [&] {
        wait_forever();
        log("not here");
      }));
  log("outer ", with_timeout_silent(1ms, [&] {
        log("inner ", with_timeout_silent(10s, wait_forever));
        log("nor here");
      }));
  EXPECT_EQ(log.lines(), (Lines{"alone false", "outer false"}));
}

// V43: with_timeout()'s fallback is for its own error, too.
TEST_F(GeventTimeout, AFallbackStandsForTheValueThatWasLate) {
  auto late = [] {
    wait_forever();
    return 1;
  };
  EXPECT_EQ(with_timeout(1ms, late, 2), 2);
  EXPECT_EQ(with_timeout(10s, [] { return 1; }, 2), 1);
  EXPECT_THROW(with_timeout(1ms, late), TimeoutError);
  EXPECT_EQ(with_timeout(1ms, [&] { return with_timeout(10s, late, 2); }, 3), 3);
}

// V43
TEST_F(GeventTimeout, AnErrorThatIsTranslatedIsTheUsersBusiness) {
  struct TooSlow {};
  EXPECT_THROW(
      {
        Timeout timeout{1ms};
        try {
          wait_forever();
        } catch (const TimeoutError& error) {
          if (timeout.owns(error)) throw TooSlow();
          throw;
        }
      },
      TooSlow);
}

// V44
TEST_F(GeventTimeout, AScopeOfNoTimeAtAllExpiresWhenTheHubLooksAtItsTimersNotAtAYield) {
  Lines expected{"yielded twice", "expired"};
  EXPECT_EQ(within_a_slice(expected,
                           [](Journal& log) {
                             Timeout timeout{0s};
                             try {
                               yield();
                               yield();
                               log("yielded twice");
                               fern::sleep(10s);
                               log("slept");
                             } catch (const TimeoutError&) {
                               log("expired");
                             }
                           }),
            expected);
}

// V45
TEST_F(GeventTimeout, AScopeIsForTheGreenletThatOpenedItAndWaitsForItToWait) {
  Journal log;
  Timeout mains{10s};
  auto busy = spawn([&] {
    bool ended = with_timeout_silent(1ms, [&] {
      Deadline end = 3ms;
      while (!end.expired()) {
      }
      log("busy, nothing thrown");
      yield();
      log("yielded");
      fern::sleep(10s);
      log("slept");
    });
    log("ended ", ended);
  });
  busy.join();
  log("main's pending ", mains.pending());
  EXPECT_EQ(log.lines(),
            (Lines{"busy, nothing thrown", "yielded", "ended false", "main's pending true"}));
}

// V46
TEST_F(GeventTimeout, OfTwoScopesThatExpireTogetherTheOneThatBeganFirstThrows) {
  Deadline both = 2ms;
  Timeout outer{both};
  try {
    Timeout inner{both};
    try {
      wait_forever();
    } catch (const TimeoutError& error) {
      EXPECT_TRUE(outer.owns(error));
      EXPECT_FALSE(inner.owns(error));
    }
    outer.cancel();
    inner.cancel();
  } catch (const TimeoutError&) {
    ADD_FAILURE();
  }
}

// V47: gevent's two loops differ; here the operation wins, that is the end of the sleep.
TEST_F(GeventTimeout, ASleepThatIsDueTogetherWithItsScopeIsSlept) {
  Deadline due = 5ms;
  Timeout timeout{due};
  fern::sleep(due);
  EXPECT_TRUE(timeout.expired());
  EXPECT_THROW(wait_forever(), TimeoutError);  // still open: the next wait meets it
}

// V47: the same with a scope inside of the sleeper's own.
TEST_F(GeventTimeout, ASleepThatIsLongerThanItsScopeIsCutShort) {
  auto begun = std::chrono::steady_clock::now();
  EXPECT_FALSE(with_timeout_silent(1ms, [] { fern::sleep(10s); }));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 1ms);
}

// X15: timers that are due together fire in the order in which they began.
TEST_F(GeventTimeout, AReleaseThatIsDueTogetherWithTheDeadlineCountsIfItsTimerBeganFirst) {
  Deadline due = 5ms;
  fern::Semaphore semaphore(0);
  auto releaser = spawn([&] {
    fern::sleep(due);
    semaphore.release();
  });
  auto waiter = spawn([&] { return semaphore.acquire(due); });
  EXPECT_TRUE(waiter.get());
  releaser.join();
}

// V71
TEST_F(GeventTimeout, AnErrorThatLeavesAGreenletFailsIt) {
  auto greenlet = spawn([] { with_timeout(1ms, wait_forever); });
  EXPECT_THROW(greenlet.get(), TimeoutError);
  EXPECT_FALSE(greenlet.successful());
  EXPECT_FALSE(greenlet.killed());
}

// gevent's Timeout(None), cancel() and start().
TEST_F(GeventTimeout, AScopeMayLastForeverAndBeCancelledAndStartedAnew) {
  Timeout timeout{Deadline::never()};
  EXPECT_FALSE(timeout.pending());
  timeout.restart(1ms);
  EXPECT_TRUE(timeout.pending());
  timeout.cancel();
  EXPECT_FALSE(timeout.pending());
  fern::sleep(2ms);
  timeout.restart(1ms);
  EXPECT_THROW(wait_forever(), TimeoutError);
  EXPECT_TRUE(timeout.expired());
}

}  // namespace
