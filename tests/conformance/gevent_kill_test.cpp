#include "../support.hpp"
#include "greenlets.hpp"
#include "journal.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>

namespace {

using namespace std::chrono_literals;
using fern::AnyGreenlet;
using fern::Event;
using fern::GreenletExit;
using fern::spawn;
using fern::spawn_later;
using fern::spawn_raw;
using fern::yield;

// Logs its own destruction, as a `finally` would.
struct Finally {
  Journal& log;
  std::string line;
  ~Finally() { log(line); }
};

class GeventKill : public FernTest {};

// V24
TEST_F(GeventKill, OneThatIsKilledBeforeItStartsNeverRunsAndItsLinksFire) {
  Journal log;
  auto greenlet = spawn([&] { log("ran"); });
  greenlet.link([&](AnyGreenlet ended) { log("link, successful ", ended.successful()); });
  EXPECT_TRUE(greenlet.started());
  EXPECT_TRUE(greenlet.kill());
  log("killed");
  EXPECT_TRUE(greenlet.dead());
  EXPECT_TRUE(greenlet.killed());
  EXPECT_FALSE(greenlet.started());
  EXPECT_TRUE(greenlet.exception() == nullptr);
  yield();
  EXPECT_EQ(log.lines(), (Lines{"killed", "link, successful true"}));
}

// V24, with another exception.
TEST_F(GeventKill, OneThatIsKilledBeforeItStartsByAnErrorHasFailedWithIt) {
  Journal log;
  auto greenlet = spawn([&] { log("ran"); });
  greenlet.link_exception([&](AnyGreenlet) { log("failed"); });
  greenlet.link_value([&](AnyGreenlet) { log("succeeded"); });
  greenlet.kill({.exception = std::make_exception_ptr(std::range_error("no"))});
  EXPECT_FALSE(greenlet.successful());
  EXPECT_THROW(greenlet.get(), std::range_error);
  yield();
  EXPECT_EQ(log.lines(), Lines{"failed"});
}

// V24, with one that is to start later.
TEST_F(GeventKill, AKilledSpawnLaterNeverRuns) {
  bool ran = false;
  auto greenlet = spawn_later(1ms, [&] { ran = true; });
  EXPECT_TRUE(greenlet.kill());
  fern::sleep(2ms);
  EXPECT_FALSE(ran);
}

// V25: get() does not return the GreenletExit but says that there is no result.
TEST_F(GeventKill, KillThrowsGreenletExitFromTheWaitAndReturnsWhenAllIsUnwound) {
  Journal log;
  auto greenlet = spawn([&] {
    Finally finally{log, "unwound"};
    try {
      wait_forever();
    } catch (const GreenletExit& exit) {
      log("exit '", exit.what(), "'");
      throw;
    }
  });
  yield();
  EXPECT_TRUE(greenlet.kill());
  log("killed");
  EXPECT_EQ(log.lines(), (Lines{"exit ''", "unwound", "killed"}));
  EXPECT_TRUE(greenlet.successful());
  EXPECT_THROW(greenlet.get(), fern::GreenletKilled);
  EXPECT_TRUE(greenlet.kill());
}

// V25: what its end makes ready, its links too, comes after its killer.
TEST_F(GeventKill, KillReturnsBeforeWhatTheEndOfTheKilledMakesReady) {
  Journal log;
  auto greenlet = spawn([&] {
    try {
      wait_forever();
    } catch (...) {
      spawn_raw([&] { log("spawned at the end"); });
      throw;
    }
  });
  greenlet.link([&](AnyGreenlet) { log("link"); });
  yield();
  spawn_raw([&] { log("ready before"); });
  greenlet.kill();
  log("killed");
  yield();
  EXPECT_EQ(log.lines(), (Lines{"ready before", "killed", "spawned at the end", "link"}));
}

// V26
TEST_F(GeventKill, WithoutBlockTheKilledRunWhenTheKillerWaitsInTheOrderOfTheKills) {
  Journal log;
  auto victim = [&](std::string name) {
    Finally finally{log, "end of " + name};
    wait_forever();
  };
  auto a = spawn(victim, "a");
  auto b = spawn(victim, "b");
  yield();
  EXPECT_FALSE(b.kill({.block = false}));
  EXPECT_FALSE(a.kill({.block = false}));
  log("told both");
  yield();
  EXPECT_EQ(log.lines(), (Lines{"told both", "end of b", "end of a"}));
  EXPECT_TRUE(a.dead());
  EXPECT_TRUE(b.dead());
}

// V27
TEST_F(GeventKill, OneThatCatchesItsKillLivesOnAndTheKillEndsAtItsDeadline) {
  Journal log;
  Event gate;
  auto greenlet = spawn([&] {
    try {
      wait_forever();
    } catch (const GreenletExit&) {
      log("caught");
    }
    gate.wait();
    return std::string("done");
  });
  yield();
  EXPECT_FALSE(greenlet.kill({.deadline = 5ms}));
  EXPECT_FALSE(greenlet.dead());
  EXPECT_EQ(log.lines(), Lines{"caught"});
  gate.set();
  EXPECT_EQ(greenlet.get(), "done");
}

// V28
TEST_F(GeventKill, AGreenletMayKillItself) {
  Journal log;
  auto greenlet = spawn([&] {
    Finally finally{log, "unwound"};
    log("kills itself");
    fern::current_greenlet().kill();
    log("goes on");
  });
  greenlet.join();
  EXPECT_EQ(log.lines(), (Lines{"kills itself", "unwound"}));
  EXPECT_TRUE(greenlet.killed());
}

// V28, without block.
TEST_F(GeventKill, AGreenletThatKillsItselfWithoutBlockEndsAtItsNextWait) {
  Journal log;
  auto greenlet = spawn([&] {
    fern::current_greenlet().kill({.block = false});
    log("goes on");
    yield();
    log("waited");
  });
  greenlet.join();
  EXPECT_EQ(log.lines(), Lines{"goes on"});
  EXPECT_TRUE(greenlet.killed());
}

// V29
TEST_F(GeventKill, OneThatIsReadyRunsFirstAndIsKilledAtItsNextWait) {
  Journal log;
  auto greenlet = spawn([&] {
    try {
      log("start");
      yield();
      log("after one yield");
      yield();
      log("after two");
    } catch (const GreenletExit&) {
      log("exit");
    }
  });
  yield();
  greenlet.kill();
  EXPECT_EQ(log.lines(), (Lines{"start", "after one yield", "exit"}));
  EXPECT_TRUE(greenlet.dead());
}

// W19: there is no throw() that leaves the caller unscheduled; a kill takes any exception.
TEST_F(GeventKill, AKillMayThrowAnyExceptionAndTheKillerGoesOn) {
  Journal log;
  auto greenlet = spawn([&] {
    try {
      wait_forever();
    } catch (const std::range_error& error) {
      log("got ", error.what());
    }
  });
  yield();
  EXPECT_TRUE(greenlet.kill({.exception = std::make_exception_ptr(std::range_error("t"))}));
  log("returned");
  EXPECT_EQ(log.lines(), (Lines{"got t", "returned"}));
  EXPECT_FALSE(greenlet.killed());
}

}  // namespace
