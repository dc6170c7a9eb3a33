// Taking values out of a queue by a loop over it.
#include "support.hpp"

#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/queue.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <iterator>
#include <memory>
#include <ranges>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Greenlet;
using fern::Queue;
using fern::spawn;

static_assert(std::input_iterator<Queue<int>::Iterator>);
static_assert(std::ranges::input_range<Queue<std::unique_ptr<int>>>);

using QueueIterationTest = FernTest;

TEST_F(QueueIterationTest, EndsWhenItIsClosedAndEmpty) {
  Queue<int> queue(2);
  auto producer = spawn([&] {
    for (int i = 0; i < 5; ++i) queue.put(i);
    queue.close();
  });
  std::vector<int> got;
  for (int& value : queue) got.push_back(value);
  EXPECT_EQ(got, (std::vector{0, 1, 2, 3, 4}));
  for (int value : queue) ADD_FAILURE() << value;
}

TEST_F(QueueIterationTest, TakeTakesAndWaitsForNoMoreThanItGives) {
  Queue<int> queue(1);
  auto putter = spawn([&] {
    for (int i = 1; i <= 3; ++i) queue.put(i);
  });
  std::vector<int> got;
  for (int i : queue | std::views::take(2)) got.push_back(i);
  for (int i : queue | std::views::take(1)) got.push_back(i);
  EXPECT_EQ(got, (std::vector{1, 2, 3}));
  putter.join();
}

TEST_F(QueueIterationTest, AnIteratorPassesOverWhatNobodyLookedAt) {
  Queue<int> queue;
  for (int i = 1; i <= 4; ++i) queue.put(i);
  queue.close();
  auto it = queue.begin();
  EXPECT_EQ(queue.size(), 4u);
  std::ranges::advance(it, 2);
  EXPECT_EQ(*it, 3);
  EXPECT_EQ(*it, 3);
  ++it;
  EXPECT_FALSE(it == queue.end());
  EXPECT_EQ(*it, 4);
  ++it;
  EXPECT_TRUE(it == queue.end());
  EXPECT_TRUE(it == queue.end());
}

TEST_F(QueueIterationTest, AnIteratorThatRanOutOfTimeHasTakenNothing) {
  Queue<int> queue;
  auto it = queue.begin();
  EXPECT_THROW(fern::with_timeout(1ms, [&] { return *it; }), fern::TimeoutError);
  queue.put(1);
  EXPECT_EQ(*it, 1);
}

TEST_F(QueueIterationTest, SeveralMayIterateAndEachItemComesOnce) {
  Queue<std::unique_ptr<int>> queue;
  int sum = 0;
  std::vector<Greenlet<void>> workers;
  for (int i = 0; i < 3; ++i) {
    workers.push_back(spawn([&] {
      for (auto& value : queue) {
        sum += *value;
        fern::yield();
      }
    }));
  }
  for (int i = 1; i <= 100; ++i) queue.put(std::make_unique<int>(i));
  queue.close();
  fern::joinall(workers);
  EXPECT_EQ(sum, 5050);
}

}  // namespace
