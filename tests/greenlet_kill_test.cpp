// Killing greenlets, in whatever state they are.
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;

namespace {

struct Log {
  std::string text;
  void operator()(const std::string& what) { text += what + ' '; }
};

// Sleeps for ever, logging how that ends.
auto sleeper(Log& log, std::string name = "") {
  return [&log, name] {
    OnExit fin{[&] { log("fin" + name); }};
    try {
      fern::sleep(1h);
    } catch (const fern::GreenletExit&) {
      log("exit" + name);
      throw;
    }
  };
}

class Kill : public FernTest {
 protected:
  Log log;
};

}  // namespace

TEST_F(Kill, ThrowsFromTheWaitAndUnwindsBeforeItReturns) {
  auto greenlet = fern::spawn(sleeper(log));
  fern::yield();
  EXPECT_TRUE(greenlet.kill());
  EXPECT_EQ(log.text, "exit fin ");
  EXPECT_TRUE(greenlet.successful());
  EXPECT_TRUE(greenlet.killed());
  EXPECT_TRUE(greenlet.kill());
  EXPECT_THROW(greenlet.get(), fern::GreenletKilled);
}

TEST_F(Kill, WithoutBlockingRunsTheTargetsInOrderWhenTheKillerWaits) {
  auto a = fern::spawn(sleeper(log, "-a"));
  auto b = fern::spawn(sleeper(log, "-b"));
  fern::yield();
  EXPECT_FALSE(b.kill({.block = false}));
  EXPECT_FALSE(a.kill({.block = false}));
  log("killed");
  fern::yield();
  EXPECT_EQ(log.text, "killed exit-b fin-b exit-a fin-a ");
  EXPECT_TRUE(a.dead() && b.dead());
}

TEST_F(Kill, OfOneThatDismissesItAndGoesOnReturnsWhenTheDeadlinePasses) {
  auto greenlet = fern::spawn([&] {
    try {
      fern::sleep(1h);
    } catch (const fern::GreenletExit& exit) {
      exit.dismiss();
      log("caught");
    }
    fern::sleep(5ms);
    return std::string("done");
  });
  fern::yield();
  EXPECT_FALSE(greenlet.kill({.deadline = 1ms}));
  EXPECT_FALSE(greenlet.dead());
  EXPECT_EQ(greenlet.get(), "done");
  EXPECT_FALSE(greenlet.killed());
}

TEST_F(Kill, OfOneThatYieldedLetsThatYieldReturnAndComesAtTheNext) {
  auto greenlet = fern::spawn([&] {
    try {
      log("start");
      fern::yield();
      log("after1");
      fern::yield();
      log("after2");
    } catch (const fern::GreenletExit&) {
      log("exit");
      throw;
    }
  });
  fern::yield();
  greenlet.kill();
  EXPECT_EQ(log.text, "start after1 exit ");
  EXPECT_TRUE(greenlet.killed());
}

TEST_F(Kill, OfAnUnstartedOneRunsNothingButItsLinks) {
  auto held = std::make_shared<int>(0);
  auto greenlet = fern::spawn([&, held] { log("never"); });
  greenlet.link([&](fern::AnyGreenlet ended) { log(ended.killed() ? "link" : "wrong"); });
  auto joiner = fern::spawn([&] {
    greenlet.join();
    log("joined");
  });
  EXPECT_TRUE(greenlet.kill());
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_TRUE(greenlet.dead());
  fern::sleep(1ms);
  EXPECT_EQ(log.text, "joined link ");
  EXPECT_THROW(greenlet.get(), fern::GreenletKilled);
}

TEST_F(Kill, OfAnUnstartedOneWithAnExceptionFailsIt) {
  auto failed = fern::spawn([&] { log("never"); });
  failed.kill({.exception = std::make_exception_ptr(std::runtime_error("why"))});
  EXPECT_THROW(failed.get(), std::runtime_error);
  EXPECT_FALSE(failed.successful());
  auto left = fern::spawn([&] { log("never"); });
  left.kill({.exception = std::make_exception_ptr(fern::GreenletExit("so"))});
  EXPECT_TRUE(left.successful());
  EXPECT_THROW(left.get(), fern::GreenletKilled);
  EXPECT_EQ(log.text, "");
}

TEST_F(Kill, OfADelayedOneForgetsItsTimer) {
  auto delayed = fern::spawn_later(1ms, [&] { log("never"); });
  EXPECT_TRUE(delayed.kill());
  auto other = fern::spawn_later(1ms, [&] { log("never"); });
  other = {};
  auto cancelled = fern::spawn_later(1ms, [&] { log("never"); });
  EXPECT_TRUE(cancelled.cancel());
  EXPECT_FALSE(cancelled.cancel());
  fern::sleep(5ms);
  EXPECT_EQ(log.text, "never ");  // the dropped one: dropping detaches
}

TEST_F(Kill, CancelIsOnlyForThoseThatNeverStarted) {
  auto fresh = fern::spawn([&] { log("never"); });
  EXPECT_TRUE(fresh.cancel());
  EXPECT_THROW(fresh.get(), fern::GreenletKilled);
  auto running = fern::spawn([] {
    fern::sleep(1ms);
    return 4;
  });
  fern::yield();
  EXPECT_FALSE(running.cancel());
  EXPECT_EQ(running.get(), 4);
  EXPECT_FALSE(running.cancel());
  EXPECT_EQ(log.text, "");
}

TEST_F(Kill, OfACallableWhoseDestructorWaitsOrKillsAgainIsOneEnd) {
  struct Waits {
    Log* log;
    fern::AnyGreenlet* self;
    Waits(Log* log, fern::AnyGreenlet* self) : log(log), self(self) {}
    Waits(Waits&& other) noexcept : log(std::exchange(other.log, nullptr)), self(other.self) {}
    ~Waits() {
      if (log == nullptr) return;
      self->kill({.block = false});
      fern::sleep(1ms);
      (*log)("destroyed");
    }
  };
  fern::AnyGreenlet greenlet;
  greenlet = fern::spawn([this, waits = Waits(&log, &greenlet)] { log("never"); });
  EXPECT_TRUE(greenlet.kill());
  EXPECT_EQ(log.text, "destroyed ");
  greenlet = {};
  auto next = fern::spawn([] { return 1; });
  EXPECT_EQ(next.get(), 1);
}

TEST_F(Kill, WithAnExceptionOfAnyTypeThrowsThatOne) {
  auto greenlet = fern::spawn([&] {
    try {
      fern::sleep(1h);
    } catch (const std::out_of_range& error) {
      log(error.what());
      throw;
    }
  });
  fern::yield();
  greenlet.kill({.exception = std::make_exception_ptr(std::out_of_range("far"))});
  EXPECT_THROW(greenlet.get(), std::out_of_range);
  EXPECT_FALSE(greenlet.killed());
  EXPECT_EQ(log.text, "far ");
}

TEST_F(Kill, TheFirstOfTwoCounts) {
  auto greenlet = fern::spawn(sleeper(log));
  fern::yield();
  greenlet.kill({.block = false});
  greenlet.kill({.exception = std::make_exception_ptr(std::runtime_error("second"))});
  EXPECT_TRUE(greenlet.killed());
  EXPECT_EQ(log.text, "exit fin ");
}

TEST_F(Kill, OfOneselfThrowsHere) {
  auto greenlet = fern::spawn([&] {
    OnExit fin{[&] { log("fin"); }};
    fern::current_greenlet().kill();
    log("never");
  });
  greenlet.join();
  EXPECT_TRUE(greenlet.killed());
  auto later = fern::spawn([&] {
    fern::current_greenlet().kill({.block = false});
    log("still");
    fern::yield();
    log("never");
  });
  later.join();
  EXPECT_TRUE(later.killed());
  EXPECT_EQ(log.text, "fin still ");
}

TEST_F(Kill, OfOneThatIsReadyWaitsForItsNextWait) {
  auto greenlet = fern::spawn([&] {
    fern::sleep(1ms);
    log("woken");
    fern::sleep(1h);
  });
  // It is ready, but has not run yet, when the kill comes.
  auto killer = fern::spawn([&] {
    fern::sleep(1ms);
    greenlet.kill();
  });
  killer.join();
  EXPECT_TRUE(greenlet.killed());
}

TEST_F(Kill, WaitsWhileTheTargetUnwinds) {
  struct Parks {
    Log& log;
    ~Parks() {
      fern::sleep(3ms);  // may not throw: std::terminate otherwise
      log(std::uncaught_exceptions() == 1 ? "unwinding" : "not");
    }
  };
  auto greenlet = fern::spawn([&] {
    try {
      Parks parks{log};
      throw std::runtime_error("own");
    } catch (const std::runtime_error&) {
      log("caught");
    }
    fern::sleep(1h);
    log("never");
  });
  fern::yield();
  EXPECT_TRUE(greenlet.kill());
  EXPECT_EQ(log.text, "unwinding caught ");
  EXPECT_TRUE(greenlet.killed());
}

TEST_F(Kill, IsHeldBackByAShield) {
  auto greenlet = fern::spawn([&] {
    {
      fern::ShieldKill outer;
      {
        fern::ShieldKill inner;
        fern::sleep(2ms);
      }
      fern::sleep(1ms);
      fern::yield();
      log("whole");
    }
    log("unshielded");
    fern::yield();
    log("never");
  });
  fern::yield();
  EXPECT_FALSE(greenlet.kill({.deadline = 500us}));
  greenlet.join();
  EXPECT_TRUE(greenlet.killed());
  EXPECT_EQ(log.text, "whole unshielded ");
  auto self = fern::spawn([&] {
    fern::ShieldKill shield;
    EXPECT_FALSE(fern::current_greenlet().kill());
    log("held");
  });
  self.join();
  EXPECT_FALSE(self.killed());
}

TEST_F(Kill, ReachesMainToo) {
  auto main = fern::current_greenlet();
  auto killer = fern::spawn([main] { main.kill({.block = false}); });
  bool killed = false;
  try {
    fern::sleep(1h);
  } catch (const fern::GreenletExit& exit) {
    exit.dismiss();
    killed = true;
  }
  EXPECT_TRUE(killed);
  EXPECT_FALSE(main.ready());
  killer.join();
}

TEST_F(Kill, OfAJoinerDoesNotTouchWhomItJoined) {
  auto target = fern::spawn([] {
    fern::sleep(3ms);
    return 8;
  });
  auto joiner = fern::spawn([&] { target.join(); });
  fern::yield();
  joiner.kill();
  EXPECT_TRUE(joiner.killed());
  EXPECT_EQ(target.get(), 8);
}

TEST_F(Kill, FromAnotherThreadWorksInEveryState) {
  may_keep_heap("hubs are kept");
  auto sleeping = fern::spawn(sleeper(log));
  fern::yield();
  auto unstarted = fern::spawn_later(1h, [] {});
  auto ended = fern::spawn([] { return 1; });
  ended.join();
  std::atomic<bool> done{false};
  std::thread killer([&, sleeping, unstarted, ended] {
    EXPECT_FALSE(sleeping.kill({.block = false}));
    EXPECT_TRUE(unstarted.kill());
    EXPECT_TRUE(sleeping.kill());
    EXPECT_TRUE(ended.kill());
    done = true;
  });
  while (!done) fern::sleep(100us);
  killer.join();
  EXPECT_EQ(log.text, "exit fin ");
  EXPECT_TRUE(unstarted.killed());
  EXPECT_EQ(ended.get(), 1);
}

TEST_F(Kill, AStormFromManyThreadsEndsEveryTargetOnce) {
  may_keep_heap("hubs are kept");
  const int targets = fern::testing::under_valgrind() ? 20 : 200;
  std::atomic<int> ends{0};
  std::vector<fern::AnyGreenlet> all;
  for (int i = 0; i < targets; ++i) {
    all.push_back(fern::spawn([&] {
      OnExit fin{[&] { ++ends; }};
      for (;;) {
        fern::sleep(50us);
        fern::yield();
      }
    }));
  }
  fern::yield();
  std::vector<std::thread> killers;
  std::atomic<int> finished{0};
  for (int k = 0; k < 3; ++k) {
    killers.emplace_back([&, k] {
      for (int i = 0; i < targets; ++i) {
        fern::AnyGreenlet greenlet = all[static_cast<std::size_t>((i * (k + 1)) % targets)];
        greenlet.kill({.block = i % 7 == 0});
      }
      for (int i = 0; i < targets; ++i)
        fern::AnyGreenlet(all[static_cast<std::size_t>(i)]).kill({.block = false});
      ++finished;
    });
  }
  while (finished < 3) fern::sleep(200us);
  for (auto& killer : killers) killer.join();
  fern::joinall(all);
  EXPECT_EQ(ends, targets);
}
