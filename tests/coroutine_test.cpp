#include "fern/coroutine.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

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
using fern::testing::Detached;
using fern::testing::Held;

TEST_F(CoroutineTest, AwaitsAGreenletForItsResult) {
  auto work = [this](int a) -> Detached {
    int b = co_await spawn([](int x) { return x + 1; }, a);
    log += std::to_string(b);
  };
  work(4);
  EXPECT_EQ(log, "");
  fern::yield();
  fern::yield();
  fern::yield();
  EXPECT_EQ(log, "5");
}

TEST_F(CoroutineTest, GetsByReferenceFromAHandleAndByValueFromATemporary) {
  auto greenlet = spawn([] { return std::make_unique<int>(1); });
  AsyncResult<std::string> result;
  fern::Event done;
  auto work = [&]() -> Detached {
    std::unique_ptr<int>& shared = co_await greenlet;
    EXPECT_EQ(&shared, greenlet.value());
    std::unique_ptr<int> own = co_await spawn([] { return std::make_unique<int>(2); });
    EXPECT_EQ(*own, 2);
    EXPECT_EQ(&(co_await result), result.value());
    std::string moved = co_await std::move(result);
    EXPECT_EQ(moved, "set");
    done.set();
  };
  work();
  fern::sleep(1ms);
  result.set("set");
  EXPECT_TRUE(done.wait(20s));
}

TEST_F(CoroutineTest, WhatHasEndedDoesNotSuspendIt) {
  auto greenlet = spawn([] {});
  AsyncResult<void> result;
  greenlet.join();
  result.set();
  auto switches = fern::Hub::current().switches();
  auto work = [&]() -> Detached {
    co_await greenlet;
    co_await result;
    log += "through";
  };
  work();
  EXPECT_EQ(log, "through");
  EXPECT_EQ(fern::Hub::current().switches(), switches);
}

TEST_F(CoroutineTest, GoesOnInAGreenletThatMayBlock) {
  fern::Event done;
  auto main = fern::current_greenlet();
  auto work = [&]() -> Detached {
    co_await spawn([] {});
    EXPECT_NE(fern::current_greenlet(), main);
    fern::sleep(1ms);
    fern::AnyGreenlet any = spawn([] {});
    co_await any;
    fern::sleep(1ms);
    done.set();
  };
  work();
  EXPECT_TRUE(done.wait(20s));
}

TEST_F(CoroutineTest, ExceptionsAndKillsAreThrownByCoAwait) {
  fern::Event done;
  auto killed = spawn(fern::SpawnOptions{.name = "victim"}, [] { fern::sleep(1h); });
  auto work = [&]() -> Detached {
    try {
      co_await spawn([] { throw std::out_of_range("thrown"); });
    } catch (const std::out_of_range& error) {
      log += error.what();
    }
    try {
      co_await killed;
    } catch (const fern::GreenletKilled&) {
      log += " killed";
    }
    try {
      co_await fern::Greenlet<int>();
    } catch (const fern::GreenletError&) {
      log += " empty";
    }
    done.set();
  };
  work();
  fern::sleep(1ms);
  killed.kill();
  EXPECT_TRUE(done.wait(20s));
  EXPECT_EQ(log, "thrown killed empty");
}

TEST_F(CoroutineTest, ManyMayAwaitTheSame) {
  AsyncResult<int> result;
  int sum = 0;
  auto work = [&]() -> Detached { sum += co_await result; };
  for (int i = 0; i < 10; ++i) work();
  fern::yield();
  result.set(3);
  while (sum < 30) fern::yield();
  EXPECT_EQ(sum, 30);
}

TEST_F(CoroutineTest, AnExceptionThatLeavesItIsPrinted) {
  ::testing::internal::CaptureStderr();
  auto work = []() -> Held {
    co_await spawn([] {});
    throw std::runtime_error("left the coroutine");
  };
  Held failing = work();
  fern::sleep(1ms);
  failing.frame.destroy();
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("left the coroutine"), std::string::npos);
}

TEST_F(CoroutineTest, OneThatIsDestroyedIsNotResumed) {
  AsyncResult<int> never;
  auto work = [&](auto source) -> Held {
    co_await source;
    log += "resumed";
  };
  Held waiting = work(never);
  fern::yield();
  waiting.frame.destroy();  // the greenlet that waited for it ends as well

  // The result is there, but the coroutine has not had its turn.
  AsyncResult<int> result;
  Held ready = work(result);
  fern::yield();
  result.set(1);
  ready.frame.destroy();

  // It has not even begun to wait.
  Held fresh = work(never);
  fresh.frame.destroy();
  fern::sleep(1ms);
  EXPECT_EQ(log, "");
}

}  // namespace
