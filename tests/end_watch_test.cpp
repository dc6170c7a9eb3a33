// Joining greenlets of other threads. Within one thread: greenlet_end_test.cpp.
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <barrier>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/greenlet.hpp"
#include "support.hpp"

using namespace std::chrono_literals;

namespace {

class EndWatch : public FernTest {
 protected:
  EndWatch() { may_keep_heap("hubs are kept"); }

  // Blocks natively until another thread stands in a join of the greenlet.
  static void await_watcher(const fern::AnyGreenlet& greenlet) {
    auto* block = fern::detail::Access::block(greenlet);
    while ((block->life.load() & fern::core::life_watched) == 0) std::this_thread::yield();
  }

  // Threads whose hubs come and go at once use each other's descriptor numbers, which TSan takes
  // for a race: these all have one before the first goes.
  class Together {
   public:
    explicit Together(int threads) : step_(threads) {}
    void run(const std::function<void()>& f) {
      fern::Hub::current();
      step_.arrive_and_wait();
      f();
      step_.arrive_and_wait();
    }

   private:
    std::barrier<> step_;
  };

  static int rounds(int many) { return fern::testing::under_valgrind() ? many / 20 : many; }
};

}  // namespace

TEST_F(EndWatch, TheEndItselfTellsTheThreadThatJoinsThoughItsOwnThreadThenBlocks) {
  auto value = fern::spawn([] { return std::string("value"); });
  auto failure = fern::spawn([] { throw std::runtime_error("failure"); });
  std::thread joiner([value, failure] {
    EXPECT_EQ(value.get(), "value");
    EXPECT_THROW(failure.get(), std::runtime_error);
  });
  await_watcher(value);
  // Runs right after the two, before the hub has a look at anything.
  auto blocker = fern::spawn([&] { joiner.join(); });
  blocker.join();
}

TEST_F(EndWatch, AKillOfAnUnstartedOneTellsTheThreadThatJoinsIt) {
  for (bool linked : {false, true}) {
    auto unstarted = fern::spawn([] {});
    if (linked) unstarted.link([](fern::AnyGreenlet) {});
    std::thread joiner([unstarted] { EXPECT_THROW(unstarted.get(), fern::GreenletKilled); });
    await_watcher(unstarted);
    unstarted.kill({.block = false});
    joiner.join();
  }
  fern::sleep(1ms);
}

TEST_F(EndWatch, ALinkedGreenletTellsItsLinksAndTheThreadThatJoins) {
  bool linked = false;
  auto greenlet = fern::spawn([] { return 4; });
  greenlet.link([&](fern::AnyGreenlet) { linked = true; });
  std::thread joiner([greenlet] { EXPECT_EQ(greenlet.get(), 4); });
  await_watcher(greenlet);
  fern::spawn([&] { joiner.join(); }).join();
  fern::yield();
  EXPECT_TRUE(linked);
}

TEST_F(EndWatch, SeveralThreadsJoinTheSameOnes) {
  std::vector<fern::AnyGreenlet> greenlets;
  for (int i = 0; i < 20; ++i) greenlets.push_back(fern::spawn([] { fern::yield(); }));
  std::atomic<int> joined{0};
  Together together(3);
  std::vector<std::thread> joiners;
  for (int k = 0; k < 3; ++k) {
    joiners.emplace_back([&, greenlets] {
      together.run([&] {
        std::vector<fern::AnyGreenlet> each;
        for (const auto& greenlet : greenlets) {
          each.push_back(fern::spawn([greenlet] { greenlet.join(); }));
        }
        fern::joinall(each);
        ++joined;
      });
    });
  }
  await_watcher(greenlets.front());
  fern::joinall(greenlets);
  for (auto& joiner : joiners) joiner.join();
  EXPECT_EQ(joined, 3);
}

TEST_F(EndWatch, JoinallTakesGreenletsOfSeveralThreads) {
  // Each hub's own greenlets end in their order, then its thread blocks until all is over.
  std::barrier started(3);
  std::barrier over(3);
  std::vector<fern::AnyGreenlet> all(4);
  auto two = [&](std::size_t first) {
    auto late = fern::spawn([] { fern::yield(); });
    auto early = fern::spawn([] {});
    all[first] = late;
    all[first + 1] = early;
    started.arrive_and_wait();
    early.join();
    late.join();
    early = late = {};
    over.arrive_and_wait();
  };
  std::thread one([&] { two(0); });
  std::thread other([&] { two(2); });
  started.arrive_and_wait();
  auto first = fern::joinall(all, {.count = 1});
  EXPECT_EQ(first.size(), 1u);
  auto rest = fern::joinall(all, {.deadline = 1h, .raise_error = true});
  EXPECT_EQ(rest.size(), 4u);
  EXPECT_EQ(fern::joinall(all).size(), 4u);
  over.arrive_and_wait();
  one.join();
  other.join();
}

TEST_F(EndWatch, JoinallAcrossThreadsStopsAtTheFailureAndForgetsTheOthers) {
  std::barrier started(2);
  std::barrier over(2);
  std::vector<fern::AnyGreenlet> all;
  std::thread owner([&] {
    auto sleeper = fern::spawn([] { fern::sleep(1h); });
    all = {sleeper, fern::spawn([] { throw std::runtime_error("this one"); })};
    started.arrive_and_wait();
    fern::yield();
    over.arrive_and_wait();
    sleeper.kill();
  });
  started.arrive_and_wait();
  EXPECT_THROW(fern::joinall(all, {.raise_error = true}), std::runtime_error);
  EXPECT_EQ(fern::joinall(all, {.deadline = 1ms}).size(), 1u);
  over.arrive_and_wait();
  owner.join();
  all.clear();
}

TEST_F(EndWatch, AThreadJoinsReadsAndDropsAnothersGreenlets) {
  const int rounds = fern::testing::under_valgrind() ? 20 : 300;
  std::atomic<int> sum{0};
  for (int round = 0; round < rounds; ++round) {
    std::vector<fern::Greenlet<int>> mine;
    for (int i = 0; i < 4; ++i) {
      mine.push_back(fern::spawn([i]() -> int {
        if (i % 2 == 1) fern::yield();
        if (i == 3) throw std::runtime_error("three");
        return i;
      }));
    }
    std::atomic<bool> read{false};
    std::thread reader([&sum, &read, theirs = mine]() mutable {
      for (auto& greenlet : theirs) {
        try {
          sum += greenlet.get() + 1;
        } catch (const std::runtime_error&) {
          sum += 100;
        }
        greenlet.ready();
        greenlet.killed();
        greenlet.started();
        greenlet.exception();
        greenlet = {};
      }
      read = true;
    });
    // The last handle goes here or there, while the greenlet may still be on its stack.
    for (auto& greenlet : mine) {
      if (round % 2 == 0) greenlet.join();
      greenlet = {};
    }
    // A join from another thread is answered by this hub: it has to run until then.
    while (!read) fern::sleep(100us);
    reader.join();
  }
  EXPECT_EQ(sum, 106 * rounds);
  fern::sleep(1ms);  // takes back what was posted
}

TEST_F(EndWatch, AThreadThatStopsJoiningIsForgotten) {
  std::atomic<bool> stop{false};
  auto greenlet = fern::spawn([&] {
    while (!stop) fern::sleep(20us);
  });
  Together together(3);
  std::vector<std::thread> joiners;
  for (int k = 0; k < 3; ++k) {
    joiners.emplace_back([&] {
      together.run([&] {
        for (int i = 0; i < 100; ++i) EXPECT_FALSE(fern::AnyGreenlet(greenlet).join(10us) && !stop);
        EXPECT_TRUE(fern::AnyGreenlet(greenlet).join());
      });
    });
  }
  fern::sleep(5ms);
  stop = true;
  greenlet.join();
  for (auto& joiner : joiners) joiner.join();
  fern::sleep(1ms);
}

TEST_F(EndWatch, AJoinerThatIsKilledAtTheMomentOfTheEndLeavesWhole) {
  std::barrier step(2);
  fern::AnyGreenlet target;
  const int many = rounds(500);
  std::thread joiners([&] {
    for (int round = 0; round < many; ++round) {
      step.arrive_and_wait();
      auto joiner = fern::spawn([&] { target.join(); });
      auto both = fern::spawn([&] { fern::joinall({target}, {.raise_error = true}); });
      fern::yield();
      step.arrive_and_wait();
      for (int i = 0; i < round % 16; ++i) std::this_thread::yield();
      joiner.kill();
      both.kill();
      step.arrive_and_wait();
    }
  });
  for (int round = 0; round < many; ++round) {
    target = fern::spawn([] {});
    step.arrive_and_wait();
    step.arrive_and_wait();
    target.join();
    step.arrive_and_wait();
    target = {};
  }
  joiners.join();
}

TEST_F(EndWatch, AJoinerThatIsLateAtTheMomentOfTheEndLeavesWhole) {
  std::barrier step(2);
  fern::AnyGreenlet target;
  const int many = rounds(500);
  std::thread joiners([&] {
    for (int round = 0; round < many; ++round) {
      step.arrive_and_wait();
      fern::AnyGreenlet mine = target;
      std::chrono::microseconds soon(round % 50);
      auto joiner = fern::spawn([&] { return mine.join(soon); });
      auto other =
          fern::spawn([&] { return fern::joinall({mine}, {.deadline = soon, .count = 1}); });
      step.arrive_and_wait();
      fern::joinall({joiner, other});
      mine = {};
      step.arrive_and_wait();
    }
  });
  for (int round = 0; round < many; ++round) {
    target = fern::spawn([] { fern::sleep(5us); });
    step.arrive_and_wait();
    step.arrive_and_wait();
    target = {};  // the last handle goes in the other thread, or with the end
    step.arrive_and_wait();
  }
  joiners.join();
  fern::sleep(1ms);
}

TEST_F(EndWatch, JoiningAnotherThreadsGreenletAllocatesNothing) {
  auto target = fern::spawn([] { fern::sleep(1h); });
  std::thread([&] {
    EXPECT_FALSE(target.join(10us));
    auto before = fern::testing::heap_allocations();
    EXPECT_FALSE(target.join(10us));
    EXPECT_EQ(fern::testing::heap_allocations(), before);
  }).join();
  target.kill();
}
