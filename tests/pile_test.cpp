#include "support.hpp"

#include <fern/pile.hpp>
#include <fern/timeout.hpp>

#include <chrono>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using fern::GreenPile;
using fern::GreenPool;

static_assert(std::ranges::input_range<GreenPile<int>>);

namespace {

using Log = std::vector<std::string>;

class PileTest : public FernTest {};

int late(int i) {
  fern::sleep(1ms * (4 - i));
  return i;
}

}  // namespace

TEST_F(PileTest, ReadingMayGoOnAfterTheEnd) {
  GreenPile<int> pile(2);
  pile.spawn(late, 3);
  EXPECT_EQ(*pile.next(), 3);
  EXPECT_EQ(pile.next(), nullptr);
  pile.spawn(late, 2);
  for (int& i : pile) EXPECT_EQ(i, 2);
  EXPECT_EQ(pile.next(), nullptr);
}

TEST_F(PileTest, AnotherGreenletReadsWhileSpawnWaits) {
  GreenPile<int> pile(1);
  std::vector<int> out;
  auto spawner = fern::spawn([&] {
    for (int i = 0; i < 4; ++i) pile.spawn(late, i);
  });
  fern::yield();
  for (int& i : pile) out.push_back(i);
  EXPECT_EQ(out, (std::vector{0, 1, 2, 3}));
  spawner.get();
}

TEST_F(PileTest, TwoPilesOverOnePoolKeepTheirResultsApart) {
  GreenPool pool(2);
  GreenPile<int> numbers(pool);
  GreenPile<std::string> words(pool);
  for (int i = 0; i < 3; ++i) {
    numbers.spawn(late, i);
    words.spawn([i] { return std::string(1, static_cast<char>('a' + i)); });
  }
  std::string all;
  for (auto& word : words) all += word;
  for (int& i : numbers) all += std::to_string(i);
  EXPECT_EQ(all, "abc012");
}

TEST_F(PileTest, GoesThroughViews) {
  GreenPile<int> pile(2);
  for (int i = 0; i < 4; ++i) pile.spawn(late, i);
  std::vector<int> out;
  for (int i : pile | std::views::filter([](int i) { return i % 2 == 1; }) | std::views::take(2)) {
    out.push_back(i);
  }
  EXPECT_EQ(out, (std::vector{1, 3}));
}

TEST_F(PileTest, AKilledSpawnerLeavesNoGap) {
  GreenPile<int> pile(1);
  pile.spawn(late, 0);
  auto killed = fern::spawn([&] { pile.spawn(late, 1); });
  auto next = fern::spawn([&] { pile.spawn(late, 2); });
  fern::yield();
  killed.kill();
  std::vector<int> out;
  for (int& i : pile) out.push_back(i);
  EXPECT_EQ(out, (std::vector{0, 2}));
  next.get();
}

TEST_F(PileTest, AMemberMaySpawnIntoItsFullPile) {
  GreenPile<int> pile(1);
  pile.spawn([&] {
    pile.spawn([] { return 1; });
    pile.spawn([]() -> int { throw std::domain_error("two"); });
    pile.spawn([]() -> int { throw fern::GreenletExit(); });
    return 0;
  });
  EXPECT_EQ(*pile.next(), 0);
  EXPECT_EQ(*pile.next(), 1);
  EXPECT_THROW(pile.next(), std::domain_error);
  EXPECT_THROW(pile.next(), fern::GreenletKilled);
  EXPECT_EQ(pile.next(), nullptr);
}

TEST_F(PileTest, AKilledMemberTakesWithItWhatRanInsideOfIt) {
  GreenPool pool(1);
  GreenPile<int> pile(pool);
  fern::AnyGreenlet member;
  pile.spawn([&] {
    member = fern::current_greenlet();
    pile.spawn([]() -> int {
      fern::sleep(fern::Deadline::never());
      return 1;
    });
    return 0;
  });
  fern::yield();
  member.kill();
  EXPECT_THROW(pile.next(), fern::GreenletKilled);
  EXPECT_THROW(pile.next(), fern::GreenletKilled);
  EXPECT_EQ(pile.next(), nullptr);
}

TEST_F(PileTest, NextThrowsTimeoutErrorWhenLate) {
  GreenPile<int> pile(1);
  pile.spawn(late, 0);
  EXPECT_THROW(pile.next(0s), fern::TimeoutError);
  EXPECT_THROW(fern::with_timeout(1ms, [&] { pile.next(); }), fern::TimeoutError);
  EXPECT_EQ(*pile.next(), 0);
}

TEST_F(PileTest, ThePileMayGoBeforeItsGreenlets) {
  GreenPool pool(4);
  int ran = 0;
  {
    GreenPile<std::unique_ptr<int>> pile(pool);
    for (int i = 0; i < 3; ++i) {
      pile.spawn([&ran] {
        ++ran;
        fern::yield();
        return std::make_unique<int>(1);
      });
    }
    pile.spawn([] { return std::make_unique<int>(2); });
  }
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(ran, 3);
}

TEST_F(PileTest, WaitallWaitsForAll) {
  GreenPile<int> pile(4);
  for (int i = 0; i < 4; ++i) pile.spawn(late, i);
  EXPECT_FALSE(pile.waitall(0s));
  EXPECT_TRUE(pile.waitall());
  EXPECT_EQ(*pile.next(0s), 0);
}

TEST_F(PileTest, ResultsThatWaitKeepNoStack) {
  GreenPile<int> pile(10);
  int count = fern::testing::many / 10;
  for (int i = 0; i < count; ++i) pile.spawn([i] { return i; });
  int next = 0;
  for (int& i : pile) EXPECT_EQ(i, next++);
  EXPECT_EQ(next, count);
}
