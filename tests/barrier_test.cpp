#include "support.hpp"

#include <fern/barrier.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Barrier;
using fern::BrokenBarrier;
using fern::Greenlet;
using fern::spawn;

class BarrierTest : public FernTest {
 protected:
  // How a wait ended: its index, or the name of what it threw.
  static std::string outcome(Barrier& barrier, fern::Deadline deadline = {}) {
    try {
      return std::to_string(barrier.wait(deadline));
    } catch (const BrokenBarrier&) {
      return "broken";
    } catch (const fern::TimeoutError&) {
      return "late";
    }
  }

  static Greenlet<std::string> party(Barrier& barrier, fern::Deadline deadline = {}) {
    return spawn([&barrier, deadline] { return outcome(barrier, deadline); });
  }
};

TEST_F(BarrierTest, NobodyGoesOnBeforeAllHaveArrived) {
  Barrier barrier(3);
  std::string log;
  auto work = [&](char name) {
    log += name;
    std::size_t index = barrier.wait();
    log += static_cast<char>('0' + index);
  };
  auto a = spawn(work, 'a');
  auto b = spawn(work, 'b');
  fern::yield();
  EXPECT_EQ(log, "ab");
  EXPECT_EQ(barrier.n_waiting(), 2U);
  EXPECT_EQ(barrier.wait(), 2U);
  EXPECT_EQ(barrier.n_waiting(), 0U);
  fern::joinall(a, b);
  EXPECT_EQ(log, "ab01");
  EXPECT_FALSE(barrier.broken());
  EXPECT_EQ(barrier.parties(), 3U);
}

TEST_F(BarrierTest, ServesRoundAfterRound) {
  constexpr int parties = 5;
  constexpr int rounds = 100;
  Barrier barrier(parties);
  std::vector<int> arrived(rounds, 0);
  std::vector<Greenlet<void>> all;
  for (int p = 0; p < parties; ++p) {
    all.push_back(spawn([&, p] {
      for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < (p + round) % parties; ++i) fern::yield();
        ++arrived[round];
        barrier.wait();
        EXPECT_EQ(arrived[round], parties);
      }
    }));
  }
  fern::joinall(all);
}

// More greenlets than parties: who comes too late is in the next round.
TEST_F(BarrierTest, AnyPartiesMakeARound) {
  Barrier barrier(2);
  std::vector<Greenlet<std::string>> all;
  for (int i = 0; i < 6; ++i) all.push_back(party(barrier));
  fern::joinall(all);
  std::string outcomes;
  for (auto& each : all) outcomes += each.get();
  EXPECT_EQ(outcomes, "010101");
}

TEST_F(BarrierTest, OnePartyNeverWaits) {
  int acted = 0;
  Barrier barrier(1, [&] { ++acted; });
  auto switches = fern::Hub::current().switches();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(barrier.wait(), 0U);
  EXPECT_EQ(acted, 3);
  EXPECT_EQ(fern::Hub::current().switches(), switches);
}

TEST_F(BarrierTest, PartiesMustBePositive) {
  EXPECT_THROW(Barrier(0), std::invalid_argument);
  EXPECT_THROW(Barrier(-1), std::invalid_argument);
}

TEST_F(BarrierTest, TheLastOneRunsTheActionBeforeAnybodyGoesOn) {
  std::string log;
  Barrier barrier(3, [&] {
    log += '[';
    fern::sleep(1ms);  // it may wait
    log += ']';
  });
  auto work = [&](char name) {
    for (int round = 0; round < 2; ++round) {
      barrier.wait();
      log += name;
    }
  };
  auto a = spawn(work, 'a');
  auto b = spawn(work, 'b');
  auto c = spawn(work, 'c');
  fern::joinall(a, b, c);
  EXPECT_EQ(log, "[]cab[]bca");
}

TEST_F(BarrierTest, WhoArrivesWhileTheActionRunsIsInTheNextRound) {
  std::string log;
  Barrier barrier(1, [&] {
    log += '[';
    fern::yield();
    fern::yield();
    log += ']';
  });
  auto a = party(barrier);
  auto b = party(barrier);
  fern::joinall(a, b);
  EXPECT_EQ(log, "[][]");
}

TEST_F(BarrierTest, AnActionThatThrowsBreaksIt) {
  Barrier barrier(2, [] { throw std::runtime_error("no"); });
  auto first = party(barrier);
  auto second = spawn([&] { barrier.wait(); });
  EXPECT_EQ(first.get(), "broken");
  EXPECT_THROW(second.get(), std::runtime_error);
  EXPECT_TRUE(barrier.broken());
}

TEST_F(BarrierTest, ALateOneBreaksItForTheOthers) {
  Barrier barrier(3);
  auto patient = party(barrier);
  auto late = party(barrier, 2ms);
  EXPECT_EQ(patient.get(), "broken");
  EXPECT_EQ(late.get(), "late");
  EXPECT_TRUE(barrier.broken());
  EXPECT_EQ(outcome(barrier), "broken");
  EXPECT_EQ(barrier.n_waiting(), 0U);
}

TEST_F(BarrierTest, ADeadlineThatHasPassedIsEnoughForTheLastOne) {
  Barrier barrier(2);
  auto first = party(barrier);
  fern::yield();
  EXPECT_EQ(outcome(barrier, 0s), "1");
  EXPECT_EQ(first.get(), "0");
  EXPECT_EQ(outcome(barrier, 0s), "late");
  EXPECT_TRUE(barrier.broken());
}

TEST_F(BarrierTest, AKillBreaksItForTheOthers) {
  Barrier barrier(3);
  auto first = party(barrier);
  auto killed = party(barrier);
  fern::yield();
  killed.kill();
  EXPECT_EQ(first.get(), "broken");
  EXPECT_TRUE(barrier.broken());
}

TEST_F(BarrierTest, AKillThatComesAfterTheLastArrivalBreaksNothing) {
  Barrier barrier(2);
  auto first = party(barrier);
  fern::yield();
  EXPECT_EQ(barrier.wait(), 1U);
  first.kill();
  EXPECT_FALSE(barrier.broken());
}

TEST_F(BarrierTest, ATimeoutScopeBreaksItToo) {
  Barrier barrier(2);
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] { barrier.wait(); }));
  EXPECT_TRUE(barrier.broken());
}

TEST_F(BarrierTest, AKillInTheActionBreaksIt) {
  Barrier barrier(2, [] { fern::sleep(10s); });
  auto first = party(barrier);
  auto last = party(barrier);
  fern::yield();
  last.kill();
  EXPECT_EQ(first.get(), "broken");
}

TEST_F(BarrierTest, WhoGivesUpDuringTheActionBreaksItForTheOneThatActs) {
  fern::Event go_on;
  Barrier barrier(2, [&] { go_on.wait(); });
  auto first = party(barrier);
  auto last = party(barrier);
  fern::yield();
  first.kill();
  EXPECT_TRUE(barrier.broken());
  go_on.set();
  EXPECT_EQ(last.get(), "broken");
}

TEST_F(BarrierTest, AbortBreaksItAndResetMendsIt) {
  Barrier barrier(2);
  auto first = party(barrier);
  fern::yield();
  barrier.abort();
  EXPECT_EQ(outcome(barrier), "broken");
  barrier.reset();
  EXPECT_FALSE(barrier.broken());
  // The first one was told before the reset, and goes by that.
  EXPECT_EQ(first.get(), "broken");
  auto second = party(barrier);
  EXPECT_EQ(outcome(barrier), "0");
  EXPECT_EQ(second.get(), "1");
}

TEST_F(BarrierTest, ResetSendsAwayWhoWaitsAndKeepsItWhole) {
  Barrier barrier(3);
  auto first = party(barrier);
  fern::yield();
  barrier.reset();
  auto second = party(barrier);
  auto third = party(barrier);
  EXPECT_EQ(barrier.wait(), 0U);
  EXPECT_EQ(first.get(), "broken");
  EXPECT_EQ(second.get(), "1");
  EXPECT_EQ(third.get(), "2");
}

TEST_F(BarrierTest, ResetDuringTheActionSendsAwayItsRound) {
  fern::Event go_on;
  int acted = 0;
  Barrier barrier(2, [&] {
    ++acted;
    go_on.wait();
  });
  auto first = party(barrier);
  auto last = party(barrier);
  fern::yield();
  barrier.reset();
  EXPECT_EQ(first.get(), "broken");
  auto next = party(barrier);
  auto after = party(barrier);
  fern::yield();
  EXPECT_EQ(acted, 1);  // never two actions at a time
  go_on.set();
  EXPECT_EQ(last.get(), "broken");
  EXPECT_EQ(next.get() + after.get(), "01");
  EXPECT_EQ(acted, 2);
}

TEST_F(BarrierTest, TheHubMayNotWaitButMayAbort) {
  Barrier barrier(2);
  auto first = party(barrier);
  fern::yield();
  bool refused = false;
  fern::Hub::current().post([&] {
    try {
      barrier.wait();
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
    EXPECT_EQ(barrier.n_waiting(), 1U);
    EXPECT_FALSE(barrier.broken());
    barrier.abort();
  });
  EXPECT_EQ(first.get(), "broken");
  EXPECT_TRUE(refused);
}

class BarrierThreadsTest : public BarrierTest {
 protected:
  BarrierThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

TEST_F(BarrierThreadsTest, GreenletsOfTwoHubsAndAPlainThreadMeet) {
  constexpr int rounds = 200;
  int turns = 0;  // not atomic: only the action changes it
  Barrier barrier(5, [&] { ++turns; });
  std::atomic<int> indices{0};
  auto work = [&] {
    for (int i = 0; i < rounds; ++i) {
      indices += static_cast<int>(barrier.wait());
      EXPECT_GT(turns, i);
    }
  };
  auto hub = [&] { fern::joinall(spawn(work), spawn(work)); };
  {
    std::jthread a(hub);
    std::jthread b(hub);
    std::jthread c(work);
  }
  EXPECT_EQ(turns, rounds);
  EXPECT_EQ(indices, rounds * (0 + 1 + 2 + 3 + 4));
}

// Whoever breaks it, nobody is left waiting, and a reset serves the next round.
TEST_F(BarrierThreadsTest, KillsInTwoHubsLeaveNobodyBehind) {
  for (int round = 0; round < 60; ++round) {
    Barrier barrier(6);
    auto hub = [&](int victim) {
      std::vector<Greenlet<std::string>> parties;
      for (int i = 0; i < 3; ++i) parties.push_back(party(barrier));
      fern::yield();
      if (victim >= 0) parties[victim].kill({.block = false});
      fern::joinall(parties);
    };
    {
      std::jthread a(hub, round % 3);
      std::jthread b(hub, round % 2 == 0 ? -1 : 1);
    }
    EXPECT_EQ(barrier.n_waiting(), 0U);
    barrier.reset();
    auto all = [&] { fern::joinall(party(barrier), party(barrier), party(barrier)); };
    {
      std::jthread a(all);
      std::jthread b(all);
    }
    EXPECT_FALSE(barrier.broken());
  }
}

}  // namespace
