#include <fern/errors.hpp>
#include <fern/pool.hpp>
#include <fern/timeout.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <numeric>
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

static_assert(std::ranges::input_range<Imap<int>>);
static_assert(std::ranges::input_range<Imap<std::unique_ptr<int>>>);
static_assert(!std::ranges::forward_range<Imap<int>>);
static_assert(std::ranges::view<Imap<int>>);
static_assert(std::ranges::viewable_range<Imap<int>>);
static_assert(std::movable<Imap<int>> && !std::copyable<Imap<int>>);
static_assert(std::input_iterator<Imap<int>::Iterator>);
static_assert(std::sentinel_for<std::default_sentinel_t, Imap<int>::Iterator>);
static_assert(std::same_as<std::ranges::range_reference_t<Imap<std::string>>, std::string&>);

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
  auto it = results.begin();
  EXPECT_THROW(fern::with_timeout(1ms, [&] { return *it; }), fern::TimeoutError);
  EXPECT_EQ(*it, 1);
  ++it;
  EXPECT_THROW(fern::with_timeout(1ms, [&] { return it == results.end(); }), fern::TimeoutError);
  EXPECT_FALSE(it == results.end());
  EXPECT_EQ(*it, 2);
  ++it;
  EXPECT_TRUE(it == results.end());
  EXPECT_THROW(static_cast<void>(*it), fern::GreenletError);
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
