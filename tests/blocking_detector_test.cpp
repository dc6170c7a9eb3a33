// The detector names who blocks a thread, and nobody else.

#include "children.hpp"
#include "support.hpp"

#include <fern/fern.hpp>

#include <ctime>
#include <future>
#include <mutex>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using fern::debug::BlockingDetector;

namespace {

// What was reported so far, from any thread.
class Reports {
 public:
  BlockingDetector::Report taker() {
    return [this](const std::string& text) {
      std::lock_guard lock(mutex_);
      ++count_;
      all_ += text;
    };
  }
  int count() const {
    std::lock_guard lock(mutex_);
    return count_;
  }
  std::string all() const {
    std::lock_guard lock(mutex_);
    return all_;
  }

  // Blocks the thread, natively, until there have been so many.
  void wait_for(int number) const {
    while (count() < number) std::this_thread::sleep_for(1ms);
  }

 private:
  mutable std::mutex mutex_;
  int count_ = 0;
  std::string all_;
};

class BlockingDetectorTest : public FernTest {
 protected:
  BlockingDetectorTest() { may_keep_heap("the detector's lists and a thread's caches"); }
};

// A sleep that goes on when a handler ends it.
void sleep_natively(std::chrono::nanoseconds duration) {
  auto end = std::chrono::steady_clock::now() + duration;
  timespec time{};
  do {
    auto left = end - std::chrono::steady_clock::now();
    if (left <= 0ns) return;
    time = {left / 1s, left % 1s / 1ns};
  } while (nanosleep(&time, nullptr) != 0);
}

TEST_F(BlockingDetectorTest, AGreenletThatSleepsNativelyIsNamedWithTheCall) {
  Reports reports;
  {
    BlockingDetector detector(50ms, reports.taker());
    auto sleeper = fern::spawn({.name = "sleeper"}, [] { sleep_natively(300ms); });
    sleeper.join();
  }
  std::string text = reports.all();
  EXPECT_TRUE(says(text, "greenlet sleeper (id ")) << text;
  EXPECT_TRUE(says(text, "nanosleep")) << text;
  EXPECT_TRUE(says(text, " ms, in ")) << text;
  EXPECT_TRUE(says(text, "blocking_detector_test+0x")) << text;
  EXPECT_EQ(reports.count(), 1) << text;
}

TEST_F(BlockingDetectorTest, AGreenletThatComputesIsNamed) {
  Reports reports;
  BlockingDetector detector(20ms, reports.taker());
  auto busy = fern::spawn({.name = "busy"}, [&] {
    while (reports.count() == 0) std::clock();
  });
  busy.join();
  EXPECT_TRUE(says(reports.all(), "greenlet busy (id ")) << reports.all();
}

TEST_F(BlockingDetectorTest, EachBlockIsReportedOnce) {
  Reports reports;
  {
    BlockingDetector detector(20ms, reports.taker());
    auto sleeper = fern::spawn([&] {
      reports.wait_for(1);
      sleep_natively(100ms);
      fern::sleep(1ms);
      reports.wait_for(2);
    });
    sleeper.join();
  }
  EXPECT_EQ(reports.count(), 2) << reports.all();
}

TEST_F(BlockingDetectorTest, AHubThatIsIdleOrSwitchesIsNot) {
  Reports reports;
  {
    // Much longer than a slow machine might take to run this thread again.
    BlockingDetector detector(2s, reports.taker());
    auto idle = fern::spawn([] { fern::sleep(4s); });
    idle.join();
    bool end = false;
    auto first = fern::spawn([&] {
      while (!end) fern::yield();
    });
    fern::sleep(3s);
    end = true;
    first.join();
  }
  EXPECT_EQ(reports.all(), "");
}

TEST_F(BlockingDetectorTest, MainAloneMayBlock) {
  Reports reports;
  {
    BlockingDetector detector(10ms, reports.taker());
    fern::yield();
    sleep_natively(100ms);
  }
  EXPECT_EQ(reports.all(), "");
}

TEST_F(BlockingDetectorTest, HubsOfOtherThreadsAreWatched) {
  Reports reports;
  BlockingDetector detector(20ms, reports.taker());
  std::thread other([&] {
    auto blocker = fern::spawn({.name = "elsewhere"}, [&] { reports.wait_for(1); });
    blocker.join();
  });
  other.join();
  EXPECT_TRUE(says(reports.all(), "greenlet elsewhere (id ")) << reports.all();
}

TEST_F(BlockingDetectorTest, AFunctionPostedToTheHubIsNamedAsOne) {
  Reports reports;
  BlockingDetector detector(20ms, reports.taker());
  auto waiting = fern::spawn([&] {
    while (reports.count() == 0) fern::sleep(1ms);
  });
  fern::Hub::current().post([&] { reports.wait_for(1); });
  waiting.join();
  EXPECT_TRUE(says(reports.all(), "a callback on the hub's own stack has blocked"))
      << reports.all();
}

TEST_F(BlockingDetectorTest, DetectorsDoNotHoldBackALoopExit) {
  BlockingDetector detector(1h);
  fern::Event never;
  EXPECT_THROW(never.wait(), fern::LoopExit);
}

TEST_F(BlockingDetectorTest, ALimitOfNothingIsRefused) {
  EXPECT_THROW(BlockingDetector(0ms), std::invalid_argument);
}

TEST_F(BlockingDetectorTest, WorksInTheChildOfAForkToo) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  Reports parents;
  BlockingDetector parent(50ms, parents.taker());
  EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([] {
    Reports reports;
    BlockingDetector detector(20ms, reports.taker());
    auto blocks = fern::spawn([&] { reports.wait_for(1); });
    blocks.join();
    return reports.count() >= 1 ? 0 : 1;
  })));
}

}  // namespace
