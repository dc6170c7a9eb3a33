#include "children.hpp"
#include "support.hpp"

#include <fern/event.hpp>
#include <fern/hub.hpp>
#include <fern/pool.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using fern::GreenletExit;
using fern::GreenPool;

namespace {

using Log = std::vector<std::string>;

void wait_forever() { fern::sleep(fern::Deadline::never()); }

std::string number(std::size_t n) { return std::to_string(n); }

class PoolTest : public FernTest {
 protected:
  // Those killed before they ran leave at their turn.
  ~PoolTest() override { fern::yield(); }

  // A pool with as many members as it may have.
  void fill(GreenPool& pool) {
    while (pool.free() > 0) pool.spawn_raw(wait_forever);
    fern::yield();
  }
};

}  // namespace

TEST_F(PoolTest, TheDefaultSizeIsAThousand) {
  GreenPool pool;
  EXPECT_EQ(pool.size(), 1000u);
  EXPECT_EQ(pool.free(), 1000u);
}

TEST_F(PoolTest, ANegativeSizeIsAnError) {
  EXPECT_THROW(GreenPool(-1), std::logic_error);
  GreenPool pool(1);
  EXPECT_THROW(pool.resize(-1), std::logic_error);
  EXPECT_EQ(pool.size(), 1u);
}

TEST_F(PoolTest, APoolOfNoneIsAlwaysFull) {
  GreenPool pool(0);
  EXPECT_EQ(pool.free(), 0u);
  EXPECT_THROW(pool.spawn(0s, [] {}), fern::TimeoutError);
  EXPECT_THROW(pool.spawn(1ms, [] {}), fern::TimeoutError);
  auto spawner = fern::spawn([&] { return pool.apply([] { return 3; }); });
  fern::yield();
  EXPECT_EQ(pool.waiting(), 1u);
  pool.resize(1);
  EXPECT_EQ(std::move(spawner).get(), 3);
}

// gevent: X06.
TEST_F(PoolTest, BlockedSpawnersGetPlacesInTurn) {
  GreenPool pool(1);
  Log log;
  fern::Event gate;
  pool.spawn_raw([&] { gate.wait(); });
  std::vector<fern::AnyGreenlet> spawners;
  for (int i = 0; i < 3; ++i) {
    spawners.push_back(
        fern::spawn([&, i] { pool.spawn_raw([&log, i] { log.push_back("task " + number(i)); }); }));
  }
  fern::yield();
  EXPECT_EQ(pool.waiting(), 3u);
  gate.set();
  fern::joinall(spawners);
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(log, (Log{"task 0", "task 1", "task 2"}));
  EXPECT_EQ(pool.waiting(), 0u);
}

TEST_F(PoolTest, ANewcomerDoesNotOvertakeTheBlocked) {
  GreenPool pool(1);
  Log log;
  auto first = pool.spawn(wait_forever);
  auto blocked = fern::spawn([&] { pool.spawn_raw([&] { log.push_back("blocked"); }); });
  fern::yield();
  first.kill({.block = false});
  // It runs right behind the member's end, before the one that the end woke.
  auto newcomer = fern::spawn([&] { pool.spawn_raw([&] { log.push_back("newcomer"); }); });
  fern::joinall(blocked, newcomer);
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(log, (Log{"blocked", "newcomer"}));
}

TEST_F(PoolTest, SpawnThrowsWhenThePoolStaysFull) {
  GreenPool pool(1);
  fill(pool);
  EXPECT_THROW(pool.spawn(0s, [] {}), fern::TimeoutError);
  EXPECT_THROW(pool.spawn(2ms, [] {}), fern::TimeoutError);
  EXPECT_EQ(pool.running(), 1u);
  EXPECT_EQ(pool.waiting(), 0u);
  pool.kill();
  EXPECT_EQ(pool.spawn(0s, [](int x) { return x; }, 4).get(), 4);
}

TEST_F(PoolTest, ATimeoutScopeCutsABlockedSpawnShort) {
  GreenPool pool(1);
  fill(pool);
  bool ran = false;
  EXPECT_FALSE(fern::with_timeout_silent(2ms, [&] { pool.spawn([&] { ran = true; }); }));
  pool.kill();
  fern::yield();
  EXPECT_FALSE(ran);
  EXPECT_EQ(pool.free(), 1u);
}

TEST_F(PoolTest, AKilledSpawnerSpawnsNothingAndBlocksNobody) {
  GreenPool pool(1);
  fill(pool);
  bool ran = false;
  auto killed = fern::spawn([&] { pool.spawn([&] { ran = true; }); });
  auto next = fern::spawn([&] { return pool.apply([] { return 1; }); });
  fern::yield();
  EXPECT_EQ(pool.waiting(), 2u);
  killed.kill();
  EXPECT_EQ(pool.waiting(), 1u);
  pool.resize(2);
  EXPECT_EQ(std::move(next).get(), 1);
  pool.kill();
  EXPECT_FALSE(ran);
}

TEST_F(PoolTest, APlaceMeantForAKilledSpawnerGoesToTheNext) {
  GreenPool pool(1);
  auto member = pool.spawn(wait_forever);
  auto killed = fern::spawn([&] { pool.spawn_raw([] {}); });
  auto next = fern::spawn([&] { return pool.apply([] { return 1; }); });
  fern::yield();
  // The member's end wakes the first spawner, which by then has been killed.
  member.link([killed](auto&&) { killed.kill({.block = false}); });
  member.kill({.block = false});
  killed.kill({.block = false});
  EXPECT_EQ(std::move(next).get(), 1);
  EXPECT_TRUE(killed.killed());
  EXPECT_TRUE(pool.waitall());
  fern::yield();
}

TEST_F(PoolTest, AFailedCopyGivesThePlaceBack) {
  struct Refuses {
    Refuses() = default;
    Refuses(const Refuses&) { throw std::runtime_error("no copies"); }
    void operator()() {}
  };
  GreenPool pool(1);
  Refuses refuses;
  EXPECT_THROW(pool.spawn(refuses), std::runtime_error);
  EXPECT_THROW(pool.spawn_raw(refuses), std::runtime_error);
  EXPECT_EQ(pool.free(), 1u);
}

TEST_F(PoolTest, ResizingUpLetsTheBlockedIn) {
  GreenPool pool(1);
  fill(pool);
  std::vector<fern::AnyGreenlet> spawners;
  for (int i = 0; i < 4; ++i) {
    spawners.push_back(fern::spawn([&] { pool.spawn_raw(wait_forever); }));
  }
  fern::yield();
  EXPECT_EQ(pool.waiting(), 4u);
  pool.resize(4);
  for (int i = 0; i < 4; ++i) fern::yield();
  EXPECT_EQ(pool.waiting(), 1u);
  EXPECT_EQ(pool.running(), 4u);
  pool.resize(5);
  fern::joinall(spawners);
  EXPECT_EQ(pool.running(), 5u);
  EXPECT_TRUE(pool.kill());
}

TEST_F(PoolTest, ResizingDownLetsNobodyInUntilEnoughHaveEnded) {
  GreenPool pool(3);
  std::vector<fern::AnyGreenlet> members;
  for (int i = 0; i < 3; ++i) members.push_back(pool.spawn(wait_forever));
  auto spawner = fern::spawn([&] { pool.spawn_raw(wait_forever); });
  fern::yield();
  pool.resize(1);
  EXPECT_EQ(pool.free(), 0u);
  EXPECT_EQ(pool.running(), 3u);
  for (int i = 0; i < 2; ++i) {
    members[static_cast<std::size_t>(i)].kill();
    fern::yield();
    EXPECT_EQ(pool.waiting(), 1u);
  }
  members[2].kill();
  spawner.join();
  EXPECT_EQ(pool.running(), 1u);
  pool.kill();
}

TEST_F(PoolTest, AMemberOfAPoolWithRoomSpawnsAsEverybody) {
  GreenPool pool(2);
  Log log;
  pool.spawn_raw([&] {
    pool.spawn_raw([&] { log.push_back("inner"); });
    log.push_back("outer end");
  });
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(log, (Log{"outer end", "inner"}));
}

TEST_F(PoolTest, WhatRunsAtOnceMayWait) {
  GreenPool pool(1);
  Log log;
  auto member = pool.spawn([&] {
    pool.spawn_raw([&] {
      fern::sleep(1ms);
      pool.spawn_raw([&] { log.push_back("innermost"); });
      log.push_back("inner");
    });
    log.push_back("outer");
  });
  member.get();
  EXPECT_EQ(log, (Log{"innermost", "inner", "outer"}));
}

TEST_F(PoolTest, WhatFailsAtOnceFailsInItsHandle) {
  GreenPool pool(1);
  auto member = pool.spawn([&] {
    auto inner = pool.spawn([]() -> int { throw std::runtime_error("inner"); });
    EXPECT_TRUE(inner.dead());
    EXPECT_FALSE(inner.successful());
    EXPECT_THROW(inner.get(), std::runtime_error);
    auto gone = pool.spawn([] { throw GreenletExit(); });
    EXPECT_TRUE(gone.killed());
    EXPECT_THROW(gone.get(), fern::GreenletKilled);
  });
  member.get();
}

TEST_F(PoolTest, WhatFailsAtOnceWithoutAHandleIsPrinted) {
  GreenPool pool(1);
  bool went_on = false;
  testing::internal::CaptureStderr();
  auto member = pool.spawn([&] {
    pool.spawn_raw([] { throw std::runtime_error("nobody reads this"); });
    went_on = true;
  });
  member.get();
  EXPECT_NE(testing::internal::GetCapturedStderr().find("nobody reads this"), std::string::npos);
  EXPECT_TRUE(went_on);
}

TEST_F(PoolTest, AKillOfTheCallerPassesThroughWhatRunsAtOnce) {
  GreenPool pool(1);
  bool went_on = false;
  auto member = pool.spawn([&] {
    pool.spawn(wait_forever);
    went_on = true;
  });
  fern::yield();
  member.kill();
  EXPECT_TRUE(member.killed());
  EXPECT_FALSE(went_on);
  EXPECT_EQ(pool.running(), 0u);

  auto other = pool.spawn([&] {
    pool.spawn(wait_forever);
    went_on = true;
  });
  fern::yield();
  other.kill({.exception = std::make_exception_ptr(std::out_of_range("stop"))});
  EXPECT_THROW(other.get(), std::out_of_range);
  EXPECT_FALSE(went_on);
}

TEST_F(PoolTest, ATimeoutOfTheCallersPassesThroughWhatRunsAtOnce) {
  GreenPool pool(1);
  Log log;
  auto member = pool.spawn([&] {
    fern::Timeout timeout(2ms);
    try {
      pool.spawn(wait_forever);
      log.push_back("went on");
    } catch (const fern::TimeoutError& error) {
      log.push_back(timeout.owns(error) ? "mine" : "another");
    }
    auto inner = pool.spawn([] {
      fern::Timeout its_own(2ms);
      wait_forever();
    });
    EXPECT_THROW(inner.get(), fern::TimeoutError);
    log.push_back("went on");
  });
  member.get();
  EXPECT_EQ(log, (Log{"mine", "went on"}));
}

TEST_F(PoolTest, ApplyInsideOfAFullPoolDoesNotHang) {
  GreenPool pool(1);
  EXPECT_EQ(pool.apply([&] { return pool.apply([&] { return pool.apply([] { return 9; }); }); }),
            9);
}

TEST_F(PoolTest, WaitallInAMemberIsAnError) {
  GreenPool pool(2);
  auto member = pool.spawn([&] { pool.waitall(); });
  EXPECT_THROW(member.get(), fern::GreenletError);
}

TEST_F(PoolTest, WaitallWithADeadline) {
  GreenPool pool(2);
  EXPECT_TRUE(pool.waitall(0s));
  pool.spawn_raw(wait_forever);
  EXPECT_FALSE(pool.waitall(2ms));
  pool.kill();
  EXPECT_TRUE(pool.waitall(0s));
}

TEST_F(PoolTest, KillEndsThoseWhoJoinMeanwhile) {
  GreenPool pool(2);
  fill(pool);
  std::vector<fern::AnyGreenlet> spawners;
  for (int i = 0; i < 5; ++i) {
    spawners.push_back(fern::spawn([&] { pool.spawn_raw(wait_forever); }));
  }
  fern::yield();
  EXPECT_TRUE(pool.kill());
  EXPECT_EQ(pool.running(), 0u);
  // Those who were let in meanwhile are there at the next turn.
  while (pool.waiting() > 0) {
    fern::yield();
    EXPECT_TRUE(pool.kill());
  }
  fern::joinall(spawners);
  EXPECT_TRUE(pool.kill());
  EXPECT_EQ(pool.free(), 2u);
}

TEST_F(PoolTest, ExceptionsDoNotHurtThePool) {
  GreenPool pool(1);
  for (int i = 0; i < 3; ++i) {
    auto member = pool.spawn([] { throw std::runtime_error("x"); });
    EXPECT_THROW(member.get(), std::runtime_error);
  }
  EXPECT_EQ(pool.free(), 1u);
}

// gevent: V48, where a full pool raises PoolFull.
TEST_F(PoolTest, AddTakesAPlace) {
  GreenPool pool(1);
  auto one = fern::spawn(wait_forever);
  auto two = fern::spawn(wait_forever);
  pool.add(one);
  EXPECT_TRUE(pool.contains(one));
  EXPECT_EQ(pool.free(), 0u);
  EXPECT_THROW(pool.add(two, 0s), fern::TimeoutError);
  pool.add(one, 0s);
  auto adder = fern::spawn([&] { pool.add(two); });
  fern::yield();
  EXPECT_TRUE(pool.discard(one));
  adder.join();
  EXPECT_TRUE(pool.contains(two));
  pool.kill();
  EXPECT_TRUE(two.killed());
  one.kill();
}

TEST_F(PoolTest, AddOfOneThatEndsWhileThePoolIsFullTakesNoPlace) {
  GreenPool pool(1);
  auto member = pool.spawn(wait_forever);
  auto late = fern::spawn(wait_forever);
  auto adder = fern::spawn([&] { pool.add(late); });
  fern::yield();
  late.kill();
  member.kill();
  adder.join();
  EXPECT_EQ(pool.free(), 1u);
}

TEST_F(PoolTest, ThePoolMayGoBeforeItsMembersAndSpawners) {
  auto pool = std::make_unique<GreenPool>(1);
  Log log;
  pool->spawn_raw([&] {
    fern::yield();
    log.push_back("member");
  });
  auto spawner = fern::spawn([&] { pool->spawn_raw([&] { log.push_back("blocked"); }); });
  auto waiter = fern::spawn([&] { log.push_back(pool->waitall() ? "all" : "late"); });
  fern::yield();
  pool.reset();
  fern::joinall(spawner, waiter);
  fern::yield();
  EXPECT_EQ(log, (Log{"member", "all", "blocked"}));
}

TEST_F(PoolTest, MapReturnsResultsInOrder) {
  GreenPool pool(3);
  int running = 0;
  int most = 0;
  auto doubled = pool.map(
      [&](int i) {
        most = std::max(most, ++running);
        for (int turn = i; turn < 5; ++turn) fern::yield();
        --running;
        return 2 * i;
      },
      std::vector{0, 1, 2, 3, 4});
  EXPECT_EQ(doubled, (std::vector{0, 2, 4, 6, 8}));
  EXPECT_EQ(most, 3);
  EXPECT_EQ(pool.running(), 0u);
}

// gevent: V51.
TEST_F(PoolTest, MapThrowsTheFirstFailureInOrder) {
  GreenPool pool(3);
  Log log;
  auto work = [&](int i) {
    for (int turn = 0; turn < i; ++turn) fern::yield();
    log.push_back(number(i));
    if (i == 2) throw std::out_of_range("2");
    if (i == 1) throw std::domain_error("1");
    return i;
  };
  testing::internal::CaptureStderr();
  EXPECT_THROW(pool.map(work, std::vector{0, 2, 1, 3}), std::out_of_range);
  EXPECT_TRUE(pool.waitall());
  // Nobody has read the other failure.
  EXPECT_NE(testing::internal::GetCapturedStderr().find("1"), std::string::npos);
  EXPECT_EQ(log.size(), 4u);
}

TEST_F(PoolTest, AfterAFailureInMapTheOthersRunOn) {
  GreenPool pool;
  fern::Event gate;
  int ran = 0;
  auto work = [&](int i) {
    if (i == 0) throw std::runtime_error("0");
    gate.wait();
    ++ran;
    return i;
  };
  EXPECT_THROW(pool.map(work, std::vector{0, 1, 2}), std::runtime_error);
  EXPECT_EQ(pool.running(), 2u);
  gate.set();
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(ran, 2);
}

TEST_F(PoolTest, MapThrowsWhatItsInputThrows) {
  GreenPool pool(1);
  int ran = 0;
  auto input = std::views::iota(0, 9) | std::views::transform([](int i) {
                 if (i == 2) throw std::out_of_range("input");
                 return i;
               });
  auto work = [&](int i) {
    ++ran;
    return i;
  };
  EXPECT_THROW(pool.map(work, input), std::out_of_range);
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(ran, 2);
}

TEST_F(PoolTest, AMapThatIsKilledLeavesItsMembersRunning) {
  GreenPool pool(2);
  fern::Event gate;
  int ran = 0;
  auto work = [&](int i) {
    gate.wait();
    ++ran;
    return i;
  };
  std::vector<int> input{1, 2};
  auto mapper = fern::spawn([&] { pool.map(work, input); });
  fern::yield();
  mapper.kill();
  EXPECT_TRUE(mapper.killed());
  EXPECT_EQ(pool.running(), 2u);
  gate.set();
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(ran, 2);
}

TEST_F(PoolTest, MapInsideOfAFullPoolDoesNotHang) {
  GreenPool pool(1);
  auto inner = [&](int i) {
    auto each = pool.map([i](int j) { return i * j; }, std::vector{1, 2, 3});
    return each[0] + each[1] + each[2];
  };
  EXPECT_EQ(pool.map(inner, std::vector{1, 2}), (std::vector{6, 12}));
  auto failing = [&](int i) {
    EXPECT_THROW(pool.map([](int j) -> int { throw j; }, std::vector{i}), int);
    EXPECT_THROW(pool.map([](int) -> int { throw GreenletExit(); }, std::vector{i}),
                 fern::GreenletKilled);
    return i;
  };
  EXPECT_EQ(pool.map(failing, std::vector{1, 2}), (std::vector{1, 2}));
}

TEST_F(PoolTest, MapTakesResultsThatOnlyMove) {
  GreenPool pool(2);
  auto made = pool.map([](int i) { return std::make_unique<int>(i); }, std::vector{1, 2});
  EXPECT_EQ(*made[1], 2);
}

TEST_F(PoolTest, MapKeepsFewStacks) {
  GreenPool pool(10);
  int count = fern::testing::many / 10;
  auto squares = pool.map(
      [](int i) {
        fern::yield();
        return i;
      },
      std::views::iota(0, count));
  EXPECT_EQ(squares.size(), static_cast<std::size_t>(count));
}

TEST_F(PoolTest, AnotherThreadIsRefused) {
  may_keep_heap("the other thread's hub is kept for the next thread");
  GreenPool pool(1);
  pool.spawn_raw([] {});
  std::thread([&] {
    EXPECT_THROW(pool.spawn([] {}), fern::GreenletError);
    EXPECT_THROW(pool.resize(3), fern::GreenletError);
  }).join();
  EXPECT_TRUE(pool.waitall());
}

TEST_F(PoolTest, TheHubsOwnStackMaySpawnButNotWait) {
  GreenPool pool(1);
  Log log;
  fern::Event posted;
  fern::Hub::current().post([&] {
    pool.spawn_raw([&] { log.push_back("member"); });
    try {
      pool.spawn_raw([] {});
    } catch (const fern::BlockingInHub&) {
      log.push_back("full");
    }
    posted.set();
  });
  posted.wait();
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(log, (Log{"full", "member"}));
}

TEST_F(PoolTest, TheChildOfAForkHasItsPlacesFree) {
  if (!fern::testing::children_may_switch) GTEST_SKIP();
  GreenPool pool(2);
  fill(pool);
  EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([&] {
    bool right = pool.apply([] { return 5; }) == 5 && pool.waitall(0s) && pool.free() == 2;
    return right ? 0 : 1;
  })));
  EXPECT_EQ(pool.free(), 0u);
  pool.kill();
}

TEST_F(PoolTest, AStormOfSpawnersAndKillsLosesNoPlace) {
  GreenPool pool(3);
  int ran = 0;
  std::vector<fern::AnyGreenlet> spawners;
  for (int i = 0; i < 300; ++i) {
    spawners.push_back(fern::spawn([&, i] {
      pool.spawn_raw([&, i] {
        for (int turn = 0; turn < i % 4; ++turn) fern::yield();
        ++ran;
      });
    }));
  }
  for (std::size_t i = 0; i < spawners.size(); i += 3) {
    if (i % 2 == 0) fern::yield();
    spawners[i].kill({.block = false});
  }
  fern::joinall(spawners);
  EXPECT_TRUE(pool.waitall());
  int expected = 0;
  for (auto& spawner : spawners) expected += spawner.killed() ? 0 : 1;
  EXPECT_EQ(ran, expected);
  EXPECT_EQ(pool.free(), 3u);
  EXPECT_EQ(pool.waiting(), 0u);
}
