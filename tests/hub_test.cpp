// A hub at work: its mailbox, its counters, and how it shares its time. Its end: hub_life_test.cpp.
#include <fcntl.h>
#include <unistd.h>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/selector.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;
using fern::Hub;

namespace {

using HubTest = FernTest;

class HubThreads : public FernTest {
 protected:
  HubThreads() { may_keep_heap("hubs are kept"); }
};

// Greenlets that are always ready, until they go.
class Busy {
 public:
  explicit Busy(int count) {
    for (int i = 0; i < count; ++i) {
      all_.push_back(fern::spawn([] {
        for (;;) fern::yield();
      }));
    }
  }
  Busy(const Busy&) = delete;
  ~Busy() {
    fern::ShieldKill shield;
    fern::killall(all_);
  }

 private:
  std::vector<fern::AnyGreenlet> all_;
};

}  // namespace

TEST_F(HubThreads, EachThreadHasOneAndItsGreenletsShareIt) {
  Hub* mine = &Hub::current();
  EXPECT_EQ(&Hub::current(), mine);
  EXPECT_EQ(fern::spawn([] { return &Hub::current(); }).get(), mine);
  std::thread([&] {
    Hub* theirs = &Hub::current();
    EXPECT_NE(theirs, mine);
    EXPECT_EQ(fern::spawn([] { return &Hub::current(); }).get(), theirs);
  }).join();
}

TEST_F(HubTest, RunsWhatIsPostedInOrderButNotAtOnce) {
  std::string log;
  Hub& hub = Hub::current();
  for (const char* name : {"a", "b", "c"}) hub.post([&log, name] { log += name; });
  EXPECT_EQ(log, "");
  fern::sleep(1us);
  EXPECT_EQ(log, "abc");
}

TEST_F(HubTest, WhatAPostedFunctionPostsComesAtALaterLook) {
  int runs = 0;
  bool stop = false;
  std::function<void()> again = [&] {
    ++runs;
    if (!stop) Hub::current().post(again);
  };
  Hub::current().post(again);
  fern::sleep(1ms);  // timers have their turn meanwhile
  stop = true;
  fern::sleep(1ms);
  EXPECT_GT(runs, 1);
}

TEST_F(HubTest, APostedFunctionIsDestroyedInTheHubsThreadOnceItHasRun) {
  auto held = std::make_shared<int>(0);
  Hub::current().post([held] {});
  EXPECT_EQ(held.use_count(), 2);
  fern::sleep(1us);
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(HubTest, APostedFunctionMaySpawnNotifyAndKill) {
  fern::Event event;
  auto sleeper = fern::spawn([] { fern::sleep(1h); });
  fern::yield();
  Hub::current().post([&] {
    fern::spawn_raw([&] { event.set(); });
    sleeper.kill({.block = false});
  });
  event.wait();
  sleeper.join();
  EXPECT_TRUE(sleeper.killed());
}

TEST_F(HubTest, APostedFunctionMayNotWaitWhateverItWaitsFor) {
  int refused = 0;
  auto refuses = [&](auto&& wait) {
    try {
      wait();
    } catch (const fern::BlockingInHub& error) {
      refused += std::string(error.what()).find("hub's own stack") != std::string::npos ? 1 : 100;
    }
  };
  auto sleeper = fern::spawn([] { fern::sleep(1h); });
  fern::yield();
  bool ran = false;
  Hub::current().post([&] {
    refuses([] { fern::sleep(1ms); });
    refuses([] { fern::yield(); });
    refuses([&] { sleeper.join(); });
    refuses([&] { sleeper.get(); });
    ran = true;
  });
  fern::sleep(1us);
  EXPECT_TRUE(ran);
  EXPECT_EQ(refused, 4);
  sleeper.kill();
}

TEST_F(HubTest, WhatAPostedFunctionThrowsIsPrintedAndTheOthersRun) {
  bool ran = false;
  ::testing::internal::CaptureStderr();
  Hub::current().post([] { throw std::runtime_error("posted in error"); });
  Hub::current().post([&] { ran = true; });
  fern::sleep(1us);
  auto said = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(ran);
  EXPECT_NE(said.find("std::runtime_error: posted in error"), std::string::npos) << said;
  EXPECT_NE(said.find("Hub::post"), std::string::npos) << said;
}

TEST_F(HubThreads, RunsWhatThreadsPostInTheOrderOfEach) {
  Hub& hub = Hub::current();
  const int many = fern::testing::under_valgrind() ? 100 : 2000;
  std::vector<int> next(3);
  int wrong = 0;
  int left = 3 * many;
  fern::Event all;
  std::vector<std::thread> posters;
  for (std::size_t k = 0; k < next.size(); ++k) {
    posters.emplace_back([&, k] {
      for (int i = 0; i < many; ++i) {
        hub.post([&, k, i] {
          if (next[k]++ != i) ++wrong;
          if (--left == 0) all.set();
        });
      }
    });
  }
  all.wait();
  for (auto& poster : posters) poster.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(HubThreads, APostWakesAHubThatSleeps) {
  Hub& hub = Hub::current();
  for (int i = 0; i < 20; ++i) {
    fern::Event event;
    std::thread poster([&] { hub.post([&] { event.set(); }); });
    event.wait();
    poster.join();
  }
}

TEST_F(HubTest, CountsItsGreenletsAndTheSwitchesToThem) {
  Hub& hub = Hub::current();
  auto greenlets = hub.greenlets();
  auto switches = hub.switches();
  auto a = fern::spawn([] { fern::yield(); });
  auto b = fern::spawn([] { fern::yield(); });
  auto later = fern::spawn_later(1h, [] {});
  EXPECT_EQ(hub.greenlets(), greenlets + 3);
  EXPECT_EQ(hub.switches(), switches);
  fern::yield();
  // To a, to b and back here; the hub's own stack may have had a look in between.
  EXPECT_GE(hub.switches(), switches + 3);
  fern::joinall({a, b});
  later.cancel();
  EXPECT_EQ(hub.greenlets(), greenlets);
}

TEST_F(HubTest, LooksAtItsLoopForASleepButNotForEveryYield) {
  Hub& hub = Hub::current();
  auto polls = hub.polls();
  fern::sleep(100us);
  EXPECT_GT(hub.polls(), polls);
  // A spin of many yields takes some slices, and each has one look.
  Busy busy(1);
  polls = hub.polls();
  auto switches = hub.switches();
  for (int i = 0; i < 10'000; ++i) fern::yield();
  EXPECT_GE(hub.switches() - switches, 20'000u);
  EXPECT_LT(hub.polls() - polls, 10'000u);
}

TEST_F(HubTest, BusyGreenletsStarveNoTimer) {
  Busy busy(3);
  auto began = std::chrono::steady_clock::now();
  fern::sleep(2ms);
  EXPECT_GE(std::chrono::steady_clock::now() - began, 2ms);
  fern::Timeout timeout(1ms);
  fern::Event never;
  EXPECT_THROW(never.wait(), fern::TimeoutError);
}

TEST_F(HubTest, BusyGreenletsStarveNoDescriptor) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  {
    Busy busy(3);
    auto writer = fern::spawn([&] {
      fern::sleep(1ms);
      EXPECT_EQ(::write(ends[1], "x", 1), 1);
    });
    EXPECT_TRUE(fern::wait_readable(ends[0]));
    writer.join();
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(HubTest, WhoIsDuePassesALongLineOfThoseThatTakeLong) {
  constexpr int line = 60;
  std::vector<int> order;
  std::vector<fern::Greenlet<void>> all;
  for (int i = 0; i < line; ++i) {
    all.push_back(fern::spawn([&, i] {
      if (i == 0) fern::sleep(1ms);
      auto until = std::chrono::steady_clock::now() + 2ms;
      while (std::chrono::steady_clock::now() < until) {
      }
      order.push_back(i);
    }));
  }
  fern::sleep(1us);  // the hub has looked at its loop, and grants few turns
  fern::joinall(all);
  ASSERT_EQ(order.size(), line);
  EXPECT_NE(order.back(), 0);
  std::erase(order, 0);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_F(HubTest, ThoseWhoAreDueAgainAndAgainKeepNoLineStanding) {
  auto compute = [](std::chrono::milliseconds time) {
    auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) {
    }
  };
  bool over = false;
  std::vector<fern::Greenlet<void>> sleepers;
  for (int i = 0; i < 2; ++i) {
    sleepers.push_back(fern::spawn([&] {
      while (!over) {
        fern::sleep(1ms);
        compute(2ms);
      }
    }));
  }
  std::vector<fern::Greenlet<void>> line;
  for (int i = 0; i < 40; ++i) line.push_back(fern::spawn([&] { compute(1ms); }));
  fern::joinall(line);
  over = true;
  fern::joinall(sleepers);
}

TEST_F(HubTest, WhoIsDueStandsInAShortLine) {
  std::vector<int> order;
  std::vector<fern::Greenlet<void>> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(fern::spawn([&, i] {
      if (i == 0) fern::sleep(1ms);
      auto until = std::chrono::steady_clock::now() + 2ms;
      while (std::chrono::steady_clock::now() < until) {
      }
      order.push_back(i);
    }));
  }
  fern::joinall(all);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 0}));
}

TEST_F(HubThreads, BusyGreenletsStarveNobodyWhoPosts) {
  Hub& hub = Hub::current();
  Busy busy(3);
  fern::Event event;
  std::thread poster([&] { hub.post([&] { event.set(); }); });
  event.wait();
  poster.join();
}

TEST_F(HubThreads, AKillOfAMainThatIsEndingIsNotForTheNextThreads) {
  std::thread([] {
    fern::spawn_raw([main = fern::current_greenlet()] {
      try {
        fern::sleep(1h);
      } catch (const fern::GreenletExit&) {
        main.kill({.block = false});
      }
    });
    fern::yield();
  }).join();
  std::thread([] { EXPECT_NO_THROW(fern::sleep(1ms)); }).join();
}

// They sleep when the thread ends, and count as they unwind.
void spawn_sleepers(int count, std::atomic<int>& unwound) {
  struct Raise {
    std::atomic<int>& count;
    ~Raise() { ++count; }
  };
  for (int i = 0; i < count; ++i) {
    fern::spawn_raw([&] {
      Raise raise{unwound};
      fern::sleep(1h);
    });
  }
}

TEST_F(HubThreads, AnExitLimitOfZeroStillUnwindsThoseThatDoNotWait) {
  std::atomic<int> unwound{0};
  std::thread([&] {
    Hub::current().set_exit_limit(0s);
    spawn_sleepers(10, unwound);
    fern::yield();
  }).join();
  EXPECT_EQ(unwound, 10);
}

// Who is due passes a long line where turns take long, but for the end of a thread.
TEST_F(HubThreads, AnExitLimitOfZeroStillUnwindsThemWhereTurnsTakeLong) {
  std::atomic<int> unwound{0};
  auto take_long = [] {
    auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin < 2ms) {
    }
  };
  std::thread([&] {
    Hub::current().set_exit_limit(0s);
    spawn_sleepers(30, unwound);
    // Until each switch is looked at.
    for (int i = 0; i < 12; ++i) {
      fern::yield();
      take_long();
    }
  }).join();
  EXPECT_EQ(unwound, 30);
}
