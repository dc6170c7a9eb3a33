#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/thread_pool.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "children.hpp"
#include "support.hpp"

using fern::ThreadPool;
using namespace std::chrono_literals;

namespace {

template <class Fn>
concept Maps = requires(ThreadPool pool, Fn fn, std::vector<int> input) {
  pool.imap(fn, input);
  pool.imap_unordered(fn, input);
  pool.map(fn, input);
};
static_assert(Maps<int (*)(int)>);
static_assert(!Maps<void (*)(int)>, "there is no range of nothing");

class ThreadPoolTest : public FernTest {
 protected:
  ThreadPoolTest() { may_keep_heap("idle threads keep their pool"); }

  static void block(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }
};

TEST_F(ThreadPoolTest, MapAndImapCallTheFunctionInThreads) {
  ThreadPool pool(3);
  std::vector<int> numbers(20);
  std::iota(numbers.begin(), numbers.end(), 0);
  auto self = std::this_thread::get_id();
  auto twice = [self](int n) { return std::this_thread::get_id() == self ? -1 : 2 * n; };
  std::vector<int> expected;
  for (int n : numbers) expected.push_back(2 * n);
  EXPECT_EQ(pool.map(twice, numbers), expected);
  std::vector<int> got;
  for (int& each : pool.imap(twice, numbers)) got.push_back(each);
  EXPECT_EQ(got, expected);
  got.clear();
  for (int& each : pool.imap_unordered(twice, numbers)) got.push_back(each);
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, expected);
}

TEST_F(ThreadPoolTest, AFailureInMapIsThrownInTheOrderOfTheInput) {
  ThreadPool pool(4);
  auto fail = [](int n) -> int {
    block(std::chrono::milliseconds(5 - n));
    if (n == 2 || n == 4) throw std::runtime_error(std::to_string(n));
    return n;
  };
  try {
    pool.map(fail, std::vector{1, 2, 3, 4});
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "2");
  }
  pool.waitall();
  fern::sleep(1ms);
}

TEST_F(ThreadPoolTest, SeveralRangesAreReadToTheEndOfTheShortest) {
  ThreadPool pool(2);
  auto minus = [](int a, int b) { return a - b; };
  std::vector<int> tens{10, 20, 30};
  std::vector<int> ones{1, 2};
  std::vector<int> expected{9, 18};
  EXPECT_EQ(pool.map(minus, tens, ones), expected);
  std::vector<int> got;
  for (int& each : pool.imap(minus, tens, ones)) got.push_back(each);
  EXPECT_EQ(got, expected);
  got.clear();
  for (int& each : pool.imap_unordered(minus, tens, ones)) got.push_back(each);
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, expected);
}

TEST_F(ThreadPoolTest, ElementsAndResultsMayOnlyMove) {
  ThreadPool pool(2);
  std::vector<std::unique_ptr<int>> input;
  for (int i = 0; i < 3; ++i) input.push_back(std::make_unique<int>(i));
  auto moved = pool.map([](std::unique_ptr<int> p) { return p; }, std::move(input));
  EXPECT_EQ(*moved.at(2), 2);
  int sum = 0;
  for (auto& each : pool.imap([](std::unique_ptr<int> p) { return p; }, std::move(moved))) {
    sum += *each;
  }
  EXPECT_EQ(sum, 3);
}

TEST_F(ThreadPoolTest, AFailureInImapComesInItsPlace) {
  ThreadPool pool(2);
  auto results = pool.imap(
      [](int n) {
        if (n == 1) throw std::runtime_error("one");
        return n;
      },
      std::vector{0, 1, 2});
  EXPECT_EQ(*results.next(), 0);
  EXPECT_THROW(results.next(), std::runtime_error);
  EXPECT_EQ(*results.next(), 2);
  EXPECT_EQ(results.next(), nullptr);
}

TEST_F(ThreadPoolTest, ImapReadsNoFurtherThanOneMoreThanItsThreads) {
  ThreadPool pool(2);
  std::mutex hold;
  hold.lock();
  int read = 0;
  auto input = std::views::iota(0, 10) | std::views::transform([&](int n) {
                 ++read;
                 return n;
               });
  auto results = pool.imap(
      [&](int n) {
        std::lock_guard wait(hold);
        return n;
      },
      input);
  for (int turn = 0; turn < 30; ++turn) fern::yield();
  EXPECT_EQ(read, 3);
  hold.unlock();
  int expected = 0;
  for (int& each : results) EXPECT_EQ(each, expected++);
  EXPECT_EQ(read, 10);
}

TEST_F(ThreadPoolTest, MapHasNoMoreGreenletsThanThreads) {
  ThreadPool pool(2);
  fern::Hub& hub = fern::Hub::current();
  std::size_t before = hub.greenlets();
  std::size_t most = 0;
  auto input = std::views::iota(0, 500) | std::views::transform([&](int n) {
                 most = std::max(most, hub.greenlets() - before);
                 return n;
               });
  auto numbers = pool.map([](int n) { return n; }, input);
  EXPECT_EQ(numbers.size(), 500u);
  EXPECT_EQ(numbers[499], 499);
  EXPECT_LE(most, 2u);
}

TEST_F(ThreadPoolTest, AMapInACallOfThePoolIsDoneThere) {
  if (!fern::testing::ends_of_threads_are_seen)
    GTEST_SKIP() << "TSan does not see the thread's end";
  ThreadPool pool(1);
  pid_t task = 0;
  auto tasks = pool.apply([&] {
    task = ::gettid();
    auto where = [](int) { return ::gettid(); };
    auto tasks = pool.map(where, std::views::iota(0, 3));
    for (pid_t& each : pool.imap(where, std::views::iota(0, 3))) tasks.push_back(each);
    return tasks;
  });
  EXPECT_EQ(tasks, std::vector<pid_t>(6, task));
  fern::testing::wait_for_the_end_of(task);
}

TEST_F(ThreadPoolTest, AnAbandonedImapDropsWhatHasNotBegun) {
  ThreadPool pool(1);
  std::mutex hold;
  std::atomic<int> ran{0};
  {
    auto results = pool.imap(
        [&](int n) {
          if (n > 0) {
            std::lock_guard wait(hold);
          }
          ++ran;
          return n;
        },
        std::views::iota(0, 10));
    hold.lock();
    EXPECT_EQ(*results.next(), 0);
    while (pool.pending() == 0) fern::yield();
  }
  hold.unlock();
  EXPECT_TRUE(pool.waitall());
  while (fern::Hub::current().greenlets() > 0) fern::yield();
  EXPECT_EQ(ran, 2);
}

TEST_F(ThreadPoolTest, AKilledMapLeavesWhatHasBegunRunning) {
  ThreadPool pool(2);
  std::mutex hold;
  hold.lock();
  std::atomic<int> ran{0};
  std::vector<int> input(10);
  auto mapper = fern::spawn([&] {
    pool.map(
        [&](int n) {
          std::lock_guard wait(hold);
          ++ran;
          return n;
        },
        input);
  });
  while (pool.pending() < 2) fern::yield();
  mapper.kill();
  EXPECT_TRUE(mapper.killed());
  hold.unlock();
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(ran, 2);
  while (fern::Hub::current().greenlets() > 0) fern::yield();
}

}  // namespace
