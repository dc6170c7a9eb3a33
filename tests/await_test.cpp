#include "fern/coroutine.hpp"

#include <chrono>
#include <coroutine>
#include <memory>
#include <string>
#include <type_traits>

#include "coroutines.hpp"
#include "fern/async_result.hpp"
#include "fern/errors.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/timeout.hpp"

namespace {

using namespace std::chrono_literals;
using fern::AsyncResult;
using fern::spawn;
using fern::testing::CoroutineTest;
using fern::testing::Task;

TEST_F(CoroutineTest, AGreenletAwaitsATaskForItsResult) {
  auto add = [](int a, int b) -> Task<int> {
    int sum = a + co_await spawn([b] { return b; });
    co_return sum;
  };
  EXPECT_EQ(fern::await(add(3, 4)), 7);
}

TEST_F(CoroutineTest, WhatNeverSuspendsCostsNoSwitch) {
  auto switches = fern::Hub::current().switches();
  auto ready = []() -> Task<int> { co_return 1; };
  EXPECT_EQ(fern::await(ready()), 1);
  fern::await(std::suspend_never());
  EXPECT_EQ(fern::Hub::current().switches(), switches);
}

TEST_F(CoroutineTest, AwaitKnowsEveryKindOfResult) {
  static_assert(std::is_void_v<decltype(fern::await(std::suspend_never()))>);
  static_assert(std::is_same_v<decltype(fern::await(std::declval<Task<int>>())), int>);
  static_assert(std::is_same_v<decltype(fern::await(std::declval<Task<int>&>())), int&>);
  static_assert(std::is_same_v<decltype(fern::await(spawn([] { return 'c'; }))), char>);

  auto owned = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(6); };
  std::unique_ptr<int> moved = fern::await(owned());
  EXPECT_EQ(*moved, 6);
  auto task = owned();
  std::unique_ptr<int>& inside = fern::await(task);
  EXPECT_EQ(*inside, 6);
  EXPECT_EQ(&fern::await(task), &inside);

  AsyncResult<int> result;
  result.set(5);
  EXPECT_EQ(&fern::await(result), result.value());
}

TEST_F(CoroutineTest, AwaitThrowsWhatTheCoroutineThrows) {
  auto failing = [](bool suspend) -> Task<int> {
    if (suspend) co_await spawn([] {});
    throw std::length_error("too long");
  };
  EXPECT_THROW(fern::await(failing(false)), std::length_error);
  EXPECT_THROW(fern::await(failing(true)), std::length_error);
}

TEST_F(CoroutineTest, TasksMayNestDeeplyInBothDirections) {
  auto deep = [](auto& self, int depth) -> Task<int> {
    if (depth == 0) co_return 0;
    if (depth % 10 == 0) {
      auto greenlet = spawn([&, depth] { return fern::await(self(self, depth - 1)); });
      co_return 1 + co_await greenlet;
    }
    co_return 1 + co_await self(self, depth - 1);
  };
  EXPECT_EQ(fern::await(deep(deep, 100)), 100);
}

// What an event source hands its coroutine over by: kept until somebody resumes it.
struct Parked {
  std::coroutine_handle<>& place;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) noexcept { place = coroutine; }
  void await_resume() const noexcept {}
};

TEST_F(CoroutineTest, AfterTheDeadlineTheAwaitableRunsOnAlone) {
  std::coroutine_handle<> parked;
  auto held = std::make_shared<int>(1);
  auto work = [&, held](auto& parked) -> Task<std::string> {
    auto mine = held;
    co_await Parked{parked};
    log += "ran on";
    co_return std::string(100, 'x');
  };
  auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(fern::await(work(parked), 3ms), fern::TimeoutError);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 3ms);
  EXPECT_EQ(held.use_count(), 3);  // the closure's and the frame's: nothing was torn away
  parked.resume();
  EXPECT_EQ(log, "ran on");
  EXPECT_EQ(held.use_count(), 2);
}

TEST_F(CoroutineTest, AfterAKillTheAwaitableRunsOnAlone) {
  std::coroutine_handle<> parked;
  auto work = [&]() -> Task<int> {
    co_await Parked{parked};
    log += "ran on";
    co_return 1;
  };
  auto waiter = spawn([&] { fern::await(work()); });
  fern::yield();
  waiter.kill();
  EXPECT_TRUE(waiter.killed());
  parked.resume();
  EXPECT_EQ(log, "ran on");
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] { fern::await(Parked{parked}); }));
  parked.resume();
}

// Before it suspends it is part of the greenlet.
TEST_F(CoroutineTest, AKillBeforeTheFirstSuspensionUnwindsTheCoroutine) {
  auto work = [&]() -> Task<int> {
    struct Unwound {
      std::string& log;
      ~Unwound() { log += "unwound"; }
    } unwound{log};
    fern::sleep(1h);
    co_return 1;
  };
  auto waiter = spawn([&] { fern::await(work()); });
  fern::yield();
  waiter.kill();
  EXPECT_TRUE(waiter.killed());
  EXPECT_EQ(log, "unwound");
}

TEST_F(CoroutineTest, TheHubMayNotWait) {
  std::coroutine_handle<> parked;
  fern::Event tried;
  fern::Hub::current().post([&] {
    EXPECT_THROW(fern::await(Parked{parked}), fern::BlockingInHub);
    tried.set();
  });
  tried.wait();
  parked.resume();
}

TEST_F(CoroutineTest, WhatNobodyWillResumeIsADeadlock) {
  std::coroutine_handle<> parked;
  EXPECT_THROW(fern::await(Parked{parked}), fern::LoopExit);
  parked.resume();
}

}  // namespace
