#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/hub.hpp>
#include <fern/pool.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "imaps.hpp"

using namespace std::chrono_literals;
using namespace fern::testing;
using fern::GreenPool;
using fern::Imap;

TEST_F(ImapTest, AKilledConsumerAbandonsTheRest) {
  GreenPool pool(2);
  Log log;
  fern::Event gate;
  auto consumer = fern::spawn([&] {
    for (int& i : pool.imap(
             [&](int i) {
               if (i > 0) gate.wait();
               log.push_back("D" + number(i));
               return i;
             },
             Numbers(9, &log))) {
      log.push_back("C" + number(i));
    }
  });
  settle();
  consumer.kill();
  EXPECT_TRUE(consumer.killed());
  gate.set();
  settle();
  // Items 1 and 2 were under way and run on; 3 was read, and is dropped.
  EXPECT_EQ(joined(log), "R0 R1 R2 D0 C0 R3 D1 D2");
}

TEST_F(ImapTest, AbandonedBeforeItBeganItReadsNothing) {
  GreenPool pool(2);
  Log log;
  {
    auto results = pool.imap(same, Numbers(9, &log));
  }
  settle();
  EXPECT_EQ(log, Log());
}

// gevent: X03.
TEST_F(ImapTest, AbandonedHalfWayItReadsNoMoreAndWhatHasStartedRunsOn) {
  for (bool ordered : {true, false}) {
    GreenPool pool(2);
    Log log;
    fern::Event gate;
    {
      auto work = [&](int i) {
        log.push_back("S" + number(i));
        if (i > 0) gate.wait();
        log.push_back("D" + number(i));
        return i;
      };
      Numbers input(9, &log);
      auto results = ordered ? pool.imap(work, input) : pool.imap_unordered(work, input);
      EXPECT_EQ(*results.begin(), 0);
    }
    log.push_back("gone");
    gate.set();
    settle();
    EXPECT_EQ(joined(log), "R0 R1 R2 S0 D0 S1 gone D1") << ordered;
  }
}

TEST_F(ImapTest, AbandonedItDropsWhatWasSpawnedAndHasNotStarted) {
  GreenPool pool(3);
  Log log;
  struct Reports {
    Log* log;
    explicit Reports(Log& log) : log(&log) {}
    Reports(Reports&& other) noexcept : log(std::exchange(other.log, nullptr)) {}
    ~Reports() {
      if (log != nullptr) log->push_back("dropped");
    }
  };
  std::vector<Reports> input;
  for (int i = 0; i < 2; ++i) input.emplace_back(log);
  auto results = std::make_optional(pool.imap(
      [&](Reports) {
        log.push_back("started");
        return 0;
      },
      std::move(input)));
  // The reader runs and spawns both; this greenlet is back before they start.
  auto gone = fern::spawn([&] {
    results.reset();
    log.push_back("gone");
  });
  gone.join();
  fern::yield();
  EXPECT_EQ(std::count(log.begin(), log.end(), "dropped"), 2);
  EXPECT_EQ(std::count(log.begin(), log.end(), "started"), 0);
}

TEST_F(ImapTest, ResultsThatNobodyTookAreDestroyed) {
  GreenPool pool(4);
  auto alive = std::make_shared<int>(0);
  {
    auto results = pool.imap([&](int) { return alive; }, std::views::iota(0, 100));
    EXPECT_EQ(*results.next(), alive);
    settle();
    EXPECT_EQ(alive.use_count(), 7);  // ours, one at hand, five ahead
  }
  EXPECT_EQ(alive.use_count(), 1);
}

TEST_F(ImapTest, ResultsOfAbandonedWorkersAreDestroyedAtOnce) {
  GreenPool pool(4);
  auto alive = std::make_shared<int>(0);
  std::vector<fern::Event> gates(3);
  {
    auto results = pool.imap(
        [&](std::size_t i) {
          if (i > 0) gates[i].wait();
          return alive;
        },
        std::vector<std::size_t>{0, 1, 2});
    EXPECT_EQ(*results.next(), alive);
  }
  gates[1].set();
  settle();
  EXPECT_EQ(alive.use_count(), 1);
  gates[2].set();
  settle();
  EXPECT_EQ(alive.use_count(), 1);
}

TEST_F(ImapTest, FailuresThatNobodySawArePrinted) {
  GreenPool pool(4);
  fern::Event gate;
  testing::internal::CaptureStderr();
  {
    auto results = pool.imap(
        [&](int i) {
          if (i == 2) gate.wait();
          if (i > 0) throw std::runtime_error("unseen " + number(i));
          return i;
        },
        std::vector{0, 1, 2});
    EXPECT_EQ(*results.next(), 0);
    settle();
  }
  gate.set();
  settle();
  std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_NE(printed.find("unseen 1"), std::string::npos);
  EXPECT_NE(printed.find("unseen 2"), std::string::npos);
}

TEST_F(ImapTest, FailuresThatWereSeenAreNotPrinted) {
  GreenPool pool(4);
  testing::internal::CaptureStderr();
  EXPECT_EQ(collect(pool.imap([](int i) -> int { throw std::runtime_error(number(i)); },
                              Numbers(3, nullptr,
                                      [](int i) {
                                        if (i == 2) throw std::runtime_error("input");
                                      }))),
            (Log{"0", "1", "input"}));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(ImapTest, AnAbandonedInputThatWaitsIsLetGoOfAtOnce) {
  GreenPool pool(2);
  Log log;
  {
    // Its end would be a use after free if the reader still stood in it.
    auto input = std::make_unique<Numbers>(9, nullptr, [&](int i) {
      if (i < 1) return;
      try {
        wait_forever();
      } catch (const fern::GreenletExit&) {
        log.push_back("let go");
        throw;
      }
    });
    for (int& i : pool.imap(same, *input)) {
      EXPECT_EQ(i, 0);
      fern::yield();
      break;
    }
    log.push_back("gone");
  }
  EXPECT_EQ(joined(log), "let go gone");
}

TEST_F(ImapTest, AnInputThatSurvivesItsKillReadsOneElementAndNoMore) {
  GreenPool pool(2);
  Log log;
  Numbers input(9, &log, [&](int i) {
    if (i != 1) return;
    try {
      wait_forever();
    } catch (const fern::GreenletExit&) {
    }
  });
  {
    auto results = pool.imap(same, input);
    EXPECT_EQ(*results.next(), 0);
    fern::yield();
  }
  settle();
  EXPECT_EQ(joined(log), "R0 R1");
}

TEST_F(ImapTest, AnImapIsAbandonedInAKilledConsumerWhoseInputWaits) {
  GreenPool pool(2);
  Numbers input(9, nullptr, [](int i) {
    if (i == 1) wait_forever();
  });
  auto consumer = fern::spawn([&] {
    for (int& i : pool.imap(same, input)) EXPECT_EQ(i, 0);
  });
  settle();
  consumer.kill();
  EXPECT_TRUE(consumer.killed());
}

TEST_F(ImapTest, TheInputMayEndItsOwnImap) {
  GreenPool pool(2);
  std::optional<Imap<int>> results;
  Log log;
  results.emplace(pool.imap(same, Numbers(9, &log, [&](int i) {
                              if (i == 1) results.reset();
                            })));
  settle();
  EXPECT_FALSE(results.has_value());
  EXPECT_EQ(joined(log), "R0 R1");
}

TEST_F(ImapTest, TheInputIsGoneWithTheImap) {
  GreenPool pool(2);
  fern::Event gate;
  auto alive = std::make_shared<int>(0);
  std::vector<std::shared_ptr<int>> input(20, alive);
  EXPECT_EQ(alive.use_count(), 21);
  {
    auto results = pool.imap(
        [&](const std::shared_ptr<int>& element) {
          gate.wait();
          return *element;
        },
        std::move(input));
    settle();
    EXPECT_EQ(alive.use_count(), 21);
  }
  settle();
  EXPECT_EQ(alive.use_count(), 3);  // ours, and two workers'
  gate.set();
  settle();
  EXPECT_EQ(alive.use_count(), 1);
}

TEST_F(ImapTest, AnAssignedImapAbandonsWhatItWas) {
  GreenPool pool(2);
  Log log;
  auto results = pool.imap(same, Numbers(9, &log));
  settle();
  results = pool.imap(same, std::vector{4});
  EXPECT_EQ(collect(results), (Log{"4"}));
  EXPECT_EQ(joined(log), "R0 R1 R2");
}

TEST_F(ImapTest, ThePoolMayGoBeforeItsImap) {
  auto pool = std::make_unique<GreenPool>(2);
  auto results = pool->imap(same, std::vector{1, 2, 3});
  pool.reset();
  EXPECT_EQ(collect(results), (Log{"1", "2", "3"}));
}

TEST_F(ImapTest, AThreadMayEndWithAnImapHalfWay) {
  may_keep_heap("the other thread's hub is kept for the next thread");
  std::thread([] {
    static thread_local std::optional<Imap<int>> results;
    GreenPool pool(2);
    results.emplace(pool.imap(
        [](int i) {
          if (i > 0) wait_forever();
          return i;
        },
        Numbers(9, nullptr)));
    EXPECT_EQ(*results->next(), 0);
  }).join();
}

TEST_F(ImapTest, TheHubsOwnStackMayEndAnImapWhoseInputWaits) {
  GreenPool pool(2);
  std::optional<Imap<int>> results;
  results.emplace(pool.imap(same, Numbers(9, nullptr, [](int) { wait_forever(); })));
  fern::yield();
  fern::Event posted;
  fern::Hub::current().post([&] {
    results.reset();
    posted.set();
  });
  posted.wait();
  EXPECT_FALSE(results.has_value());
}
