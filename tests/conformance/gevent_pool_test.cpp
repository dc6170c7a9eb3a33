#include "../support.hpp"
#include "greenlets.hpp"
#include "journal.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/group.hpp>
#include <fern/pool.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::AnyGreenlet;
using fern::Event;
using fern::GreenPool;
using fern::Group;
using fern::spawn;
using fern::yield;

class GeventPool : public FernTest {
 protected:
  // Those killed before they ran leave at their turn.
  ~GeventPool() override { yield(); }
};

// ---- Pool ------------------------------------------------------------------------------------

// V48
TEST_F(GeventPool, SpawnWaitsWhileThePoolIsFull) {
  Journal log;
  GreenPool pool(2);
  std::vector<Event> gates(4);
  std::vector<Event> ended(4);
  auto work = [&](std::size_t n) {
    log("start ", n);
    gates[n].wait();
    log("end ", n);
    ended[n].set();
  };
  auto opener = spawn([&] {
    for (std::size_t n = 0; n < 4; ++n) {
      yield();
      yield();
      gates[n].set();
      ended[n].wait();
    }
  });
  for (std::size_t n = 0; n < 4; ++n) {
    log("spawning ", n, " free ", pool.free());
    pool.spawn(work, n);
  }
  EXPECT_TRUE(pool.waitall());
  opener.join();
  EXPECT_EQ(log.lines(), (Lines{"spawning 0 free 2", "spawning 1 free 1", "spawning 2 free 0",
                                "start 0", "start 1", "end 0", "spawning 3 free 0", "start 2",
                                "end 1", "start 3", "end 2", "end 3"}));
  EXPECT_EQ(pool.running(), 0u);
  EXPECT_EQ(pool.free(), 2u);
}

// V48: a full pool that may not be waited for is late.
TEST_F(GeventPool, AddToAFullPoolWithoutTimeIsATimeoutError) {
  GreenPool pool(2);
  pool.spawn(wait_forever);
  pool.spawn(wait_forever);
  auto another = spawn(wait_forever);
  EXPECT_THROW(pool.add(another, 0s), fern::TimeoutError);
  EXPECT_THROW(pool.add(another, 1ms), fern::TimeoutError);
  EXPECT_FALSE(pool.contains(another));
  another.kill();
  pool.kill();
}

// V48
TEST_F(GeventPool, WaitAvailableTellsHowManyPlacesThereAreAndTakesNone) {
  Journal log;
  GreenPool pool(2);
  EXPECT_EQ(pool.wait_available(), 2u);
  Event gate;
  auto first = pool.spawn([&] { gate.wait(); });
  auto second = pool.spawn(wait_forever);
  EXPECT_EQ(pool.wait_available(0s), 0u);
  EXPECT_EQ(pool.wait_available(1ms), 0u);
  auto watcher = spawn([&] { log("available ", pool.wait_available()); });
  auto spawner = spawn([&] {
    pool.spawn([] {});
    log("spawned");
  });
  yield();
  gate.set();
  fern::joinall(watcher, spawner);
  EXPECT_EQ(log.lines(), (Lines{"available 1", "spawned"}));
  second.kill();
  pool.waitall();
  EXPECT_EQ(pool.wait_available(), 2u);
}

// gevent's Pool(0), which its wait_available() is for.
TEST_F(GeventPool, APoolOfNoneIsAlwaysFull) {
  GreenPool pool(0);
  EXPECT_EQ(pool.free(), 0u);
  EXPECT_EQ(pool.wait_available(1ms), 0u);
  EXPECT_THROW(pool.spawn(1ms, [] {}), fern::TimeoutError);
  EXPECT_THROW(GreenPool(-1), std::invalid_argument);
}

// X06
TEST_F(GeventPool, BlockedSpawnersGetPlacesInTheirOrder) {
  Journal log;
  GreenPool pool(1);
  Event gate;
  pool.spawn([&] { gate.wait(); });
  std::vector<AnyGreenlet> spawners;
  for (int i = 0; i < 3; ++i) {
    spawners.push_back(spawn([&, i] { pool.spawn([&, i] { log("task ", i); }); }));
  }
  yield();
  gate.set();
  fern::joinall(spawners);
  pool.waitall();
  EXPECT_EQ(log.lines(), (Lines{"task 0", "task 1", "task 2"}));
}

// V51
TEST_F(GeventPool, MapThrowsTheFirstFailureOfTheInputAndTheOthersRunOn) {
  Journal log;
  GreenPool pool(3);
  Event gate;
  auto work = [&](int n) {
    if (n == 2) throw std::range_error(std::to_string(n));
    if (n == 1) gate.wait();
    log("done ", n);
    return n;
  };
  try {
    pool.map(work, std::vector{0, 2, 1});
  } catch (const std::range_error& error) {
    log("thrown ", error.what(), ", running ", pool.running());
  }
  gate.set();
  pool.waitall();
  EXPECT_EQ(log.lines(), (Lines{"done 0", "thrown 2, running 1", "done 1"}));
}

// ---- Group -----------------------------------------------------------------------------------

// V53
TEST_F(GeventPool, ApplyAndMapReturnWhatTheirCallsReturn) {
  Group group;
  EXPECT_EQ(group.apply([](int x) { return x + 1; }, 1), 2);
  EXPECT_EQ(group.map([](int x) { return x * x; }, std::vector{0, 1, 2, 3}),
            (std::vector{0, 1, 4, 9}));
  EXPECT_EQ(GreenPool(1).map([](int x) { return x * x; }, std::vector{0, 1, 2, 3}),
            (std::vector{0, 1, 4, 9}));
}

// V53: apply_async and map_async are a spawn with a link.
TEST_F(GeventPool, ASpawnWithALinkIsAnApplyWithACallback) {
  Journal log;
  Group group;
  auto one = group.spawn([] { return 9; });
  one.link_value([&](AnyGreenlet) { log("callback ", *one.value()); });
  one.join();
  auto all = spawn([&] { return group.map([](int x) { return x; }, std::vector{1, 2}); });
  all.link_value([&](AnyGreenlet) { log("callback ", all.value()->size()); });
  all.join();
  yield();
  EXPECT_EQ(log.lines(), (Lines{"callback 9", "callback 2"}));
}

// gevent's apply, in a greenlet that is a member already.
TEST_F(GeventPool, ApplyInAMemberCallsTheFunctionAtOnce) {
  Journal log;
  Group group;
  GreenPool pool(5);
  auto apply_in = [&](auto& members, const char* name) {
    members
        .spawn([&, name] {
          AnyGreenlet caller = fern::current_greenlet();
          auto other = spawn([&] { log("other"); });
          int two = members.apply([&] {
            log(name, " the caller's own greenlet ", fern::current_greenlet() == caller);
            return 2;
          });
          log(name, " ", two);
          EXPECT_THROW(members.apply([]() -> int { throw std::range_error("x"); }),
                       std::range_error);
          other.join();
        })
        .join();
  };
  apply_in(group, "group");
  apply_in(pool, "pool");
  EXPECT_EQ(log.lines(), (Lines{"group the caller's own greenlet true", "group 2", "other",
                                "pool the caller's own greenlet true", "pool 2", "other"}));
}

// V53: who has ended is no member, however it ended.
TEST_F(GeventPool, AGroupCountsAndKillsItsMembers) {
  Group group;
  auto a = group.spawn(wait_forever);
  auto b = group.spawn(wait_forever);
  yield();
  EXPECT_EQ(group.size(), 2u);
  EXPECT_TRUE(group.contains(a));
  a.kill();
  EXPECT_EQ(group.size(), 1u);
  EXPECT_TRUE(group.kill());
  EXPECT_EQ(group.size(), 0u);
  EXPECT_TRUE(a.dead());
  EXPECT_TRUE(b.dead());
  EXPECT_TRUE(group.waitall());
}

// V53: waitall() throws nobody's exception; joinall over the handles does.
TEST_F(GeventPool, AMembersFailureIsForItsHandle) {
  Group group;
  auto member = group.spawn([] { throw std::range_error("x"); });
  EXPECT_TRUE(group.waitall());
  EXPECT_THROW(fern::joinall({member}, {.raise_error = true}), std::range_error);
}

// V53: gevent says true here, since its group that is made of greenlets takes itself for empty.
TEST_F(GeventPool, AWaitallThatIsLateIsFalse) {
  Group group;
  auto member = spawn(wait_forever);
  group.add(member);
  EXPECT_FALSE(group.waitall(1ms));
  group.kill();
}

// X01
TEST_F(GeventPool, AKillOfAGroupThatIsLateIsSilent) {
  Group group;
  Event gate;
  group.spawn([&] {
    try {
      wait_forever();
    } catch (const fern::GreenletExit&) {
      gate.wait();
    }
  });
  yield();
  EXPECT_FALSE(group.kill({.deadline = 5ms}));
  EXPECT_EQ(group.size(), 1u);
  gate.set();
  EXPECT_TRUE(group.waitall());
  EXPECT_EQ(group.size(), 0u);
}

// gevent's Group.join: empty once is enough.
TEST_F(GeventPool, WaitallCoversThoseWhoCameWhileItWaitedAndEndsAtAnEmptyMoment) {
  Journal log;
  Group group;
  Event gate;
  group.spawn([&] {
    gate.wait();
    group.spawn([&] { log("late member"); });
    log("first member");
  });
  auto waiter = spawn([&] {
    group.waitall();
    log("empty");
  });
  yield();
  gate.set();
  waiter.join();
  EXPECT_EQ(log.lines(), (Lines{"first member", "late member", "empty"}));
}

// gevent's killing of a group goes on until nobody is left.
TEST_F(GeventPool, KillOfAGroupEndsThoseWhoComeMeanwhile) {
  Group group;
  bool late_one_ran_on = false;
  group.spawn([&] {
    try {
      wait_forever();
    } catch (const fern::GreenletExit&) {
      group.spawn([&] {
        wait_forever();
        late_one_ran_on = true;
      });
      yield();
      throw;
    }
  });
  yield();
  EXPECT_TRUE(group.kill());
  EXPECT_EQ(group.size(), 0u);
  EXPECT_FALSE(late_one_ran_on);
}

}  // namespace
