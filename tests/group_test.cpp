#include "children.hpp"
#include "support.hpp"

#include <fern/event.hpp>
#include <fern/group.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using fern::GreenletExit;
using fern::Group;

namespace {

using Log = std::vector<std::string>;

// Takes one more kill than usual.
void end_at_the_second_kill() {
  try {
    wait_forever();
  } catch (const GreenletExit&) {
    wait_forever();
  }
}

class GroupTest : public FernTest {
 protected:
  // Those killed before they ran leave at their turn.
  ~GroupTest() override { fern::yield(); }
};

}  // namespace

TEST_F(GroupTest, SpawnNeverRunsTheMemberAndMembersRunInOrder) {
  Group group;
  Log log;
  for (int i = 0; i < 3; ++i) {
    group.spawn([&log, i] { log.push_back(std::to_string(i)); });
  }
  EXPECT_EQ(log, Log());
  EXPECT_EQ(group.size(), 3u);
  EXPECT_TRUE(group.waitall());
  EXPECT_EQ(log, (Log{"0", "1", "2"}));
  EXPECT_TRUE(group.empty());
}

TEST_F(GroupTest, AMemberLeavesWhenItEnds) {
  Group group;
  auto quick = group.spawn([] {});
  auto slow = group.spawn([] { fern::yield(); });
  EXPECT_TRUE(group.contains(quick));
  EXPECT_TRUE(quick.join());
  EXPECT_FALSE(group.contains(quick));
  EXPECT_TRUE(group.contains(slow));
  EXPECT_EQ(group.size(), 1u);
  EXPECT_TRUE(group.waitall());
  EXPECT_FALSE(group.contains(slow));
}

TEST_F(GroupTest, AJoinerFindsTheMemberGone) {
  Group group;
  auto member = group.spawn([] {});
  bool seen = true;
  auto joiner = fern::spawn([&] {
    member.join();
    seen = group.contains(member);
  });
  joiner.join();
  EXPECT_FALSE(seen);
}

TEST_F(GroupTest, SpawnWithOptionsNamesTheMember) {
  may_keep_heap("each size of stack keeps a pool of them");
  Group group;
  auto member = group.spawn(fern::SpawnOptions{.name = "worker", .stack_size = 64 * 1024},
                            [] { return fern::current_greenlet().name(); });
  EXPECT_EQ(std::move(member).get(), "worker");
}

TEST_F(GroupTest, SpawnPassesArgumentsThatOnlyMove) {
  Group group;
  auto member =
      group.spawn([](std::unique_ptr<int> value) { return value; }, std::make_unique<int>(7));
  EXPECT_EQ(*std::move(member).get(), 7);
}

TEST_F(GroupTest, AnEmptyGroupIsWaitedForAtOnce) {
  Group group;
  EXPECT_TRUE(group.waitall());
  EXPECT_TRUE(group.waitall(0s));
  EXPECT_TRUE(group.kill());
}

TEST_F(GroupTest, WaitallIsFalseWhenTheDeadlinePasses) {
  Group group;
  group.spawn(wait_forever);
  EXPECT_FALSE(group.waitall(0s));
  EXPECT_FALSE(group.waitall(5ms));
  EXPECT_EQ(group.size(), 1u);
  group.kill();
}

TEST_F(GroupTest, WaitallCoversThoseWhomMembersSpawn) {
  Group group;
  int ended = 0;
  group.spawn([&] {
    group.spawn([&] {
      group.spawn([&] { ++ended; });
      ++ended;
    });
    ++ended;
  });
  EXPECT_TRUE(group.waitall());
  EXPECT_EQ(ended, 3);
}

// One empty moment is enough, as for gevent's join: it does not starve when others keep spawning.
TEST_F(GroupTest, WaitallIsSatisfiedByAnEmptyMoment) {
  Group group;
  bool done = false;
  auto first = group.spawn([] {});
  auto waiter = fern::spawn([&] { done = group.waitall(); });
  auto refiller = fern::spawn([&] {
    first.join();
    group.spawn(wait_forever);
  });
  waiter.join();
  refiller.join();
  EXPECT_TRUE(done);
  EXPECT_EQ(group.size(), 1u);
  group.kill();
}

TEST_F(GroupTest, WaitallInAMemberIsAnError) {
  Group group;
  auto member = group.spawn([&] { group.waitall(); });
  EXPECT_THROW(member.get(), fern::GreenletError);
}

TEST_F(GroupTest, ATimeoutScopeCutsWaitallShort) {
  Group group;
  group.spawn(wait_forever);
  fern::Timeout timeout(5ms);
  EXPECT_THROW(group.waitall(), fern::TimeoutError);
  timeout.cancel();
  group.kill();
}

TEST_F(GroupTest, AKilledWaiterLeavesTheMembersAlone) {
  Group group;
  group.spawn(wait_forever);
  auto waiter = fern::spawn([&] { group.waitall(); });
  fern::yield();
  waiter.kill();
  EXPECT_TRUE(waiter.killed());
  EXPECT_EQ(group.size(), 1u);
  group.kill();
}

// gevent: V53.
TEST_F(GroupTest, KillEndsAllMembers) {
  Group group;
  auto a = group.spawn(wait_forever);
  auto b = group.spawn(wait_forever);
  EXPECT_EQ(group.size(), 2u);
  EXPECT_TRUE(group.contains(a));
  fern::yield();
  EXPECT_TRUE(group.kill());
  EXPECT_EQ(group.size(), 0u);
  EXPECT_TRUE(a.dead());
  EXPECT_TRUE(b.dead());
  EXPECT_TRUE(group.waitall());
}

TEST_F(GroupTest, KillKeepsTheUnstartedFromRunning) {
  Group group;
  bool ran = false;
  auto member = group.spawn([&] { ran = true; });
  EXPECT_TRUE(group.kill());
  EXPECT_TRUE(member.killed());
  fern::yield();
  EXPECT_FALSE(ran);
}

TEST_F(GroupTest, KillWithoutBlockReturnsAtOnce) {
  Group group;
  group.spawn(wait_forever);
  fern::yield();
  EXPECT_FALSE(group.kill({.block = false}));
  EXPECT_EQ(group.size(), 1u);
  EXPECT_TRUE(group.waitall());
}

TEST_F(GroupTest, KillThrowsTheGivenException) {
  Group group;
  auto member = group.spawn(wait_forever);
  fern::yield();
  group.kill({.exception = std::make_exception_ptr(std::runtime_error("stop"))});
  EXPECT_THROW(member.get(), std::runtime_error);
}

// gevent: X01. Its killall raises, and so does Fern's.
TEST_F(GroupTest, KillWithAPassedDeadlineIsSilent) {
  Group group;
  fern::Event gate;
  group.spawn([&] {
    try {
      wait_forever();
    } catch (const GreenletExit&) {
      gate.wait();
    }
  });
  fern::yield();
  EXPECT_FALSE(group.kill({.deadline = 5ms}));
  EXPECT_EQ(group.size(), 1u);
  gate.set();
  EXPECT_TRUE(group.waitall());
  EXPECT_EQ(group.size(), 0u);
}

TEST_F(GroupTest, KillKillsEachMemberOnce) {
  Group group;
  auto member = group.spawn(end_at_the_second_kill);
  fern::yield();
  EXPECT_FALSE(group.kill({.deadline = 5ms}));
  EXPECT_FALSE(group.kill({.deadline = 5ms}));
  EXPECT_FALSE(member.dead());
  member.kill();
  EXPECT_TRUE(group.empty());
}

TEST_F(GroupTest, KillGoesOnUntilTheGroupIsEmpty) {
  Group group;
  bool late_one_ran_on = false;
  group.spawn([&] {
    try {
      wait_forever();
    } catch (const GreenletExit&) {
      group.spawn([&] {
        wait_forever();
        late_one_ran_on = true;
      });
      fern::yield();
      throw;
    }
  });
  fern::yield();
  EXPECT_TRUE(group.kill());
  EXPECT_TRUE(group.empty());
  EXPECT_FALSE(late_one_ran_on);
}

TEST_F(GroupTest, AMemberThatKillsItsGroupIsKilledLast) {
  Group group;
  Log log;
  auto other = group.spawn(wait_forever);
  auto killer = group.spawn([&] {
    try {
      group.kill();
      log.push_back("not reached");
    } catch (const GreenletExit&) {
      log.push_back("killed");
      throw;
    }
  });
  EXPECT_TRUE(group.waitall());
  EXPECT_TRUE(other.killed());
  EXPECT_TRUE(killer.killed());
  EXPECT_EQ(log, Log{"killed"});
}

TEST_F(GroupTest, AKilledCallableMayUseTheGroupInItsDestructor) {
  Group group;
  bool ran = false;
  struct Spawns {
    Group* group = nullptr;
    bool* ran = nullptr;
    Spawns(Group& group, bool& ran) : group(&group), ran(&ran) {}
    Spawns(Spawns&& other) noexcept : group(std::exchange(other.group, nullptr)), ran(other.ran) {}
    ~Spawns() {
      if (group != nullptr) group->spawn([ran = ran] { *ran = true; });
    }
    void operator()() {}
  };
  group.spawn(Spawns(group, ran));
  group.spawn(wait_forever);
  EXPECT_TRUE(group.kill());
  EXPECT_TRUE(group.empty());
  EXPECT_FALSE(ran);
}

TEST_F(GroupTest, AddMakesAMemberOfARunningGreenlet) {
  Group group;
  auto greenlet = fern::spawn(wait_forever);
  group.add(greenlet);
  group.add(greenlet);
  EXPECT_EQ(group.size(), 1u);
  EXPECT_TRUE(group.contains(greenlet));
  fern::yield();
  EXPECT_TRUE(group.kill());
  EXPECT_TRUE(greenlet.killed());
}

TEST_F(GroupTest, AddOfAnEndedGreenletDoesNothing) {
  Group group;
  auto greenlet = fern::spawn([] {});
  greenlet.join();
  group.add(greenlet);
  EXPECT_TRUE(group.empty());
  EXPECT_THROW(group.add(fern::AnyGreenlet()), fern::GreenletError);
}

TEST_F(GroupTest, AGreenletMayBeAMemberOfSeveralGroups) {
  Group one;
  Group two;
  auto greenlet = one.spawn([] {});
  two.add(greenlet);
  EXPECT_TRUE(one.contains(greenlet));
  EXPECT_TRUE(two.contains(greenlet));
  greenlet.join();
  EXPECT_TRUE(one.empty());
  EXPECT_TRUE(two.empty());
}

TEST_F(GroupTest, ADiscardedMemberGoesOnAlone) {
  Group group;
  auto spawned = group.spawn(wait_forever);
  auto added = fern::spawn(wait_forever);
  group.add(added);
  EXPECT_TRUE(group.discard(spawned));
  EXPECT_TRUE(group.discard(added));
  EXPECT_FALSE(group.discard(added));
  EXPECT_FALSE(group.discard(fern::AnyGreenlet()));
  EXPECT_TRUE(group.waitall());
  EXPECT_TRUE(group.kill());
  EXPECT_FALSE(spawned.dead());
  fern::killall(std::vector<fern::AnyGreenlet>{spawned, added});
}

TEST_F(GroupTest, TheGroupMayGoBeforeItsMembers) {
  int ended = 0;
  auto outlives = fern::spawn([] { fern::yield(); });
  {
    Group group;
    for (int i = 0; i < 3; ++i) {
      group.spawn_raw([&] {
        fern::yield();
        ++ended;
      });
    }
    group.add(outlives);
    fern::yield();
  }
  EXPECT_EQ(ended, 0);
  fern::yield();
  fern::yield();
  EXPECT_EQ(ended, 3);
  outlives.join();
}

TEST_F(GroupTest, AGroupMayGoWhileItIsWaitedFor) {
  auto group = std::make_unique<Group>();
  bool done = false;
  auto member = group->spawn(wait_forever);
  auto waiter = fern::spawn([&] { done = group->waitall(); });
  fern::yield();
  group.reset();
  member.kill();
  waiter.join();
  EXPECT_TRUE(done);
}

// gevent: V53. Membership ends with the greenlet, so waitall raises nothing: that is get's part.
TEST_F(GroupTest, AFailedMemberDoesNotHurtTheGroup) {
  Group group;
  auto member = group.spawn([] { throw std::runtime_error("x"); });
  EXPECT_TRUE(group.waitall());
  EXPECT_THROW(member.get(), std::runtime_error);
}

TEST_F(GroupTest, SpawnThatFailsToCopyLeavesTheGroupAsItWas) {
  struct Refuses {
    Refuses() = default;
    Refuses(const Refuses&) { throw std::runtime_error("no copies"); }
    void operator()() {}
  };
  Group group;
  Refuses refuses;
  EXPECT_THROW(group.spawn(refuses), std::runtime_error);
  EXPECT_TRUE(group.empty());
  EXPECT_TRUE(group.waitall());
}

TEST_F(GroupTest, ApplyReturnsWhatTheFunctionReturns) {
  Group group;
  EXPECT_EQ(group.apply([](int x) { return x + 1; }, 1), 2);
  EXPECT_EQ(*group.apply([] { return std::make_unique<int>(3); }), 3);
  group.apply([] {});
  EXPECT_THROW(group.apply([]() -> int { throw std::runtime_error("x"); }), std::runtime_error);
  EXPECT_TRUE(group.empty());
}

TEST_F(GroupTest, MapReturnsResultsInOrder) {
  Group group;
  EXPECT_EQ(group.map([](int x) { return x * x; }, std::vector{0, 1, 2, 3}),
            (std::vector{0, 1, 4, 9}));
  EXPECT_EQ(group.map([](int x) { return x; }, std::vector<int>()), std::vector<int>());
}

// gevent: W02.
TEST_F(GroupTest, ImapReadsSeveralRangesToTheEndOfTheShortest) {
  Group group;
  std::vector<std::pair<int, char>> seen;
  for (auto& pair : group.imap([](int a, char b) { return std::pair(a, b); }, std::vector{1, 2, 3},
                               std::string("xy"))) {
    seen.push_back(pair);
  }
  EXPECT_EQ(seen, (std::vector<std::pair<int, char>>{{1, 'x'}, {2, 'y'}}));
}

// gevent: W02, V49.
TEST_F(GroupTest, ImapReadsAllOfItsInputAtOnce) {
  Group group;
  int read = 0;
  auto input = std::views::iota(0, 100) | std::views::transform([&](int i) {
                 ++read;
                 return i;
               });
  auto results = group.imap([](int i) { return i; }, input);
  EXPECT_EQ(read, 0);
  fern::yield();
  EXPECT_EQ(read, 100);
  EXPECT_EQ(group.size(), 100u);
  EXPECT_TRUE(group.waitall());
  int next = 0;
  for (int& i : results) EXPECT_EQ(i, next++);
  EXPECT_EQ(next, 100);
}

TEST_F(GroupTest, KillReachesTheWorkersOfImap) {
  Group group;
  auto results = group.imap(
      [](int i) {
        if (i == 1) wait_forever();
        return i;
      },
      std::vector{0, 1, 2});
  EXPECT_EQ(*results.next(), 0);
  fern::yield();
  EXPECT_TRUE(group.kill());
  EXPECT_THROW(results.next(), fern::GreenletKilled);
  EXPECT_EQ(*results.next(), 2);
  EXPECT_EQ(results.next(), nullptr);
}

TEST_F(GroupTest, ImapOutlivesItsGroup) {
  auto group = std::make_unique<Group>();
  auto results = group->imap_unordered([](int i) { return i; }, std::vector{1, 2});
  group.reset();
  EXPECT_EQ(*results.next(), 1);
  EXPECT_EQ(*results.next(), 2);
  EXPECT_EQ(results.next(), nullptr);
}

TEST_F(GroupTest, AnotherThreadIsRefused) {
  may_keep_heap("the other thread's hub is kept for the next thread");
  Group group;
  group.spawn([] {});
  auto stranger = fern::spawn(wait_forever);
  std::thread([&] {
    EXPECT_THROW(group.spawn([] {}), fern::GreenletError);
    EXPECT_THROW(group.waitall(), fern::GreenletError);
    EXPECT_THROW(group.kill(), fern::GreenletError);
    Group here;
    EXPECT_THROW(here.add(stranger), fern::GreenletError);
    EXPECT_FALSE(here.contains(stranger));
    EXPECT_FALSE(here.discard(stranger));
  }).join();
  EXPECT_TRUE(group.waitall());
  stranger.kill();
}

TEST_F(GroupTest, TheChildOfAForkHasNoMembersButTheOneThatForked) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan's child of a fork may not switch";
  Group group;
  group.spawn(wait_forever);
  auto added = fern::spawn(wait_forever);
  group.add(added);
  fern::yield();
  auto forker = group.spawn([&] {
    return fern::testing::in_child([&] {
      bool member = false;
      try {
        group.waitall(0s);
      } catch (const fern::GreenletError&) {
        member = true;
      }
      bool right = member && group.size() == 1 && group.discard(fern::current_greenlet()) &&
                   group.waitall(0s) && group.apply([] { return 5; }) == 5;
      return right ? 0 : 1;
    });
  });
  EXPECT_TRUE(fern::testing::succeeded(std::move(forker).get()));
  EXPECT_EQ(group.size(), 2u);
  group.kill();
}

TEST_F(GroupTest, ManyMembersAreWaitedForAndKilled) {
  Group group;
  int ended = 0;
  int count = fern::testing::many / 10;
  for (int i = 0; i < count; ++i) group.spawn_raw([&] { ++ended; });
  EXPECT_TRUE(group.waitall());
  EXPECT_EQ(ended, count);
  for (int i = 0; i < count; ++i) group.spawn_raw(wait_forever);
  fern::yield();
  EXPECT_TRUE(group.kill());
}
