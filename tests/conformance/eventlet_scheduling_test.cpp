// What eventlet does in which order: spawning, yielding, sleeping.

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "children.hpp"
#include "journal.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using fern::spawn;

namespace {

class EventletScheduling : public FernTest {
 protected:
  // Three greenlets of a name each, which say it with a count and yield, three times.
  std::vector<fern::Greenlet<void>> spawn_three() {
    std::vector<fern::Greenlet<void>> spawned;
    for (const char* name : {"a", "b", "c"}) {
      spawned.push_back(spawn([this, name] {
        for (int i = 0; i < 3; ++i) {
          journal.say(name, i);
          fern::yield();
        }
      }));
    }
    return spawned;
  }

  Journal journal;
};

// E01
TEST_F(EventletScheduling, SpawnRunsNobodyAndTheChildrenOfABatchAreTheNextBatch) {
  auto parent = [&](const std::string& name) {
    journal.say(name, "begins");
    fern::spawn_raw([this, name] { journal.say("child of", name); });
    journal.say(name, "ends");
  };
  fern::spawn_raw(parent, "first");
  fern::spawn_raw(parent, "second");
  fern::spawn_raw([&] { journal.say("third"); });
  journal.say("spawned");
  fern::yield();
  journal.say("one batch later");
  fern::yield();
  journal.say("two batches later");
  EXPECT_EQ(journal.lines(),
            (Lines{"spawned", "first begins", "first ends", "second begins", "second ends", "third",
                   "one batch later", "child of first", "child of second", "two batches later"}));
}

// E03
TEST_F(EventletScheduling, ThoseWhoYieldTakeTurns) {
  for (auto& each : spawn_three()) each.get();
  EXPECT_EQ(journal.lines(),
            (Lines{"a 0", "b 0", "c 0", "a 1", "b 1", "c 1", "a 2", "b 2", "c 2"}));
}

// E04
TEST_F(EventletScheduling, SleepersWakeByDeadlineThenByWhoSleptFirst) {
  auto now = std::chrono::steady_clock::now();
  auto sleeper = [&](const char* name, fern::Deadline until) {
    return spawn([this, name, until] {
      fern::sleep(until);
      journal.say(name);
    });
  };
  std::vector<fern::Greenlet<void>> sleepers{
      sleeper("long", now + 6ms), sleeper("short", now + 2ms), sleeper("long too", now + 6ms),
      sleeper("negative", -1s), sleeper("zero", 0s)};
  for (auto& each : sleepers) each.get();
  EXPECT_EQ(journal.lines(), (Lines{"negative", "zero", "short", "long", "long too"}));
}

// E25. eventlet hangs.
TEST_F(EventletScheduling, WhenNobodyCanWakeMainItsWaitThrowsLoopExit) {
  fern::Event never;
  auto other = spawn([&] { never.wait(); });
  // The twelfth as soon as the first, or the watchdog barks.
  for (int round = 0; round < 12; ++round) EXPECT_THROW(never.wait(), fern::LoopExit);
  EXPECT_FALSE(other.ready());
  other.kill();
}

// E27. Python's SystemExit is raised in main; here the process ends where exit is called.
TEST_F(EventletScheduling, ExitInAGreenletEndsTheProgram) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  int status = fern::testing::in_child([] {
    // Before LeakSanitizer's, which does not know main's stack from here.
    std::atexit([] { ::_exit(3); });
    fern::spawn_raw([] { std::exit(0); });
    fern::sleep(1h);
    return 1;
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
}

// E33. Dropping the handle detaches; a handle's owner may cancel in its destructor.
TEST_F(EventletScheduling, WhatWasSpawnedForLaterOutlivesItsSpawnerUnlessThatCancelsIt) {
  fern::Event printed;
  auto spawner = spawn([&] {
    struct Owned {
      fern::Greenlet<void> later;
      ~Owned() { later.cancel(); }
    } local{fern::spawn_later(2ms, [&] { journal.say("cancelled"); })};
    fern::spawn_later(3ms, [&] {
      journal.say("detached");
      printed.set();
    });
  });
  spawner.get();
  printed.wait();
  EXPECT_EQ(journal.lines(), (Lines{"detached"}));
}

// E37
TEST_F(EventletScheduling, WhomASetWakesRunsBeforeTheSetterThatYields) {
  fern::Event event;
  fern::spawn_raw([&] {
    event.wait();
    journal.say("waiter");
  });
  fern::yield();
  event.set();
  fern::yield();
  journal.say("setter");
  EXPECT_EQ(journal.lines(), (Lines{"waiter", "setter"}));
}

// E38. eventlet looks at its timers in each turn, Fern once in a time slice.
TEST_F(EventletScheduling, OneThatYieldsWithoutEndDoesNotStarveASleeper) {
  bool woken = false;
  fern::spawn_raw([&] {
    fern::sleep(1ms);
    woken = true;
  });
  fern::yield();
  std::this_thread::sleep_for(2ms);
  auto busy = spawn([&] {
    while (!woken) fern::yield();
  });
  busy.get();
  EXPECT_TRUE(woken);
}

// F02. eventlet wakes the waiters of its Event in whatever order.
TEST_F(EventletScheduling, AnEventWakesItsWaitersFirstComeFirst) {
  fern::Event event;
  for (int i = 0; i < 8; ++i) {
    fern::spawn_raw([&, i] {
      event.wait();
      journal.say(i);
    });
  }
  fern::yield();
  event.set();
  fern::yield();
  EXPECT_EQ(journal.lines(), (Lines{"0", "1", "2", "3", "4", "5", "6", "7"}));
}

}  // namespace
