// Waiting for many greenlets at once, and killing them. Joining one: greenlet_end_test.cpp.
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <chrono>
#include <list>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;
using fern::joinall;
using fern::killall;

namespace {

class WaitTest : public FernTest {
 protected:
  // Ends with its name once its turn has come.
  fern::Greenlet<std::string> turn(std::string name) {
    return fern::spawn([name, mine = next_++, this] {
      turns_.wait_for(mine);
      return name;
    });
  }
  void allow(int turns) { turns_.allow(turns); }

  static std::string names(const std::vector<fern::Greenlet<std::string>>& greenlets) {
    std::string text;
    for (const auto& greenlet : greenlets) text += greenlet.get() + ' ';
    return text;
  }

  static std::uint64_t switches() { return fern::Hub::current().switches(); }

 private:
  // Lets greenlets pass in the order of their numbers, each in a turn of its own.
  struct Turns {
    int allowed = 0;
    int passed = 0;
    void allow(int more) { allowed += more; }
    void wait_for(int mine) {
      while (passed != mine || passed >= allowed) fern::yield();
      ++passed;
    }
  };
  Turns turns_;
  int next_ = 0;
};

}  // namespace

// --- joinall ----------------------------------------------------------------------------------

TEST_F(WaitTest, JoinallReturnsThemInTheOrderInWhichTheyEnd) {
  auto first = turn("first");
  auto second = turn("second");
  auto third = turn("third");
  allow(3);
  EXPECT_EQ(names(joinall(std::vector{third, first, second})), "first second third ");
}

TEST_F(WaitTest, JoinallPutsThoseThatHadEndedFirstInTheOrderOfTheRange) {
  auto first = turn("first");
  auto second = turn("second");
  auto third = turn("third");
  auto fourth = turn("fourth");
  allow(2);
  second.join();
  allow(2);
  EXPECT_EQ(names(joinall(std::vector{fourth, second, third, first})),
            "second first third fourth ");
  auto before = switches();
  EXPECT_EQ(names(joinall(std::vector{fourth, second, third, first})),
            "fourth second third first ");
  EXPECT_EQ(switches(), before);
}

TEST_F(WaitTest, JoinallReturnsWhenSoManyHaveEnded) {
  std::vector all{turn("first"), turn("second"), turn("third")};
  allow(1);
  EXPECT_EQ(names(joinall(all, {.count = 1})), "first ");
  allow(1);
  EXPECT_EQ(names(joinall(all, {.count = 2})), "first second ");
  EXPECT_EQ(names(joinall(all, {.count = 1})), "first ");
  EXPECT_EQ(joinall(all, {.count = 0}).size(), 0u);
  EXPECT_FALSE(all[2].ready());
  allow(1);
  EXPECT_EQ(names(joinall(all, {.count = 100})), "first second third ");
}

TEST_F(WaitTest, JoinallReturnsWhatHasEndedWhenTheDeadlinePasses) {
  for (bool raise_error : {false, true}) {
    fern::Event end;
    auto quick = fern::spawn([] {});
    auto slow = fern::spawn([&] { end.wait(); });
    auto began = std::chrono::steady_clock::now();
    auto ended = joinall({slow, quick}, {.deadline = 2ms, .raise_error = raise_error});
    EXPECT_GE(std::chrono::steady_clock::now() - began, 2ms);
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0], quick);
    EXPECT_FALSE(slow.ready());
    end.set();
    slow.join();
  }
}

TEST_F(WaitTest, JoinallWithoutTimeNeverParks) {
  auto ended = fern::spawn([] {});
  ended.join();
  auto waiting = fern::spawn([] {});
  auto before = switches();
  EXPECT_EQ(joinall({waiting, ended}, {.deadline = 0s}).size(), 1u);
  EXPECT_EQ(switches(), before);
  waiting.join();
}

TEST_F(WaitTest, JoinallTakesDuplicatesForWhatTheyAre) {
  for (bool raise_error : {false, true}) {
    auto twice = fern::spawn([] { fern::yield(); });
    auto once = fern::spawn([] {});
    auto ended = joinall({twice, once, twice}, {.raise_error = raise_error});
    ASSERT_EQ(ended.size(), 3u);
    EXPECT_EQ(ended[0], once);
    EXPECT_EQ(joinall({twice, twice}).size(), 2u);
  }
}

TEST_F(WaitTest, JoinallOfNobodyReturnsAtOnce) {
  auto before = switches();
  EXPECT_TRUE(joinall(std::vector<fern::AnyGreenlet>()).empty());
  EXPECT_TRUE(joinall({}, {.raise_error = true}).empty());
  EXPECT_TRUE(joinall(std::set<fern::Greenlet<int>>(), {.count = 3}).empty());
  EXPECT_EQ(switches(), before);
}

TEST_F(WaitTest, JoinallTakesAnyRangeOfHandlesAndSeveralArguments) {
  std::list<fern::Greenlet<int>> list;
  for (int i = 0; i < 3; ++i) list.push_back(fern::spawn([i] { return i; }));
  int sum = 0;
  for (const auto& greenlet : joinall(list)) sum += *greenlet.value();
  EXPECT_EQ(sum, 3);
  auto number = fern::spawn([] { return 1; });
  auto text = fern::spawn([] { return std::string("one"); });
  fern::AnyGreenlet any = fern::spawn([] {});
  EXPECT_EQ(joinall(number, text, any).size(), 3u);
  EXPECT_EQ(joinall(std::set<fern::AnyGreenlet>{number, text, any}).size(), 3u);
}

TEST_F(WaitTest, JoinallKeepsItsOwnHandles) {
  std::vector<fern::Greenlet<int>> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(fern::spawn([&all] {
      all.clear();
      fern::yield();
      return 5;
    }));
  }
  for (const auto& greenlet : joinall(all)) EXPECT_EQ(*greenlet.value(), 5);
  EXPECT_TRUE(all.empty());
}

TEST_F(WaitTest, JoinallRethrowsTheFirstFailureInOrderOfCompletionAndTheOthersRunOn) {
  int ended = 0;
  auto slow = fern::spawn([&] {
    fern::sleep(2ms);
    ++ended;
  });
  auto second = fern::spawn([] {
    fern::yield();
    throw std::out_of_range("second");
  });
  auto first = fern::spawn([] { throw std::runtime_error("first"); });
  EXPECT_THROW(joinall({slow, second, first}, {.raise_error = true}), std::runtime_error);
  EXPECT_FALSE(slow.ready());
  // Those that had ended are looked at first, in the order of the range.
  second.join();
  EXPECT_THROW(joinall({slow, second, first}, {.raise_error = true}), std::out_of_range);
  EXPECT_EQ(joinall({slow, second, first}).size(), 3u);
  EXPECT_EQ(ended, 1);
}

TEST_F(WaitTest, JoinallDoesNotTakeAKillForAFailure) {
  auto killed = fern::spawn([] { fern::sleep(1h); });
  auto left = fern::spawn([] { throw fern::GreenletExit(); });
  fern::yield();
  killed.kill({.block = false});
  EXPECT_EQ(joinall({killed, left}, {.raise_error = true}).size(), 2u);
}

TEST_F(WaitTest, JoinallWithCountRaisesOnlyWhatItHasSeen) {
  auto good = fern::spawn([] {});
  auto bad = fern::spawn([] {
    fern::yield();
    throw std::runtime_error("later");
  });
  EXPECT_EQ(joinall({bad, good}, {.raise_error = true, .count = 1}).size(), 1u);
  EXPECT_THROW(joinall({bad, good}, {.raise_error = true, .count = 2}), std::runtime_error);
}

TEST_F(WaitTest, JoinallOfAnEmptyHandleOrOfTheCallerIsAnErrorAtOnce) {
  auto waiting = fern::spawn([] { fern::sleep(1h); });
  auto before = switches();
  auto self = fern::current_greenlet();
  EXPECT_THROW(joinall({waiting, fern::AnyGreenlet()}), fern::GreenletError);
  EXPECT_THROW(joinall({waiting, self}), fern::GreenletError);
  EXPECT_THROW(joinall({self}, {.deadline = 0s}), fern::GreenletError);
  EXPECT_THROW(joinall({waiting, self}, {.deadline = 1h, .raise_error = true, .count = 1}),
               fern::GreenletError);
  EXPECT_EQ(switches(), before);
  auto joiner = fern::spawn([&] { joinall({waiting, fern::current_greenlet()}); });
  EXPECT_THROW(joiner.get(), fern::GreenletError);
  waiting.kill();
}

TEST_F(WaitTest, JoinallCutShortLeavesThemAlone) {
  fern::Event end;
  std::vector<fern::AnyGreenlet> all;
  for (int i = 0; i < 3; ++i) all.push_back(fern::spawn([&] { end.wait(); }));
  for (bool raise_error : {false, true}) {
    auto joiner = fern::spawn([&] { joinall(all, {.raise_error = raise_error}); });
    fern::yield();
    joiner.kill();
    EXPECT_TRUE(joiner.killed());
    fern::Timeout timeout(1ms);
    EXPECT_THROW(joinall(all, {.raise_error = raise_error}), fern::TimeoutError);
  }
  for (const auto& greenlet : all) EXPECT_FALSE(greenlet.ready());
  end.set();
  EXPECT_EQ(joinall(all).size(), 3u);
}

TEST_F(WaitTest, JoinallOnTheHubsOwnStackTakesOnlyWhatHasEnded) {
  auto ended = fern::spawn([] {});
  ended.join();
  auto waiting = fern::spawn([] { fern::sleep(1h); });
  bool ran = false;
  fern::Hub::current().post([&] {
    EXPECT_EQ(joinall({ended}).size(), 1u);
    EXPECT_THROW(joinall({ended, waiting}), fern::BlockingInHub);
    EXPECT_THROW(joinall({waiting}, {.raise_error = true}), fern::BlockingInHub);
    killall({waiting}, {.block = false});
    ran = true;
  });
  EXPECT_TRUE(waiting.join());
  EXPECT_TRUE(ran);
}

// --- killall ----------------------------------------------------------------------------------

TEST_F(WaitTest, KillallKillsInOrderAndReturnsWhenAllHaveUnwound) {
  std::string log;
  std::vector<fern::AnyGreenlet> all;
  for (const char* name : {"a", "b", "c"}) {
    all.push_back(fern::spawn([&log, name] {
      OnExit fin{[&] { log += name; }};
      fern::sleep(1h);
    }));
  }
  fern::yield();
  killall(std::vector{all[2], all[0], all[1]});
  EXPECT_EQ(log, "cab");
  for (const auto& greenlet : all) EXPECT_TRUE(greenlet.killed());
  killall(all);
  killall({});
}

TEST_F(WaitTest, KillallEndsTheUnstartedWithoutRunningThem) {
  bool ran = false;
  int linked = 0;
  std::vector<fern::AnyGreenlet> all{fern::spawn([&] { ran = true; }),
                                     fern::spawn_later(1ms, [&] { ran = true; })};
  for (auto& greenlet : all) greenlet.link([&](fern::AnyGreenlet) { ++linked; });
  killall(all, {.block = false});
  for (const auto& greenlet : all) EXPECT_TRUE(greenlet.killed());
  fern::sleep(3ms);
  EXPECT_FALSE(ran);
  EXPECT_EQ(linked, 2);
}

TEST_F(WaitTest, KillallWithoutBlockReturnsBeforeTheyUnwind) {
  auto sleeper = fern::spawn([] { fern::sleep(1h); });
  fern::yield();
  auto before = switches();
  killall({sleeper, sleeper}, {.block = false});
  EXPECT_EQ(switches(), before);
  EXPECT_FALSE(sleeper.ready());
  fern::yield();
  EXPECT_TRUE(sleeper.killed());
}

TEST_F(WaitTest, KillallThrowsWhenTheDeadlinePassesAndTheyUnwindLater) {
  fern::Event unwinds;
  auto slow = fern::spawn([&] {
    fern::ShieldKill shield;
    unwinds.wait();
  });
  auto sleeper = fern::spawn([] { fern::sleep(1h); });
  fern::yield();
  EXPECT_THROW(killall({slow, sleeper}, {.deadline = 1ms}), fern::TimeoutError);
  EXPECT_FALSE(slow.ready());
  EXPECT_TRUE(sleeper.killed());
  unwinds.set();
  slow.join();
}

TEST_F(WaitTest, KillallThrowsTheGivenException) {
  std::vector<fern::AnyGreenlet> all;
  for (int i = 0; i < 3; ++i) all.push_back(fern::spawn([] { fern::sleep(1h); }));
  fern::yield();
  killall(all, {.exception = std::make_exception_ptr(std::out_of_range("far"))});
  for (const auto& greenlet : all) EXPECT_THROW(greenlet.get(), std::out_of_range);
}

TEST_F(WaitTest, KillallOfAnEmptyHandleKillsNobody) {
  auto sleeper = fern::spawn([] { fern::sleep(1h); });
  fern::yield();
  EXPECT_THROW(killall({sleeper, fern::AnyGreenlet()}), fern::GreenletError);
  EXPECT_FALSE(sleeper.join(0s));
  fern::yield();
  EXPECT_FALSE(sleeper.ready());
  sleeper.kill();
}

TEST_F(WaitTest, KillallKillsTheCallerLast) {
  std::string log;
  auto other = fern::spawn([&] {
    OnExit fin{[&] { log += "other "; }};
    fern::sleep(1h);
  });
  auto killer = fern::spawn([&] {
    OnExit fin{[&] { log += "killer "; }};
    killall({fern::current_greenlet(), other});
    log += "never ";
  });
  killer.join();
  EXPECT_EQ(log, "other killer ");
  EXPECT_TRUE(killer.killed());
}

TEST_F(WaitTest, TwoThatKillEachOtherBothEnd) {
  std::vector<fern::AnyGreenlet> both;
  for (int i = 0; i < 2; ++i) both.push_back(fern::spawn([&] { killall(both); }));
  joinall(both);
  EXPECT_TRUE(both[0].killed());
  EXPECT_TRUE(both[1].killed());
}

TEST_F(WaitTest, KillallReachesGreenletsOfOtherThreads) {
  may_keep_heap("hubs are kept");
  std::vector<fern::AnyGreenlet> mine;
  for (int i = 0; i < 3; ++i) mine.push_back(fern::spawn([] { fern::sleep(1h); }));
  fern::yield();
  std::thread killer([mine] {
    auto own = fern::spawn([] { fern::sleep(1h); });
    auto all = mine;
    all.push_back(own);
    killall(all);
    for (const auto& greenlet : all) EXPECT_TRUE(greenlet.killed());
  });
  joinall(mine);
  killer.join();
}
