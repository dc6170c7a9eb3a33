// What eventlet's Timeout does.

#include <fern/greenlet.hpp>
#include <fern/timeout.hpp>

#include <chrono>
#include <optional>

#include "journal.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using fern::Timeout;
using fern::TimeoutError;

namespace {

class EventletTimeout : public FernTest {
 protected:
  Journal journal;
};

// E23
TEST_F(EventletTimeout, RunsFromItsMakingAndThrowsOnceFromAWait) {
  Timeout timeout(2ms);
  EXPECT_TRUE(timeout.pending());
  try {
    fern::sleep(1h);
    ADD_FAILURE() << "slept on";
  } catch (const TimeoutError& error) {
    EXPECT_TRUE(timeout.owns(error));
  }
  EXPECT_FALSE(timeout.pending());
  fern::sleep(1ms);
}

// E23. eventlet's Timeout(seconds, False) is with_timeout_silent.
TEST_F(EventletTimeout, ASilentOneEndsTheBlockAndNothingElse) {
  bool slept_on = false;
  EXPECT_FALSE(fern::with_timeout_silent(2ms, [&] {
    fern::sleep(1h);
    slept_on = true;
  }));
  EXPECT_FALSE(slept_on);
  EXPECT_TRUE(fern::with_timeout_silent(1h, [] { fern::yield(); }));
}

// E23
TEST_F(EventletTimeout, AFallbackStandsInForWhatCameTooLate) {
  auto late = [] {
    fern::sleep(1h);
    return 1;
  };
  EXPECT_EQ(fern::with_timeout(2ms, late, 2), 2);
  EXPECT_THROW(fern::with_timeout(2ms, late), TimeoutError);
  EXPECT_EQ(fern::with_timeout(1h, [] { return 1; }, 2), 1);
}

// E23. Timeout(None).
TEST_F(EventletTimeout, OneOfNeverIsNotArmed) {
  Timeout timeout(fern::Deadline::never());
  EXPECT_FALSE(timeout.pending());
  fern::sleep(1ms);
  EXPECT_FALSE(timeout.expired());
}

// E23. eventlet refuses to start a pending one; restart() begins anew.
TEST_F(EventletTimeout, ACancelledOneMayBeArmedAgain) {
  Timeout timeout(1h);
  EXPECT_TRUE(timeout.pending());
  timeout.cancel();
  EXPECT_FALSE(timeout.pending());
  timeout.restart(1h);
  EXPECT_TRUE(timeout.pending());
  timeout.restart(1ms);
  EXPECT_THROW(fern::sleep(1h), TimeoutError);
}

// E23
TEST_F(EventletTimeout, TheOuterOnePassesThroughTheInnerHandlerAndIsToldApart) {
  Timeout outer(2ms);
  try {
    Timeout inner(1h);
    try {
      fern::sleep(1h);
    } catch (const TimeoutError& error) {
      journal.say("inner handler:", inner.owns(error), outer.owns(error));
      throw;
    }
  } catch (const TimeoutError& error) {
    journal.say("outer handler:", outer.owns(error));
  }
  EXPECT_EQ(journal.lines(), (Lines{"inner handler: 0 1", "outer handler: 1"}));
}

// E23. eventlet's fires at the first sleep(0), gevent's after two of them; Fern's when the hub
// next looks at its timers, which is certain only for a wait that parks.
TEST_F(EventletTimeout, OneOfZeroEndsTheNextWaitThatParks) {
  EXPECT_FALSE(fern::with_timeout_silent(0s, [] { fern::sleep(1h); }));
}

// E24. eventlet's Timeout wins, gevent's loops differ; in Fern the operation always does.
TEST_F(EventletTimeout, OneThatIsDueTogetherWithASleepLeavesItToTheNextWait) {
  for (int round = 0; round < 20; ++round) {
    fern::Deadline deadline = 1ms;
    Timeout timeout(deadline);
    fern::sleep(deadline);
    EXPECT_TRUE(timeout.expired());
    EXPECT_THROW(fern::sleep(1h), TimeoutError);
  }
}

// E24
TEST_F(EventletTimeout, OfTwoToTheSameDeadlineTheFirstThrows) {
  fern::Deadline deadline = 2ms;
  Timeout first(deadline);
  Timeout second(deadline);
  try {
    fern::sleep(1h);
    ADD_FAILURE() << "slept on";
  } catch (const TimeoutError& error) {
    EXPECT_TRUE(first.owns(error));
  }
}

// F06
TEST_F(EventletTimeout, ThatLeavesAGreenletIsWhatItsGetThrows) {
  auto late = fern::spawn([] {
    Timeout timeout(2ms);
    fern::sleep(1h);
  });
  EXPECT_THROW(late.get(), TimeoutError);
  EXPECT_FALSE(late.killed());
}

}  // namespace
