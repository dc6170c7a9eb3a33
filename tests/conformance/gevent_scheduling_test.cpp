#include "../children.hpp"
#include "../support.hpp"
#include "journal.hpp"

#include <fern/async_result.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/queue.hpp>
#include <fern/semaphore.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::AnyGreenlet;
using fern::Event;
using fern::spawn;
using fern::spawn_later;
using fern::spawn_raw;
using fern::yield;

class GeventScheduling : public FernTest {};

// V01
TEST_F(GeventScheduling, SpawnedGreenletsRunInOrderOnceTheSpawnerYields) {
  Journal log;
  std::vector<AnyGreenlet> all;
  auto child = [&](std::string name) { log("run ", name); };
  auto parent = [&](std::string name) {
    log("parent ", name);
    all.push_back(spawn(child, name + "'"));
    log("parent ", name, " ends");
  };
  all.push_back(spawn(parent, "a"));
  all.push_back(spawn(parent, "b"));
  all.push_back(spawn(child, "c"));
  log("main");
  yield();
  log("main again");
  yield();
  log("main ends");
  EXPECT_EQ(log.lines(), (Lines{"main", "parent a", "parent a ends", "parent b", "parent b ends",
                                "run c", "main again", "run a'", "run b'", "main ends"}));
}

// V02
TEST_F(GeventScheduling, YieldIsExactRoundRobin) {
  Journal log;
  std::vector<AnyGreenlet> all;
  for (char name : {'a', 'b', 'c'}) {
    all.push_back(spawn([&log, name] {
      for (int i = 0; i < 3; ++i) {
        log(name, i);
        yield();
      }
    }));
  }
  fern::joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"}));
}

// V03
TEST_F(GeventScheduling, SleepsOfNothingComeFirstThenTimersByDeadlineThenByStart) {
  Journal log;
  std::vector<AnyGreenlet> all;
  auto sleeper = [&](std::string name, std::chrono::milliseconds time) {
    fern::sleep(time);
    log(name);
  };
  fern::Deadline early = 100ms;
  auto early_sleeper = [&](std::string name) {
    fern::sleep(early);
    log(name);
  };
  all.push_back(spawn(sleeper, "late", 200ms));
  all.push_back(spawn(early_sleeper, "early"));
  all.push_back(spawn(early_sleeper, "early too"));
  all.push_back(spawn(sleeper, "negative", -1000ms));
  all.push_back(spawn(sleeper, "zero", 0ms));
  fern::joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"negative", "zero", "early", "early too", "late"}));
}

// V05
TEST_F(GeventScheduling, SpawnLaterOfNothingRunsAfterAllPlainSpawns) {
  Journal log;
  auto say = [&](std::string name) { log(name); };
  auto zero = spawn_later(0ms, say, "later 0");
  auto first = spawn(say, "spawn");
  auto ten = spawn_later(10ms, say, "later 10");
  spawn_raw(say, "raw");
  auto second = spawn(say, "spawn again");
  fern::joinall(zero, first, ten, second);
  EXPECT_EQ(log.lines(), (Lines{"spawn", "raw", "spawn again", "later 0", "later 10"}));
}

// V05, with a time in the past.
TEST_F(GeventScheduling, SpawnLaterOfANegativeTimeIsAsOfNothing) {
  Journal log;
  auto say = [&](std::string name) { log(name); };
  auto minus = spawn_later(-1s, say, "later -1");
  auto zero = spawn_later(0s, say, "later 0");
  auto plain = spawn(say, "spawn");
  fern::joinall(minus, zero, plain);
  EXPECT_EQ(log.lines(), (Lines{"spawn", "later -1", "later 0"}));
}

// W07
TEST_F(GeventScheduling, OneQueueServesWakeUpsOfAllKindsInTheOrderInWhichTheyWereMade) {
  Event event;
  fern::Queue<int> queue;
  fern::Semaphore semaphore(0);
  fern::AsyncResult<int> result;
  Journal log;
  std::vector<AnyGreenlet> all;
  auto wait = [&](std::string name, std::function<void()> f) {
    all.push_back(spawn([&log, name, f] {
      f();
      log(name);
    }));
  };
  wait("event", [&] { event.wait(); });
  wait("queue", [&] { queue.get(); });
  wait("semaphore", [&] { semaphore.acquire(); });
  wait("result", [&] { result.get(); });
  auto yielder = spawn([] { yield(); });
  wait("join", [&] { yielder.join(); });
  yield();
  semaphore.release();
  queue.put(1);
  result.set(1);
  all.push_back(spawn([&] { log("spawned"); }));
  event.set();
  log("all told");
  yield();
  yield();
  EXPECT_EQ(log.lines(),
            (Lines{"all told", "semaphore", "queue", "result", "spawned", "event", "join"}));
}

// W03
TEST_F(GeventScheduling, WhatIsAddedWhileTheQueueDrainsRunsBeforeTimers) {
  Lines expected{"link 0", "link 1", "link 2", "link 3", "link 4", "timer"};
  EXPECT_EQ(within_a_slice(expected,
                           [](Journal& log) {
                             auto timer = spawn_later(0ms, [&] { log("timer"); });
                             int links = 0;
                             std::function<void(int)> link = [&](int n) {
                               ++links;
                               log("link ", n);
                               if (n < 4) spawn_raw(link, n + 1);
                             };
                             spawn_raw(link, 0);
                             timer.join();
                             while (links < 5) yield();  // they use what stands here
                           }),
            expected);
}

// V56
TEST_F(GeventScheduling, AGreenletThatYieldsForeverStarvesNoTimer) {
  bool stop = false;
  int turns = 0;
  auto spinner = spawn([&] {
    while (!stop) {
      yield();
      ++turns;
    }
  });
  auto begun = std::chrono::steady_clock::now();
  fern::sleep(2ms);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 2ms);
  stop = true;
  spinner.join();
  EXPECT_GT(turns, 0);
}

// V74: how many turns an expired timer waits is a matter of time slices; that whoever was ready
// before goes first is not.
TEST_F(GeventScheduling, WhoIsReadyRunsBeforeATimerThatExpiredMeanwhile) {
  Journal log;
  auto timer = spawn([&] {
    fern::sleep(1ms);
    log("timer");
  });
  yield();
  auto begun = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begun < 5ms) {
  }
  auto ready = spawn([&] { log("ready"); });
  fern::joinall(timer, ready);
  EXPECT_EQ(log.lines(), (Lines{"ready", "timer"}));
}

// V59
TEST_F(GeventScheduling, TheEndOfAThreadWaitsForNobody) {
  may_keep_heap("a thread's hub is kept for the next thread");
  Journal log;
  fern::testing::in_thread([&] {
    spawn_later(5ms, [&] { log("later"); });
    spawn([&] { log("spawned"); });
    log("thread ends");
  });
  EXPECT_EQ(log.lines(), Lines{"thread ends"});
}

// V60: no exception ends a program, but exit() does, in whatever greenlet.
TEST_F(GeventScheduling, ExitInAGreenletEndsTheProgram) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "a child may not switch here";
  int status = fern::testing::in_child([] {
    ::on_exit([](int code, void*) { fern::testing::end_child(code == 3 ? 0 : 1); }, nullptr);
    spawn_raw([] { std::exit(3); });
    fern::sleep(60s);
    return 1;
  });
  EXPECT_TRUE(fern::testing::succeeded(status));
}

// V61
TEST_F(GeventScheduling, TheExceptionOfARawSpawnIsPrintedAtOnceAndStopsNobody) {
  testing::internal::CaptureStderr();
  Journal log;
  spawn_raw([&] {
    log("raw");
    throw std::runtime_error("raw trouble");
  });
  spawn_raw([&] { log("next"); });
  yield();
  std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(says(printed, "raw trouble")) << printed;
  EXPECT_EQ(log.lines(), (Lines{"raw", "next"}));
}

// V69
TEST_F(GeventScheduling, AWaitOnTheHubsOwnStackIsAnError) {
  Event event;
  Event told;
  bool refused = false;
  fern::Hub::current().post([&] {
    try {
      event.wait();
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
    told.set();
  });
  told.wait();
  EXPECT_TRUE(refused);
}

// X10
TEST_F(GeventScheduling, AnExceptionOnTheHubsOwnStackIsPrintedAndTheHubGoesOn) {
  testing::internal::CaptureStderr();
  fern::Hub::current().post([] { throw std::runtime_error("hub trouble"); });
  Event later;
  fern::Hub::current().post([&] { later.set(); });
  later.wait();
  std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(says(printed, "hub trouble")) << printed;
  auto alive = spawn([] { return 1; });
  EXPECT_EQ(alive.get(), 1);
}

// V39
TEST_F(GeventScheduling, AHopelessWaitEndsInMainOnlyAndAllGoesOnAfterwards) {
  Event event;
  std::string why;
  try {
    event.wait();
  } catch (const fern::LoopExit& error) {
    why = error.what();
  }
  EXPECT_TRUE(says(why, "Event::wait()")) << why;
  auto child = spawn([&] { return event.wait(); });
  EXPECT_THROW(child.get(), fern::LoopExit);
  EXPECT_FALSE(child.ready());
  event.set();
  EXPECT_TRUE(child.get());
}

// V39: a later dead end does not take longer to find than the first.
TEST_F(GeventScheduling, DeadEndsAreFoundAgainAndAgain) {
  Event event;
  for (int i = 0; i < 12; ++i) EXPECT_THROW(event.wait(), fern::LoopExit);
}

// V41
TEST_F(GeventScheduling, TwoGreenletsThatJoinEachOtherAreALoopExitInMain) {
  AnyGreenlet a;
  AnyGreenlet b;
  a = spawn([&] { b.join(); });
  b = spawn([&] { a.join(); });
  EXPECT_THROW(fern::joinall({a, b}), fern::LoopExit);
  EXPECT_FALSE(a.ready());
  EXPECT_FALSE(b.ready());
  fern::killall({a, b});
}

}  // namespace
