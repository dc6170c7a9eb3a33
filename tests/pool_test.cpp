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
using fern::GreenPool;

namespace {

using Log = std::vector<std::string>;

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
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan's child of a fork may not switch";
  GreenPool pool(2);
  fill(pool);
  EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([&] {
    bool right = pool.apply([] { return 5; }) == 5 && pool.waitall(0s) && pool.free() == 2;
    return right ? 0 : 1;
  })));
  EXPECT_EQ(pool.free(), 0u);
  pool.kill();
}

TEST_F(PoolTest, APlaceThatCameFreeWhenAllWhoWaitedWereKilledIsTheNewcomers) {
  GreenPool pool(1);
  fern::Event end;
  fern::Event come;
  pool.spawn_raw([&] { end.wait(); });
  auto killed = fern::spawn([&] { pool.spawn_raw([] {}); });
  bool ran = false;
  auto newcomer = fern::spawn([&] {
    come.wait();
    pool.spawn_raw([&] { ran = true; });
  });
  fern::yield();
  end.set();
  come.set();
  killed.kill({.block = false});
  EXPECT_TRUE(newcomer.join(10s));
  EXPECT_TRUE(pool.waitall());
  EXPECT_TRUE(ran);
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
