#include "../support.hpp"
#include "greenlets.hpp"
#include "journal.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
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
using fern::Greenlet;
using fern::joinall;
using fern::killall;
using fern::spawn;
using fern::spawn_raw;
using fern::yield;

using Named = Greenlet<std::string>;

class GeventJoinall : public FernTest {
 protected:
  // A greenlet that returns its name when its gate opens.
  static Named named(std::string name, Event& gate) {
    return spawn([name, &gate] {
      gate.wait();
      return name;
    });
  }
  static Lines names(const std::vector<Named>& greenlets) {
    Lines names;
    for (const auto& greenlet : greenlets) names.push_back(*greenlet.value());
    return names;
  }
};

// V31
TEST_F(GeventJoinall, ReturnsWhatHasEndedInTheOrderOfTheEnds) {
  Event slow;
  Event fast;
  Event middle;
  std::vector<Named> all{named("slow", slow), named("fast", fast), named("middle", middle)};
  fast.set();
  EXPECT_EQ(names(joinall(all, {.count = 1})), Lines{"fast"});
  middle.set();
  EXPECT_EQ(names(joinall(all, {.count = 2})), (Lines{"fast", "middle"}));
  EXPECT_EQ(names(joinall(all, {.deadline = 1ms})), (Lines{"fast", "middle"}));
  slow.set();
  EXPECT_EQ(names(joinall(all)), (Lines{"fast", "middle", "slow"}));
}

// V31
TEST_F(GeventJoinall, OfNothingIsNothing) {
  EXPECT_TRUE(joinall(std::vector<AnyGreenlet>()).empty());
  EXPECT_TRUE(joinall(std::vector<AnyGreenlet>(), {.count = 3}).empty());
}

// V32
TEST_F(GeventJoinall, ThoseThatHadEndedComeFirstInTheOrderOfTheRange) {
  Event early;
  Event late;
  std::vector<Named> all{named("a", late), named("b", early), named("c", early)};
  early.set();
  EXPECT_EQ(names(joinall(std::vector<Named>{all[2], all[1]})), (Lines{"b", "c"}));
  late.set();
  EXPECT_EQ(names(joinall(std::vector<Named>{all[2], all[0], all[1]})), (Lines{"c", "b", "a"}));
  EXPECT_EQ(names(joinall(all)), (Lines{"a", "b", "c"}));
}

// V31, W04
TEST_F(GeventJoinall, AGreenletNamedTwiceIsReturnedTwice) {
  Event one;
  Event two;
  auto a = named("a", two);
  auto b = named("b", one);
  std::vector<Named> all{a, b, a, b};
  yield();
  one.set();
  two.set();
  EXPECT_EQ(names(joinall(all)), (Lines{"b", "b", "a", "a"}));
  EXPECT_EQ(names(joinall(all)), (Lines{"a", "b", "a", "b"}));
  EXPECT_EQ(joinall(all).size(), 4u);
}

// W09: joinall resumes where a joiner of the last one would.
TEST_F(GeventJoinall, ResumesAfterWhatWasReadyBeforeTheLastEnd) {
  Journal log;
  auto a = spawn([&] { log("a ends"); });
  auto b = spawn([&] {
    spawn_raw([&] { log("spawned by b"); });
    log("b ends");
  });
  joinall(a, b);
  log("joined");
  EXPECT_EQ(log.lines(), (Lines{"a ends", "b ends", "spawned by b", "joined"}));
}

// V31, W09: and with a count, of the one that completes it.
TEST_F(GeventJoinall, WithACountResumesAfterWhatWasReadyBeforeThatEnd) {
  Journal log;
  Event never;
  auto end = [&](std::string name) {
    spawn_raw([&log, name] { log("spawned by ", name); });
    return name;
  };
  std::vector<Named> all{named("never", never), spawn(end, "a"), spawn(end, "b"), spawn(end, "c")};
  EXPECT_EQ(names(joinall(all, {.count = 2})), (Lines{"a", "b"}));
  EXPECT_EQ(log.lines(), (Lines{"spawned by a", "spawned by b"}));
  never.set();
  joinall(all);
}

// V33
TEST_F(GeventJoinall, WithRaiseErrorTheFirstFailureIsThrownAndTheOthersRunOn) {
  Journal log;
  Event gates[3];
  auto work = [&](int n, bool fails) {
    gates[n].wait();
    if (fails) throw std::range_error(std::to_string(n));
    log("done ", n);
  };
  std::vector<Greenlet<void>> all{spawn(work, 0, false), spawn(work, 1, true),
                                  spawn(work, 2, true)};
  gates[1].set();
  try {
    joinall(all, {.raise_error = true});
  } catch (const std::range_error& error) {
    log("thrown ", error.what(), ", ready ", all[0].ready(), " ", all[1].ready(), " ",
        all[2].ready());
  }
  gates[2].set();
  gates[0].set();
  joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"thrown 1, ready false true false", "done 0"}));
  EXPECT_TRUE(all[0].exception() == nullptr);
  EXPECT_FALSE(all[1].exception() == nullptr);
  EXPECT_THROW(all[2].get(), std::range_error);
}

// V33: of those that had failed before, the first in the range.
TEST_F(GeventJoinall, WithRaiseErrorAnEarlierFailureIsThrownAtOnce) {
  auto fails = [](const char* what) { throw std::range_error(what); };
  auto first = spawn(fails, "first");
  auto second = spawn(fails, "second");
  Event gate;
  auto alive = spawn([&] { gate.wait(); });
  yield();
  try {
    joinall({alive, second, first}, {.raise_error = true});
    ADD_FAILURE();
  } catch (const std::range_error& error) {
    EXPECT_STREQ(error.what(), "second");
  }
  EXPECT_TRUE(first.exception() != nullptr);
  gate.set();
  alive.join();
}

// V33: who is beyond the count is not asked for its failure.
TEST_F(GeventJoinall, WithRaiseErrorAFailureBeyondTheCountIsNotThrown) {
  auto good = spawn([] {});
  auto bad = spawn([] { throw std::range_error("bad"); });
  yield();
  EXPECT_EQ(joinall({good, bad}, {.raise_error = true, .count = 1}).size(), 1u);
  EXPECT_THROW(joinall({bad, good}, {.raise_error = true, .count = 1}), std::range_error);
}

// W05
TEST_F(GeventJoinall, AKilledOneIsNoErrorToRaise) {
  auto greenlet = spawn(wait_forever);
  yield();
  greenlet.kill({.block = false});
  auto ended = joinall({greenlet}, {.raise_error = true});
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_TRUE(ended[0].killed());
}

// W05
TEST_F(GeventJoinall, SeveralMayJoinTheSameGreenlets) {
  Journal log;
  Event gate;
  std::vector<Named> all{named("a", gate), named("b", gate)};
  auto joiner = [&](int n) {
    for (const auto& name : names(joinall(all))) log(n, " ", name);
  };
  auto one = spawn(joiner, 1);
  auto two = spawn(joiner, 2);
  yield();
  gate.set();
  joinall(one, two);
  EXPECT_EQ(log.lines(), (Lines{"1 a", "1 b", "2 a", "2 b"}));
}

// V54
TEST_F(GeventJoinall, KillallEndsTheUnstartedAtOnceAndTheOthersInTheirOrder) {
  Journal log;
  auto victim = [&](std::string name) {
    struct Finally {
      Journal& log;
      std::string name;
      ~Finally() { log("end of ", name); }
    } finally{log, name};
    wait_forever();
  };
  auto a = spawn(victim, "a");
  auto b = spawn(victim, "b");
  auto ended = spawn([] {});
  yield();
  auto unstarted = spawn(victim, "unstarted");
  unstarted.link([&](AnyGreenlet) { log("link of the unstarted"); });
  killall({b, unstarted, a, ended});
  log("all killed");
  EXPECT_EQ(log.lines(), (Lines{"link of the unstarted", "end of b", "end of a", "all killed"}));
  EXPECT_TRUE(unstarted.killed());
  EXPECT_TRUE(a.killed());
  EXPECT_FALSE(ended.killed());
}

// V54
TEST_F(GeventJoinall, KillallThatIsLateThrows) {
  Event gate;
  auto stubborn = spawn([&] {
    try {
      wait_forever();
    } catch (const fern::GreenletExit&) {
      gate.wait();
    }
  });
  auto mild = spawn(wait_forever);
  yield();
  EXPECT_THROW(killall({stubborn, mild}, {.deadline = 5ms}), fern::TimeoutError);
  EXPECT_TRUE(mild.dead());
  EXPECT_FALSE(stubborn.dead());
  gate.set();
  stubborn.join();
  EXPECT_FALSE(stubborn.killed());
}

// V54
TEST_F(GeventJoinall, KillallWithoutBlockOnlyTells) {
  auto a = spawn(wait_forever);
  auto b = spawn(wait_forever);
  yield();
  killall({a, b}, {.block = false});
  EXPECT_FALSE(a.dead());
  yield();
  EXPECT_TRUE(a.dead());
  EXPECT_TRUE(b.dead());
}

// V54: none of what the end of the killed made ready runs before their killer.
TEST_F(GeventJoinall, KillallReturnsBeforeWhatTheKilledSpawnAtTheirEnd) {
  Journal log;
  auto victim = [&](int n) {
    try {
      wait_forever();
    } catch (...) {
      spawn_raw([&log, n] { log("spawned by ", n); });
      throw;
    }
  };
  auto one = spawn(victim, 1);
  auto two = spawn(victim, 2);
  yield();
  killall({one, two});
  log("killed all");
  yield();
  EXPECT_EQ(log.lines(), (Lines{"killed all", "spawned by 1", "spawned by 2"}));
}

}  // namespace
