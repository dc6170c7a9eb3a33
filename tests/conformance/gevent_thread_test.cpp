#include "../support.hpp"
#include "journal.hpp"

#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/local.hpp>
#include <fern/signal.hpp>
#include <fern/thread_pool.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <latch>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Event;
using fern::spawn;
using fern::ThreadPool;
using fern::yield;

class GeventThread : public FernTest {
 protected:
  GeventThread() { may_keep_heap("threads and their hubs are kept for later"); }
};

// V65
TEST_F(GeventThread, GreenletsRunWhileAThreadWorks) {
  Journal log;
  ThreadPool pool(2);
  auto other = spawn([&] { log("loop alive"); });
  log(pool.apply([] {
    std::this_thread::sleep_for(1ms);
    return 5;
  }));
  other.join();
  EXPECT_EQ(log.lines(), (Lines{"loop alive", "5"}));
  pool.shutdown();
}

// V65
TEST_F(GeventThread, MapIsInOrderOfInputAndImapUnorderedInThatOfCompletion) {
  ThreadPool pool(2);
  EXPECT_EQ(pool.map([](int n) { return 2 * n; }, std::vector{0, 1, 2, 3}),
            (std::vector{0, 2, 4, 6}));
  std::latch second_ended(1);
  std::vector<int> seen;
  for (int& n : pool.imap_unordered(
           [&](int n) {
             if (n == 1) second_ended.wait();
             return n;
           },
           std::vector{1, 2})) {
    if (n == 2) second_ended.count_down();
    seen.push_back(n);
  }
  EXPECT_EQ(seen, (std::vector{2, 1}));
  pool.shutdown();
}

// V65: an exception that the caller reads is not printed besides.
TEST_F(GeventThread, WhatFailsInAThreadIsThrownWhereItIsAskedFor) {
  ThreadPool pool(2);
  testing::internal::CaptureStderr();
  EXPECT_THROW(pool.spawn([]() -> int { throw std::range_error("x"); }).get(), std::range_error);
  EXPECT_THROW(pool.apply([]() -> int { throw std::range_error("x"); }), std::range_error);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  pool.shutdown();
}

// V65, W06: spawn() never waits; at most so many run as the pool is large.
TEST_F(GeventThread, MoreTasksThanThreadsWaitForTheirTurn) {
  ThreadPool pool(2);
  std::latch gate(1);  // the threads shall have no hubs
  Event two_run;
  std::atomic<int> begun{0};
  auto task = [&] {
    if (++begun == 2) two_run.set();
    gate.wait();
    return begun.load();
  };
  std::vector<fern::AsyncResult<int>> results;
  for (int i = 0; i < 3; ++i) results.push_back(pool.spawn(task));
  EXPECT_EQ(pool.pending(), 3u);
  two_run.wait();
  EXPECT_EQ(begun.load(), 2);
  gate.count_down();
  EXPECT_EQ(results[2].get(), 3);
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(pool.pending(), 0u);
  EXPECT_TRUE(pool.shutdown());
}

// V75
TEST_F(GeventThread, AWorkerMaySetWhatAGreenletWaitsFor) {
  ThreadPool pool(1);
  Event event;
  pool.spawn([&] { event.set(); });
  EXPECT_TRUE(event.wait());
  pool.shutdown();
}

// V66: the main greenlet's value, too, is made when it is first asked for.
TEST_F(GeventThread, EachGreenletHasALocalOfItsOwnMadeFromTheSameArguments) {
  Journal log;
  struct Local {
    Local(Journal* log, int x) : log(log), x(x) { (*log)("init ", x); }
    ~Local() { (*log)("gone ", x); }
    Journal* log;
    int x;
  };
  {
    fern::GreenletLocal<Local> local(&log, 5);
    EXPECT_EQ(local->x, 5);
    spawn([&] {
      log(local->x);
      local->x = 9;
      log(local->x);
    }).join();
    log(local->x);
  }
  EXPECT_EQ(log.lines(), (Lines{"init 5", "init 5", "5", "9", "gone 9", "5", "gone 5"}));
}

// W17
TEST_F(GeventThread, ASignalsFunctionRunsInAGreenletAndMayWait) {
  Journal log;
  Event done;
  auto mains = fern::current_greenlet();
  auto handler = fern::on_signal(SIGUSR1, [&] {
    log("handler, in a greenlet of its own ", fern::current_greenlet() != mains);
    fern::sleep(1ms);
    log("waited");
    done.set();
  });
  std::raise(SIGUSR1);
  log("sent");
  done.wait();
  EXPECT_EQ(log.lines(), (Lines{"sent", "handler, in a greenlet of its own true", "waited"}));
}

}  // namespace
