#include "fern/timer.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "children.hpp"
#include "fern/errors.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "support.hpp"

namespace {

using namespace std::chrono_literals;
using fern::Timer;
using Clock = std::chrono::steady_clock;

class TimerTest : public FernTest {};

TEST_F(TimerTest, CallsTheFunctionInAGreenletOfItsOwnWhenTheTimeHasCome) {
  auto begin = Clock::now();
  std::string name;
  Timer timer(
      5ms,
      [&](std::string greeting, std::unique_ptr<int> number) {
        EXPECT_GE(Clock::now() - begin, 5ms);
        EXPECT_EQ(greeting, "hello");
        EXPECT_EQ(*number, 7);
        fern::sleep(1ms);  // it may wait
        name = fern::current_greenlet().name();
      },
      "hello", std::make_unique<int>(7));
  EXPECT_TRUE(timer.pending());
  EXPECT_TRUE(timer.join());
  EXPECT_EQ(name, "Timer");
  EXPECT_FALSE(timer.pending());
  EXPECT_FALSE(timer.cancel());
  EXPECT_FALSE(timer.restart(1ms));
}

TEST_F(TimerTest, ACancelledOneCallsNothing) {
  bool called = false;
  auto held = std::make_shared<int>();
  Timer timer(1ms, [&called, held] { called = true; });
  EXPECT_TRUE(timer.cancel());
  EXPECT_EQ(held.use_count(), 1);  // what it held is gone at once
  EXPECT_FALSE(timer.pending());
  EXPECT_FALSE(timer.cancel());
  EXPECT_TRUE(timer.join(0s));
  fern::sleep(2ms);
  EXPECT_FALSE(called);
}

TEST_F(TimerTest, OneThatGoesIsCancelled) {
  bool called = false;
  {
    Timer timer(0s, [&] { called = true; });
  }
  fern::sleep(2ms);
  EXPECT_FALSE(called);
}

TEST_F(TimerTest, WhatHasBegunRunsOnWithoutIt) {
  fern::Event begun;
  fern::Event go_on;
  fern::Event ended;
  {
    Timer timer(0s, [&] {
      begun.set();
      go_on.wait();
      ended.set();
    });
    begun.wait();
    EXPECT_FALSE(timer.pending());
    EXPECT_FALSE(timer.cancel());
    EXPECT_FALSE(timer.join(1ms));
  }
  go_on.set();
  EXPECT_TRUE(ended.wait(20s));
}

TEST_F(TimerTest, TheFunctionMayDropItsOwnTimer) {
  std::optional<Timer> timer;
  fern::Event done;
  timer.emplace(0s, [&] {
    timer.reset();
    fern::yield();
    done.set();
  });
  EXPECT_TRUE(done.wait(20s));
}

TEST_F(TimerTest, RestartMovesTheTimeEitherWay) {
  bool called = false;
  Timer timer(1h, [&] { called = true; });
  EXPECT_TRUE(timer.restart(fern::Deadline::never()));
  EXPECT_TRUE(timer.pending());
  auto begin = Clock::now();
  EXPECT_TRUE(timer.restart(3ms));
  EXPECT_TRUE(timer.join());
  EXPECT_GE(Clock::now() - begin, 3ms);
  EXPECT_TRUE(called);
}

TEST_F(TimerTest, AnActiveConnectionKeepsItsIdleTimerFromRunning) {
  int called = 0;
  Timer idle(20s, [&] { ++called; });
  auto begin = Clock::now();
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(idle.restart(50ms));
    fern::yield();
  }
  EXPECT_EQ(called, 0);
  idle.join();
  EXPECT_EQ(called, 1);
  EXPECT_GE(Clock::now() - begin, 50ms);
}

// Its time has come, but it has not had its turn.
TEST_F(TimerTest, ItIsStillInTimeToCancelWhatIsReadyToRun) {
  bool called = false;
  std::optional<Timer> late;
  Timer first(1ms, [&] {
    EXPECT_TRUE(late->pending());
    EXPECT_FALSE(late->restart(1h));
    EXPECT_TRUE(late->cancel());
  });
  late.emplace(1ms, [&] { called = true; });
  std::this_thread::sleep_for(2ms);
  first.join();
  fern::yield();
  EXPECT_FALSE(called);
}

TEST_F(TimerTest, OneOfNothingIsOver) {
  Timer none;
  EXPECT_FALSE(none.pending());
  EXPECT_FALSE(none.cancel());
  EXPECT_FALSE(none.restart(1s));
  EXPECT_TRUE(none.join());
}

TEST_F(TimerTest, AnAssignmentCancelsWhatWasThere) {
  std::string log;
  Timer one(1ms, [&] { log += "one"; });
  Timer two(1ms, [&] { log += "two"; });
  one = std::move(two);
  EXPECT_FALSE(two.pending());  // NOLINT: a moved-from Timer is one of nothing
  EXPECT_TRUE(one.join());
  fern::sleep(1ms);
  EXPECT_EQ(log, "two");
}

TEST_F(TimerTest, AnExceptionIsPrintedWithTheNameAndHurtsNobody) {
  ::testing::internal::CaptureStderr();
  Timer nameless(0s, [] { throw std::runtime_error("first"); });
  Timer named(fern::SpawnOptions{.name = "tea"}, 0s, [] { throw std::runtime_error("second"); });
  nameless.join();
  named.join();
  std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("greenlet Timer (id"), std::string::npos) << text;
  EXPECT_NE(text.find("first"), std::string::npos) << text;
  EXPECT_NE(text.find("greenlet tea (id"), std::string::npos) << text;
  EXPECT_NE(text.find("second"), std::string::npos) << text;
}

TEST_F(TimerTest, MayBeMadeInAPostedFunction) {
  std::optional<Timer> timer;
  fern::Event called;
  fern::Hub::current().post([&] { timer.emplace(1ms, [&] { called.set(); }); });
  EXPECT_TRUE(called.wait(20s));
}

TEST_F(TimerTest, AKilledJoinerLeavesItPending) {
  Timer timer(1h, [] {});
  auto joiner = fern::spawn([&] { timer.join(); });
  fern::yield();
  joiner.kill();
  EXPECT_TRUE(timer.cancel());
}

TEST_F(TimerTest, AForkedChildHasNone) {
  bool called = false;
  Timer timer(1ms, [&] { called = true; });
  EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([&] {
    if (!fern::testing::children_may_switch) return 0;
    fern::sleep(5ms);
    return !called && !timer.pending() && !timer.cancel() ? 0 : 1;
  })));
  timer.cancel();
}

// eventlet's spawn_after_local and spawn_after, E33.
TEST_F(TimerTest, OneInAGreenletsScopeEndsWithIt) {
  std::string log;
  fern::Greenlet<void> global;
  fern::spawn([&] {
    Timer local(1ms, [&] { log += "local"; });
    global = fern::spawn_later(1ms, [&] { log += "global"; });
    fern::yield();
  }).join();
  global.join();
  fern::sleep(1ms);
  EXPECT_EQ(log, "global");
}

class TimerThreadsTest : public TimerTest {
 protected:
  TimerThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

TEST_F(TimerThreadsTest, BelongsToItsThread) {
  Timer timer(1h, [] {});
  fern::testing::in_thread([&] {
    EXPECT_THROW(timer.pending(), fern::GreenletError);
    EXPECT_THROW(timer.restart(1s), fern::GreenletError);
  });
  EXPECT_TRUE(timer.cancel());
}

TEST_F(TimerThreadsTest, MayBeCancelledAndDestroyedInAnother) {
  bool called = false;
  Timer timer(1h, [&] { called = true; });
  Timer moved_away(1h, [&] { called = true; });
  std::jthread other([&, gone = std::move(moved_away)]() mutable {
    EXPECT_FALSE(timer.cancel());
    EXPECT_TRUE(timer.join());
    Timer goes_here = std::move(gone);
  });
  EXPECT_TRUE(timer.join());
  other.join();
  fern::sleep(1ms);
  EXPECT_FALSE(called);
}

TEST_F(TimerThreadsTest, EndsWithItsThreadAndMayOutliveIt) {
  Timer left;
  bool called = false;
  fern::testing::in_thread([&] { left = Timer(1ms, [&] { called = true; }); });
  EXPECT_FALSE(left.pending());
  EXPECT_TRUE(left.join());
  EXPECT_FALSE(called);
}

}  // namespace
