#include "fern/thread_pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "children.hpp"
#include "fern/errors.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/timeout.hpp"
#include "fern/wait.hpp"
#include "support.hpp"

using fern::ThreadPool;
using namespace std::chrono_literals;

namespace {

class ThreadPoolTest : public FernTest {
 protected:
  ThreadPoolTest() { may_keep_heap("idle threads keep their pool"); }

  static void block(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }
};

TEST_F(ThreadPoolTest, ATimeoutWaitsForTheEndOfAnApplyToo) {
  ThreadPool pool(1);
  std::atomic<bool> ended{false};
  fern::Timeout timeout(1ms);
  EXPECT_EQ(pool.apply([&] {
    block(5ms);
    ended = true;
    return 3;
  }),
            3);
  EXPECT_TRUE(ended);
  EXPECT_THROW(fern::sleep(1h), fern::TimeoutError);
}

TEST_F(ThreadPoolTest, TheHubsOwnStackMayNotWaitForAThread) {
  ThreadPool pool(1);
  int refused = 0;
  std::vector<fern::AsyncResult<int>> spawned;
  fern::Hub::current().post([&] {
    try {
      fern::in_thread([] {});
    } catch (const fern::BlockingInHub&) {
      ++refused;
    }
    try {
      pool.apply([] {});
    } catch (const fern::BlockingInHub&) {
      ++refused;
    }
    spawned.push_back(pool.spawn([] { return 1; }));
  });
  fern::sleep(1ms);
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(spawned.at(0).get(), 1);
}

TEST_F(ThreadPoolTest, SpawnGivesAResultToWaitFor) {
  ThreadPool pool(2);
  auto sum = pool.spawn([](int a, int b) { return a + b; }, 1, 2);
  auto nothing = pool.spawn([] {});
  auto failure = pool.spawn([]() -> int { throw std::runtime_error("no"); });
  auto unique = pool.spawn([] { return std::make_unique<int>(4); });
  EXPECT_EQ(sum.get(), 3);
  nothing.get();
  EXPECT_THROW(failure.get(), std::runtime_error);
  EXPECT_EQ(*unique.get(), 4);
  EXPECT_TRUE(pool.waitall());
}

TEST_F(ThreadPoolTest, AnExceptionIsPrintedWhenTheLastHandleGoesUnread) {
  ThreadPool pool(1);
  auto fail = [](const char* what) { throw std::runtime_error(what); };
  testing::internal::CaptureStderr();
  pool.spawn(fail, "dropped");
  {
    auto held = pool.spawn(fail, "held");
    auto read = pool.spawn(fail, "read");
    auto looked_at = pool.spawn(fail, "looked at");
    EXPECT_TRUE(pool.waitall());
    EXPECT_THROW(read.get(), std::runtime_error);
    EXPECT_NE(looked_at.exception(), nullptr);
    std::string printed = testing::internal::GetCapturedStderr();
    EXPECT_EQ(printed, "fern: a call in a ThreadPool failed with std::runtime_error: dropped\n");
    testing::internal::CaptureStderr();
  }
  std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_EQ(printed, "fern: a call in a ThreadPool failed with std::runtime_error: held\n");
}

TEST_F(ThreadPoolTest, ALinkOfAResultIsCalledInTheThreadThatLinked) {
  ThreadPool pool(1);
  fern::Event linked;
  int value = 0;
  auto thread = std::this_thread::get_id();
  auto result = pool.spawn([] { return 6; });
  result.link([&](const fern::AsyncResult<int>& done) {
    EXPECT_EQ(std::this_thread::get_id(), thread);
    value = done.get();
    linked.set();
  });
  linked.wait();
  EXPECT_EQ(value, 6);
}

TEST_F(ThreadPoolTest, SpawnNeverWaitsHoweverLongTheQueue) {
  ThreadPool pool(1);
  std::mutex hold;
  hold.lock();
  pool.spawn([&] { std::lock_guard wait(hold); });
  auto switches = fern::Hub::current().switches();
  for (int i = 0; i < 1000; ++i) pool.spawn([] {});
  EXPECT_EQ(fern::Hub::current().switches(), switches);
  EXPECT_EQ(pool.pending(), 1001U);
  hold.unlock();
  EXPECT_TRUE(pool.waitall());
}

TEST_F(ThreadPoolTest, WhoWaitsForASpawnedCallMayBeKilledAndTheCallRunsOn) {
  ThreadPool pool(1);
  std::mutex hold;
  hold.lock();
  auto result = pool.spawn([&] {
    std::lock_guard wait(hold);
    return 2;
  });
  auto waiter = fern::spawn([&] { result.get(); });
  fern::yield();
  waiter.kill();
  EXPECT_TRUE(waiter.killed());
  EXPECT_FALSE(result.ready());
  hold.unlock();
  EXPECT_EQ(result.get(), 2);
}

TEST_F(ThreadPoolTest, RunsNoMoreAtOnceThanItsSize) {
  ThreadPool pool(3);
  std::atomic<int> now{0};
  std::atomic<int> most{0};
  for (int i = 0; i < 30; ++i) {
    pool.spawn([&] {
      int running = ++now;
      int before = most;
      while (before < running && !most.compare_exchange_weak(before, running)) {
      }
      block(1ms);
      --now;
    });
  }
  EXPECT_EQ(pool.size(), 3U);
  EXPECT_TRUE(pool.waitall());
  EXPECT_LE(most, 3);
  EXPECT_EQ(pool.pending(), 0U);
}

TEST_F(ThreadPoolTest, CallsBeginInTheOrderInWhichTheyCame) {
  ThreadPool pool(1);
  std::string order;
  for (char letter = 'a'; letter <= 'j'; ++letter) pool.spawn([&, letter] { order += letter; });
  pool.waitall();
  EXPECT_EQ(order, "abcdefghij");
}

TEST_F(ThreadPoolTest, WaitallGivesUpWhenTheDeadlinePasses) {
  ThreadPool pool(1);
  std::mutex hold;
  hold.lock();
  auto held = pool.spawn([&] { std::lock_guard wait(hold); });
  EXPECT_FALSE(pool.waitall(2ms));
  EXPECT_EQ(pool.pending(), 1U);
  hold.unlock();
  EXPECT_TRUE(pool.waitall());
  EXPECT_TRUE(held.ready());
}

TEST_F(ThreadPoolTest, TakesNoMoreWorkOnceShutDown) {
  ThreadPool pool(1);
  auto last = pool.spawn([] {
    block(2ms);
    return 1;
  });
  EXPECT_TRUE(pool.shutdown());
  EXPECT_EQ(*last.value(), 1);
  EXPECT_THROW(pool.spawn([] {}), std::logic_error);
  EXPECT_THROW(pool.apply([] {}), std::logic_error);
  EXPECT_TRUE(pool.shutdown());
}

TEST_F(ThreadPoolTest, ShutdownThatDoesNotWaitLetsTheRestRun) {
  ThreadPool pool(1);
  std::mutex hold;
  hold.lock();
  pool.spawn([&] { std::lock_guard wait(hold); });
  auto queued = pool.spawn([] { return 1; });
  EXPECT_FALSE(pool.shutdown(0s));
  EXPECT_THROW(pool.spawn([] {}), std::logic_error);
  hold.unlock();
  EXPECT_EQ(queued.get(), 1);
  EXPECT_TRUE(pool.shutdown());
}

TEST_F(ThreadPoolTest, ACallThatAppliesAnotherDoesItItself) {
  ThreadPool pool(1);
  ThreadPool other(1);
  auto same_thread = [](auto apply) {
    return [apply] {
      auto outer = std::this_thread::get_id();
      return apply([outer] { return std::this_thread::get_id() == outer; });
    };
  };
  EXPECT_TRUE(pool.apply(same_thread([&](auto f) { return pool.apply(f); })));
  EXPECT_TRUE(fern::in_thread(same_thread([](auto f) { return fern::in_thread(f); })));
  EXPECT_THROW(pool.apply([&] { pool.apply([] { throw std::out_of_range("inner"); }); }),
               std::out_of_range);
}

TEST_F(ThreadPoolTest, ACallThatWaitsForItsOwnPoolGetsAnError) {
  ThreadPool pool(1);
  EXPECT_THROW(pool.apply([&] { pool.waitall(); }), fern::GreenletError);
  EXPECT_THROW(pool.apply([&] { pool.shutdown(); }), fern::GreenletError);
  EXPECT_FALSE(pool.apply([&] { return pool.waitall(0s); }));
  EXPECT_FALSE(pool.apply([&] { return pool.shutdown(0s); }));
  EXPECT_THROW(pool.apply([] {}), std::logic_error);
}

TEST_F(ThreadPoolTest, SeveralHubsShareAPool) {
  ThreadPool pool(3);
  std::vector<int> sums(4);
  auto use = [&](int& sum) {
    std::vector<fern::Greenlet<int>> calls;
    for (int i = 0; i < 50; ++i) {
      calls.push_back(fern::spawn([&, i] { return pool.apply([i] { return i; }); }));
    }
    for (auto& call : calls) sum += call.get();
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < sums.size(); ++i) threads.emplace_back([&, i] { use(sums[i]); });
  use(sums[0]);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(sums, (std::vector{1225, 1225, 1225, 1225}));
}

TEST_F(ThreadPoolTest, AResultOfOneHubIsGotInAnother) {
  ThreadPool pool(1);
  std::mutex hold;
  hold.lock();
  auto result = pool.spawn([&] {
    std::lock_guard wait(hold);
    return 4;
  });
  int got = 0;
  std::thread other([&] { got = result.get(); });
  hold.unlock();
  other.join();
  EXPECT_EQ(got, 4);
}

TEST_F(ThreadPoolTest, WhatWasGivenToItRunsAfterItIsGone) {
  auto result = [] {
    ThreadPool pool(1);
    pool.spawn([] { block(2ms); });
    return pool.spawn([] { return 7; });
  }();
  EXPECT_EQ(result.get(), 7);
}

TEST_F(ThreadPoolTest, AGreenletOfACallsOwnAppliesInAnotherThread) {
  if (!fern::testing::ends_of_threads_are_seen)
    GTEST_SKIP() << "TSan does not see the thread's end";
  ThreadPool pool(2);
  pid_t task = 0;
  EXPECT_TRUE(pool.apply([&] {
    task = ::gettid();
    return fern::spawn([&] { return pool.apply([] { return ::gettid(); }); }).get() != task;
  }));
  fern::testing::wait_for_the_end_of(task);
}

TEST_F(ThreadPoolTest, AJobUnderWayIsNoDeadEnd) {
  ThreadPool pool(1);
  fern::Event event;
  // Nothing but the job could ever wake us.
  auto job = pool.spawn([&] {
    block(5ms);
    event.set();
  });
  event.wait();
  job.get();
}

TEST_F(ThreadPoolTest, WhoWaitsForEverythingWaitsForJobs) {
  ThreadPool pool(1);
  bool done = false;
  auto job = pool.spawn([&] { block(5ms); });
  fern::spawn_raw([&] {
    job.get();
    fern::in_thread([] { block(1ms); });
    done = true;
  });
  EXPECT_FALSE(fern::wait(100us));
  EXPECT_TRUE(fern::wait());
  EXPECT_TRUE(done);
}

TEST_F(ThreadPoolTest, WhenAllThreadsAreIdleADeadEndIsFound) {
  ThreadPool pool(2);
  EXPECT_EQ(pool.apply([] { return 1; }), 1);
  EXPECT_EQ(fern::in_thread([] { return 1; }), 1);
  fern::Event never;
  EXPECT_THROW(never.wait(), fern::LoopExit);
}

TEST_F(ThreadPoolTest, AForkedChildMakesThreadsOfItsOwn) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  ThreadPool pool(1);
  std::mutex hold;
  hold.lock();
  auto held = pool.spawn([&] { std::lock_guard wait(hold); });
  EXPECT_EQ(fern::in_thread([] { return 1; }), 1);
  EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([&] {
    if (fern::in_thread([] { return 2; }) != 2) return 1;
    return pool.spawn([] { return 3; }).get() == 3 ? 0 : 2;
  })));
  hold.unlock();
  held.get();
}

TEST_F(ThreadPoolTest, ASizeThatIsNotPositiveIsRefused) {
  EXPECT_THROW(ThreadPool(0), std::invalid_argument);
  EXPECT_THROW(ThreadPool(-1), std::invalid_argument);
}

}  // namespace
