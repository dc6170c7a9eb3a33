#include <fern/greenlet.hpp>
#include <fern/thread_pool.hpp>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "children.hpp"
#include "support.hpp"

using namespace std::chrono_literals;

namespace {

class InThreadTest : public FernTest {
 protected:
  InThreadTest() { may_keep_heap("idle threads keep their pool"); }

  static void block(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }
};

TEST_F(InThreadTest, InThreadRunsInAnotherThreadWhileGreenletsRun) {
  int ticks = 0;
  bool done = false;
  auto ticker = fern::spawn([&] {
    while (!done) {
      fern::sleep(1ms);
      ++ticks;
    }
  });
  auto id = fern::in_thread([] {
    block(20ms);
    return std::this_thread::get_id();
  });
  EXPECT_NE(id, std::this_thread::get_id());
  EXPECT_GT(ticks, 1);
  done = true;
  ticker.join();
}

TEST_F(InThreadTest, InThreadGivesWhatTheFunctionReturnsOrThrows) {
  EXPECT_EQ(fern::in_thread([](int a, int b) { return a * b; }, 6, 7), 42);
  auto unique = fern::in_thread([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(5));
  EXPECT_EQ(*unique, 5);
  int local = 0;
  fern::in_thread([&] { local = 1; });
  EXPECT_EQ(local, 1);
  EXPECT_THROW(fern::in_thread([] { throw std::out_of_range("far"); }), std::out_of_range);
}

TEST_F(InThreadTest, ManyInThreadsAtOnceShareTheThreads) {
  std::vector<fern::Greenlet<int>> calls;
  for (int i = 0; i < 500; ++i) {
    calls.push_back(fern::spawn([i] { return fern::in_thread([i] { return i; }); }));
  }
  int sum = 0;
  for (auto& call : calls) sum += call.get();
  EXPECT_EQ(sum, 499 * 250);
}

TEST_F(InThreadTest, AKillWaitsForTheEndOfAnInThreadAndComesAtTheNextWait) {
  std::atomic<bool> ended{false};
  std::string log;
  auto caller = fern::spawn([&] {
    fern::in_thread([&] {
      block(10ms);
      ended = true;
    });
    log += ended ? "after the end " : "too early ";
    fern::sleep(1h);
    log += "never";
  });
  fern::sleep(1ms);
  caller.kill();
  EXPECT_TRUE(caller.killed());
  EXPECT_EQ(log, "after the end ");
}

TEST_F(InThreadTest, ThreadsHaveSignalsBlocked) {
  EXPECT_EQ(fern::in_thread([] {
              sigset_t blocked;
              ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
              return std::string(1, static_cast<char>('0' + ::sigismember(&blocked, SIGINT))) +
                     static_cast<char>('0' + ::sigismember(&blocked, SIGSEGV));
            }),
            "10");
}

TEST_F(InThreadTest, AThreadMayUseFernItself) {
  if (!fern::testing::ends_of_threads_are_seen)
    GTEST_SKIP() << "TSan does not see the thread's end";
  pid_t task = 0;
  EXPECT_EQ(fern::in_thread([&] {
              task = ::gettid();
              auto child = fern::spawn([] {
                fern::sleep(1ms);
                return 5;
              });
              return child.get();
            }),
            5);
  fern::testing::wait_for_the_end_of(task);
}

}  // namespace
