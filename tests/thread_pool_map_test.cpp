#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/thread_pool.hpp>

#include <algorithm>
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

#include "support.hpp"

using fern::ThreadPool;
using namespace std::chrono_literals;

namespace {

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

}  // namespace
