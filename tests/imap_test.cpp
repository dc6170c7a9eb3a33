#include "support.hpp"

#include <fern/event.hpp>
#include <fern/hub.hpp>
#include <fern/pool.hpp>
#include <fern/timeout.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <forward_list>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using fern::GreenPool;
using fern::Imap;

static_assert(std::ranges::input_range<Imap<int>>);
static_assert(std::ranges::input_range<Imap<std::unique_ptr<int>>>);
static_assert(!std::ranges::forward_range<Imap<int>>);
static_assert(std::ranges::view<Imap<int>>);
static_assert(std::ranges::viewable_range<Imap<int>>);
static_assert(std::movable<Imap<int>> && !std::copyable<Imap<int>>);
static_assert(std::input_iterator<Imap<int>::Iterator>);
static_assert(std::sentinel_for<std::default_sentinel_t, Imap<int>::Iterator>);
static_assert(std::same_as<std::ranges::range_reference_t<Imap<std::string>>, std::string&>);

namespace {

using Log = std::vector<std::string>;

void wait_forever() { fern::sleep(fern::Deadline::never()); }

std::string number(int n) { return std::to_string(n); }

// Lets whatever is ready come to rest.
void settle() {
  for (int turn = 0; turn < 30; ++turn) fern::yield();
}

int same(int i) { return i; }

// A generator of the numbers below `end` that logs "R<i>" when it makes one, moves only and is
// read once: as little as an input range can be.
class Numbers : public std::ranges::view_base {
 public:
  Numbers(int end, Log* log, std::function<void(int)> before = {})
      : end_(end), log_(log), before_(std::move(before)) {}
  Numbers(Numbers&&) = default;
  Numbers& operator=(Numbers&&) = default;

  class Iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(Numbers* numbers) : numbers_(numbers) {}
    Iterator(Iterator&&) = default;
    Iterator& operator=(Iterator&&) = default;
    int operator*() const { return numbers_->value_; }
    Iterator& operator++() {
      numbers_->make();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return numbers_->value_ == numbers_->end_; }

   private:
    Numbers* numbers_;
  };

  Iterator begin() {
    make();
    return Iterator(this);
  }
  std::default_sentinel_t end() const { return {}; }

 private:
  void make() {
    if (++value_ == end_) return;
    if (before_) before_(value_);
    if (log_ != nullptr) log_->push_back("R" + number(value_));
  }

  int end_;
  int value_ = -1;
  Log* log_;
  std::function<void(int)> before_;
};
static_assert(std::ranges::input_range<Numbers> && !std::ranges::forward_range<Numbers>);

// What is thrown at one position, as "name", or the value.
template <class Results>
Log collect(Results&& results) {
  Log out;
  for (auto it = results.begin(); it != results.end(); ++it) {
    try {
      out.push_back(number(*it));
    } catch (const fern::GreenletKilled&) {
      out.push_back("killed");
    } catch (const std::exception& error) {
      out.push_back(error.what());
    }
  }
  return out;
}

std::string joined(const Log& log) {
  std::string text;
  for (const auto& word : log) text += (text.empty() ? "" : " ") + word;
  return text;
}

class ImapTest : public FernTest {
 protected:
  // Readers and workers that were called off leave at their turn.
  ~ImapTest() override {
    fern::yield();
    fern::yield();
  }
};

}  // namespace

TEST_F(ImapTest, ResultsComeInTheOrderOfTheInput) {
  GreenPool pool(3);
  std::vector<int> input{5, 1, 3, 0, 4};
  std::vector<int> out;
  for (auto& result : pool.imap(
           [](int i) {
             for (int turn = 0; turn < i; ++turn) fern::yield();
             return 10 * i;
           },
           input)) {
    out.push_back(result);
  }
  EXPECT_EQ(out, (std::vector{50, 10, 30, 0, 40}));
}

// gevent: V51.
TEST_F(ImapTest, UnorderedResultsComeAsTheyAreFinished) {
  GreenPool pool(3);
  auto work = [](int i) {
    for (int turn = 0; turn < 3 * i; ++turn) fern::yield();
    if (i == 2) throw std::runtime_error("two");
    return i;
  };
  EXPECT_EQ(collect(pool.imap_unordered(work, std::vector{3, 1, 2, 0})),
            (Log{"1", "0", "two", "3"}));
  EXPECT_EQ(collect(pool.imap(work, std::vector{3, 1, 2, 0})), (Log{"3", "1", "two", "0"}));
}

TEST_F(ImapTest, NoInputIsNoResult) {
  GreenPool pool(2);
  EXPECT_EQ(collect(pool.imap(same, std::vector<int>())), Log());
  EXPECT_EQ(collect(pool.imap_unordered(same, std::views::empty<int>)), Log());
  auto results = pool.imap(same, std::vector<int>());
  EXPECT_EQ(results.next(), nullptr);
  EXPECT_EQ(results.next(), nullptr);
  EXPECT_TRUE(results.begin() == results.end());
}

TEST_F(ImapTest, TheBoundHoldsWhateverTheOrderOfCompletion) {
  for (bool ordered : {true, false}) {
    GreenPool pool(4);
    int handed_out = 0;
    int read = 0;
    int running = 0;
    auto work = [&](int i) {
      EXPECT_LE(++running, 4);
      for (int turn = 0; turn < (i * 7) % 5; ++turn) fern::yield();
      --running;
      return i;
    };
    Numbers input(200, nullptr, [&](int) {
      ++read;
      EXPECT_LE(read - handed_out, 5);
    });
    auto results = ordered ? pool.imap(work, input) : pool.imap_unordered(work, input);
    std::vector<int> out;
    for (auto it = results.begin(); it != results.end(); ++it) {
      ++handed_out;
      out.push_back(*it);
      if (out.size() % 3 == 0) fern::yield();
    }
    if (!ordered) std::sort(out.begin(), out.end());
    std::vector<int> all(200);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(out, all);
  }
}

TEST_F(ImapTest, AnImapInsideOfAnImapGoesOn) {
  GreenPool pool(1);
  auto outer = [&](int i) {
    int sum = 0;
    for (int& j : pool.imap([i](int j) { return i * j; }, std::vector{1, 2, 3})) sum += j;
    return sum;
  };
  EXPECT_EQ(collect(pool.imap(outer, std::vector{1, 10})), (Log{"6", "60"}));
}

// gevent: W01, whose fourth read hangs; eventlet: E19, whose second does. Here it is the end.
TEST_F(ImapTest, WhatTheInputThrowsComesAfterTheGoodResultsAndIsTheEnd) {
  for (bool ordered : {true, false}) {
    GreenPool pool(2);
    int asked = 0;
    auto input = [&] {
      return Numbers(9, nullptr, [&](int i) {
        ++asked;
        if (i == 2) throw std::runtime_error("input");
      });
    };
    auto work = [](int i) {
      settle();
      return 10 * i;
    };
    EXPECT_EQ(collect(ordered ? pool.imap(work, input()) : pool.imap_unordered(work, input())),
              (Log{"0", "10", "input"}));
    EXPECT_EQ(asked, 3);
    auto results = pool.imap(work, input());
    EXPECT_EQ(*results.next(), 0);
    EXPECT_EQ(*results.next(), 10);
    EXPECT_THROW(results.next(), std::runtime_error);
    EXPECT_EQ(results.next(), nullptr);
    EXPECT_EQ(results.next(), nullptr);
  }
}

TEST_F(ImapTest, ABeginThatThrowsIsAFailureOfTheInput) {
  GreenPool pool(2);
  Numbers input(3, nullptr, [](int) { throw std::runtime_error("at once"); });
  EXPECT_EQ(collect(pool.imap(same, input)), (Log{"at once"}));
}

TEST_F(ImapTest, AnElementThatCannotBeCopiedIsAFailureOfTheInput) {
  struct Element {
    int value;
    explicit Element(int value) : value(value) {}
    Element(const Element& other) : value(other.value) {
      if (value == 1) throw std::runtime_error("copy");
    }
  };
  std::list<Element> input;
  for (int i = 0; i < 3; ++i) input.emplace_back(i);
  GreenPool pool(3);
  EXPECT_EQ(collect(pool.imap([](const Element& e) { return e.value; }, input)),
            (Log{"0", "copy"}));
}

// Its greenlet cannot be made: that is a failure of the reading, and leaves no gap.
TEST_F(ImapTest, AnElementThatCannotBeMovedIsAFailureOfTheInput) {
  struct Element {
    int value;
    int moves = 0;
    explicit Element(int value) : value(value) {}
    Element(const Element&) = default;
    Element(Element&& other) : value(other.value), moves(other.moves + 1) {
      if (value == 1 && moves > 2) throw std::runtime_error("move");
    }
  };
  std::list<Element> input;
  for (int i = 0; i < 3; ++i) input.emplace_back(i);
  GreenPool pool(3);
  auto value = [](const Element& e) { return e.value; };
  EXPECT_EQ(collect(pool.imap(value, input)), (Log{"0", "move"}));
  EXPECT_EQ(collect(pool.imap_unordered(value, input)), (Log{"0", "move"}));
  EXPECT_THROW(pool.map(value, input), std::runtime_error);
  EXPECT_TRUE(pool.waitall());
}

TEST_F(ImapTest, AFailureIsThrownEachTimeItIsLookedAtAndIterationGoesOn) {
  GreenPool pool(2);
  auto results = pool.imap(
      [](int i) {
        if (i % 2 == 1) throw std::out_of_range(number(i));
        return i;
      },
      std::vector{0, 1, 2, 3});
  auto it = results.begin();
  EXPECT_EQ(*it, 0);
  ++it;
  EXPECT_THROW(static_cast<void>(*it), std::out_of_range);
  EXPECT_THROW(static_cast<void>(*it), std::out_of_range);
  ++it;
  EXPECT_EQ(*it, 2);
  EXPECT_EQ(*it, 2);
  ++it;
  EXPECT_THROW(static_cast<void>(*it), std::out_of_range);
  ++it;
  EXPECT_TRUE(it == results.end());
}

TEST_F(ImapTest, TheFailureIsTheVeryObjectThatWasThrown) {
  GreenPool pool(1);
  auto results = pool.imap([](int i) -> int { throw i; }, std::vector{41});
  try {
    results.next();
    FAIL();
  } catch (int thrown) {
    EXPECT_EQ(thrown, 41);
  }
}

TEST_F(ImapTest, AForLoopLeavesAtTheFailure) {
  GreenPool pool(2);
  std::vector<int> out;
  auto loop = [&] {
    for (int& i : pool.imap(
             [](int i) {
               if (i == 2) throw std::runtime_error("two");
               return i;
             },
             std::views::iota(0, 100))) {
      out.push_back(i);
    }
  };
  EXPECT_THROW(loop(), std::runtime_error);
  EXPECT_EQ(out, (std::vector{0, 1}));
}

TEST_F(ImapTest, AKilledWorkerIsGreenletKilledInItsPlace) {
  GreenPool pool(3);
  std::map<int, fern::AnyGreenlet> workers;
  auto work = [&](int i) {
    workers[i] = fern::current_greenlet();
    fern::sleep(i == 1 ? 10s : 1ms);
    return i;
  };
  auto results = pool.imap(work, std::vector{0, 1, 2});
  EXPECT_EQ(*results.next(), 0);
  workers[1].kill();
  EXPECT_THROW(results.next(), fern::GreenletKilled);
  EXPECT_EQ(*results.next(), 2);
  EXPECT_EQ(results.next(), nullptr);
}

TEST_F(ImapTest, AWorkerKilledWithAnExceptionThrowsThat) {
  GreenPool pool(3);
  fern::AnyGreenlet worker;
  auto results = pool.imap_unordered(
      [&](int i) {
        worker = fern::current_greenlet();
        wait_forever();
        return i;
      },
      std::vector{0});
  fern::yield();
  fern::yield();
  worker.kill({.exception = std::make_exception_ptr(std::domain_error("stop"))});
  EXPECT_THROW(results.next(), std::domain_error);
}

TEST_F(ImapTest, AWorkerThatThrowsGreenletExitIsGreenletKilled) {
  GreenPool pool(1);
  EXPECT_EQ(collect(pool.imap([](int) -> int { throw fern::GreenletExit(); }, std::vector{0, 1})),
            (Log{"killed", "killed"}));
}

TEST_F(ImapTest, AKilledReaderIsGreenletKilledAndTheEnd) {
  GreenPool pool(1);
  fern::AnyGreenlet reader;
  Numbers input(9, nullptr, [&](int i) {
    reader = fern::current_greenlet();
    if (i == 1) wait_forever();
  });
  auto results = pool.imap(same, input);
  EXPECT_EQ(*results.next(), 0);
  fern::yield();
  reader.kill();
  EXPECT_THROW(results.next(), fern::GreenletKilled);
  EXPECT_EQ(results.next(), nullptr);
}

TEST_F(ImapTest, NextThrowsTimeoutErrorWhenLateAndMayBeCalledAgain) {
  GreenPool pool(1);
  auto results = pool.imap(
      [](int i) {
        fern::sleep(5ms);
        return i;
      },
      std::vector{7});
  EXPECT_THROW(results.next(0s), fern::TimeoutError);
  EXPECT_THROW(results.next(1ms), fern::TimeoutError);
  EXPECT_EQ(*results.next(), 7);
  EXPECT_EQ(results.next(0s), nullptr);
}

TEST_F(ImapTest, ATimeoutOfTheConsumersLosesNoResult) {
  GreenPool pool(1);
  auto results = pool.imap(
      [](int i) {
        fern::sleep(5ms);
        return i;
      },
      std::vector{1, 2});
  EXPECT_THROW(fern::with_timeout(1ms, [&] { results.begin(); }), fern::TimeoutError);
  auto it = results.begin();
  EXPECT_EQ(*it, 1);
  EXPECT_THROW(fern::with_timeout(1ms, [&] { ++it; }), fern::TimeoutError);
  EXPECT_FALSE(it == results.end());
  EXPECT_THROW(static_cast<void>(*it), fern::GreenletError);
  ++it;
  EXPECT_EQ(*it, 2);
}

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

TEST_F(ImapTest, SeveralRangesAreReadToTheEndOfTheShortest) {
  GreenPool pool(2);
  Log log;
  auto sum = [](int a, int b, int c) { return 100 * a + 10 * b + c; };
  EXPECT_EQ(collect(pool.imap(sum, Numbers(9, &log), std::vector{1, 2}, std::views::iota(5))),
            (Log{"15", "126"}));
  // The first was asked for a third before the second was found at its end.
  EXPECT_EQ(joined(log), "R0 R1 R2");
}

TEST_F(ImapTest, StarmapSpreadsTuples) {
  GreenPool pool(2);
  auto product = [](int a, int b) { return a * b; };
  std::vector<std::tuple<int, int>> tuples{{1, 2}, {3, 4}};
  EXPECT_EQ(collect(pool.starmap(product, tuples)), (Log{"2", "12"}));
  EXPECT_EQ(collect(pool.starmap(product, std::map<int, int>{{1, 2}, {3, 4}})), (Log{"2", "12"}));
  std::vector<std::tuple<std::unique_ptr<int>>> movable;
  movable.emplace_back(std::make_unique<int>(6));
  EXPECT_EQ(collect(pool.starmap([](std::unique_ptr<int> p) { return *p; }, std::move(movable))),
            (Log{"6"}));
}

TEST_F(ImapTest, AnLvalueRangeIsReferencedAndItsElementsAreCopied) {
  GreenPool pool(2);
  std::list<std::string> words{"a", "b"};
  auto results = pool.imap([](std::string word) { return std::move(word) + "!"; }, words);
  words.push_back("c");
  std::string all;
  for (auto& word : results) all += word;
  EXPECT_EQ(all, "a!b!c!");
  EXPECT_EQ(words, (std::list<std::string>{"a", "b", "c"}));
}

TEST_F(ImapTest, ElementsOfARangeThatWasMovedInAreMoved) {
  GreenPool pool(2);
  auto own = [](std::unique_ptr<int> p) { return p; };
  auto make = [] {
    std::vector<std::unique_ptr<int>> made;
    for (int i = 0; i < 3; ++i) made.push_back(std::make_unique<int>(i));
    return made;
  };
  int sum = 0;
  for (auto& p : pool.imap(own, make())) sum += *p;
  for (auto& p : pool.imap(own, make() | std::views::all)) sum += *p;
  EXPECT_EQ(sum, 6);
}

TEST_F(ImapTest, ElementsBehindAViewAreNotMoved) {
  GreenPool pool(2);
  std::vector<std::string> words{"a long word that lives on the heap", "another one of these"};
  auto take = [](std::string word) { return static_cast<int>(word.size()); };
  collect(pool.imap(take, std::span(words)));
  collect(pool.imap(take, std::views::all(words)));
  collect(pool.imap(take, words | std::views::reverse));
  collect(pool.imap(take, std::ranges::subrange(words)));
  EXPECT_EQ(words[0].size(), 34u);
  EXPECT_EQ(words[1].size(), 20u);
}

TEST_F(ImapTest, ReadsRangesOfEveryKind) {
  GreenPool pool(2);
  const std::vector<int> constant{1, 2};
  EXPECT_EQ(collect(pool.imap(same, constant)), (Log{"1", "2"}));
  int array[] = {1, 2};
  EXPECT_EQ(collect(pool.imap(same, array)), (Log{"1", "2"}));
  std::vector<bool> bits{true, false};
  EXPECT_EQ(collect(pool.imap([](bool bit) { return bit ? 1 : 0; }, bits)), (Log{"1", "0"}));
  EXPECT_EQ(collect(pool.imap([](bool bit) { return bit ? 1 : 0; }, std::vector<bool>{true})),
            (Log{"1"}));
  std::istringstream text("3 4 5");
  EXPECT_EQ(collect(pool.imap(same, std::ranges::istream_view<int>(text))), (Log{"3", "4", "5"}));
  std::istringstream more("6 7");
  auto numbers = std::ranges::istream_view<int>(more);
  EXPECT_EQ(collect(pool.imap(same, numbers)), (Log{"6", "7"}));
  auto word = [](const std::string& w) { return static_cast<int>(w.size()); };
  std::istringstream words("a bb");
  EXPECT_EQ(collect(pool.imap(word, std::ranges::subrange(std::istream_iterator<std::string>(words),
                                                          std::istream_iterator<std::string>()))),
            (Log{"1", "2"}));
  EXPECT_EQ(collect(pool.imap(same, std::forward_list<int>{8})), (Log{"8"}));
  EXPECT_EQ(collect(pool.imap(same, std::views::iota(0) | std::views::filter([](int i) {
                                      return i % 2 == 1;
                                    }) | std::views::take(3))),
            (Log{"1", "3", "5"}));
  EXPECT_EQ(collect(pool.imap([](char c) { return int{c}; }, std::string_view("A"))), (Log{"65"}));
  EXPECT_EQ(collect(pool.imap(same, pool.imap(same, std::vector{1, 2, 3}))), (Log{"1", "2", "3"}));
  auto inner = pool.imap(same, std::vector{1, 2});
  EXPECT_EQ(collect(pool.imap(same, inner)), (Log{"1", "2"}));
}

TEST_F(ImapTest, AnIstreamIsReadNoFurtherThanItIsNeeded) {
  GreenPool pool(1);
  std::istringstream text("0 1 2 3 4 5");
  {
    auto results = pool.imap(same, std::ranges::istream_view<int>(text));
    EXPECT_EQ(*results.next(), 0);
  }
  int next = -1;
  text >> next;
  EXPECT_EQ(next, 2);
}

TEST_F(ImapTest, ResultsMayBeOfEveryKind) {
  GreenPool pool(2);
  std::vector<int> input{1, 2};
  // A reference is copied; what cannot even be moved is made in place.
  static_assert(
      std::same_as<decltype(pool.imap([&](int) -> int& { return input[0]; }, input)), Imap<int>>);
  static_assert(
      std::same_as<decltype(pool.imap([](int) -> const char(&)[3] { return "ab"; }, input)),
                   Imap<const char*>>);
  struct Fixed {
    explicit Fixed(int value) : value(value) {}
    Fixed(Fixed&&) = delete;
    int value;
  };
  int sum = 0;
  for (Fixed& fixed : pool.imap([](int i) { return Fixed(i); }, input)) sum += fixed.value;
  EXPECT_EQ(sum, 3);
  auto results =
      pool.imap([](int i) { return std::string(static_cast<std::size_t>(i), 'x'); }, input);
  EXPECT_EQ(results.begin()->size(), 1u);
}

TEST_F(ImapTest, AResultMayBeMovedOut) {
  GreenPool pool(2);
  std::vector<std::unique_ptr<int>> out;
  for (auto& result :
       pool.imap([](int i) { return std::make_unique<int>(i); }, std::vector{1, 2})) {
    out.push_back(std::move(result));
  }
  EXPECT_EQ(*out[1], 2);
}

TEST_F(ImapTest, TheCallableIsCopiedOnceAndMayBeAMember) {
  struct Counts {
    int* copies;
    explicit Counts(int& copies) : copies(&copies) {}
    Counts(const Counts& other) : copies(other.copies) { ++*copies; }
    int operator()(int i) { return i; }
  };
  GreenPool pool(3);
  int copies = 0;
  Counts counts(copies);
  EXPECT_EQ(collect(pool.imap(counts, std::vector{1, 2, 3})), (Log{"1", "2", "3"}));
  EXPECT_EQ(copies, 1);
  struct Page {
    int size = 3;
    int twice() const { return 2 * size; }
  };
  EXPECT_EQ(collect(pool.imap(&Page::size, std::vector<Page>(1))), (Log{"3"}));
  EXPECT_EQ(collect(pool.imap(&Page::twice, std::vector<Page>(1))), (Log{"6"}));
  auto only_moves = [p = std::make_unique<int>(5)](int i) { return *p + i; };
  EXPECT_EQ(collect(pool.imap(std::move(only_moves), std::vector{1})), (Log{"6"}));
}

namespace {

template <class Fn, class... Ranges>
concept Maps = requires(GreenPool pool, Fn fn, Ranges... ranges) {
  pool.imap(std::move(fn), std::move(ranges)...);
  pool.map(std::move(fn), std::move(ranges)...);
};
using Int = int (*)(int);
static_assert(Maps<Int, std::vector<int>>);
static_assert(!Maps<void (*)(int), std::vector<int>>, "there is no range of nothing");
static_assert(!Maps<Int>, "over what?");
static_assert(!Maps<Int, int>, "not a range");
static_assert(!Maps<Int, std::vector<std::string>>, "not callable with the elements");
static_assert(!Maps<Int, std::vector<int>, std::vector<int>>, "too many arguments");
template <class Range>
concept Copies = requires(GreenPool pool, Range range) {
  pool.imap([](std::unique_ptr<int>) { return 0; }, range);
};
static_assert(!Copies<std::vector<std::unique_ptr<int>>>, "an lvalue range keeps its elements");

}  // namespace

TEST_F(ImapTest, GoesThroughViewsAndAlgorithms) {
  GreenPool pool(3);
  auto even = [](int i) { return i % 2 == 0; };
  std::vector<int> out;
  for (int i : pool.imap(same, std::views::iota(0)) | std::views::filter(even) |
                   std::views::transform([](int i) { return -i; }) | std::views::take(3)) {
    out.push_back(i);
  }
  EXPECT_EQ(out, (std::vector{0, -2, -4}));
  out.clear();
  std::ranges::copy(pool.imap(same, std::vector{3, 2}), std::back_inserter(out));
  EXPECT_EQ(out, (std::vector{3, 2}));
  EXPECT_EQ(std::ranges::count_if(pool.imap(same, std::vector{1, 2, 4}), even), 2);
  auto results = pool.imap(same, std::vector{1, 2, 3});
  EXPECT_TRUE(std::ranges::find(results, 2) != results.end());
  EXPECT_EQ(*results.next(), 3);
}

TEST_F(ImapTest, AnImapMayBeKeptAndMovedWhileItIsRead) {
  struct Crawl {
    Imap<int> results;
  };
  GreenPool pool(2);
  Crawl crawl{pool.imap(same, std::vector{1, 2, 3})};
  auto it = crawl.results.begin();
  Crawl moved{std::move(crawl)};
  EXPECT_EQ(*it, 1);
  ++it;
  EXPECT_EQ(*it, 2);
  EXPECT_EQ(*moved.results.next(), 3);
}

TEST_F(ImapTest, APoolOfNoneNeverBegins) {
  GreenPool pool(0);
  auto results = pool.imap(same, std::vector{1});
  EXPECT_THROW(results.next(1ms), fern::TimeoutError);
}

TEST_F(ImapTest, AHugePoolTakesRoomForWhatItIsGiven) {
  GreenPool pool(std::numeric_limits<std::ptrdiff_t>::max());
  EXPECT_EQ(collect(pool.imap(same, std::vector{1, 2})), (Log{"1", "2"}));
}

TEST_F(ImapTest, AnotherThreadIsRefused) {
  may_keep_heap("the other thread's hub is kept for the next thread");
  GreenPool pool(1);
  auto results = pool.imap(same, std::vector{1});
  std::thread([&] { EXPECT_THROW(results.next(), fern::GreenletError); }).join();
  EXPECT_EQ(*results.next(), 1);
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

TEST_F(ImapTest, ManyItemsPassThroughFewGreenlets) {
  GreenPool pool(50);
  int count = fern::testing::many;
  std::int64_t sum = 0;
  for (int& i : pool.imap(
           [](int i) {
             if (i % 7 == 0) fern::yield();
             return i;
           },
           std::views::iota(0, count))) {
    sum += i;
  }
  EXPECT_EQ(sum, std::int64_t{count} * (count - 1) / 2);
  sum = 0;
  for (int& i : pool.imap_unordered(same, std::views::iota(0, count))) sum += i;
  EXPECT_EQ(sum, std::int64_t{count} * (count - 1) / 2);
}
