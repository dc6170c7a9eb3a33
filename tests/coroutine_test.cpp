#include "fern/coroutine.hpp"

#include <chrono>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "children.hpp"
#include "fern/async_result.hpp"
#include "fern/errors.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/timeout.hpp"
#include "support.hpp"

namespace {

using namespace std::chrono_literals;
using fern::AsyncResult;
using fern::spawn;

// A lazy task that owns its frame and resumes who awaits it, as users write them.
template <class T>
class Task {
 public:
  struct Promise;
  using promise_type = Promise;

  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  ~Task() {
    if (frame_) frame_.destroy();
  }

  auto operator co_await() & { return Awaiter<T&>{frame_}; }
  auto operator co_await() && { return Awaiter<T&&>{frame_}; }

 private:
  using Frame = std::coroutine_handle<Promise>;
  explicit Task(Frame frame) : frame_(frame) {}

  template <class Given>
  struct Awaiter {
    Frame frame;
    bool await_ready() const noexcept { return frame.done(); }
    auto await_suspend(std::coroutine_handle<> awaiting) noexcept {
      frame.promise().awaiting = awaiting;
      return frame;
    }
    Given await_resume() {
      if (frame.promise().error) std::rethrow_exception(frame.promise().error);
      return static_cast<Given>(*frame.promise().value);
    }
  };

  Frame frame_;
};

template <class T>
struct Task<T>::Promise {
  std::optional<T> value;
  std::exception_ptr error;
  std::coroutine_handle<> awaiting;

  Task get_return_object() { return Task(Frame::from_promise(*this)); }
  std::suspend_always initial_suspend() noexcept { return {}; }
  auto final_suspend() noexcept {
    struct Back {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(Frame frame) noexcept {
        return frame.promise().awaiting;
      }
      void await_resume() noexcept {}
    };
    return Back{};
  }
  template <class U>
  void return_value(U&& made) {
    value.emplace(std::forward<U>(made));
  }
  void unhandled_exception() { error = std::current_exception(); }
};

// One that starts at once and that nobody waits for.
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() { std::terminate(); }
  };
};

// One whose frame the test destroys.
struct Held {
  struct promise_type {
    Held get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() { throw; }
  };
  std::coroutine_handle<promise_type> frame;
};

class CoroutineTest : public FernTest {
 protected:
  std::string log;
};

// --- co_await in a coroutine ------------------------------------------------------------------

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

// --- await in a greenlet ----------------------------------------------------------------------

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

class CoroutineThreadsTest : public CoroutineTest {
 protected:
  CoroutineThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

// Moves the coroutine to a thread of its own.
struct NewThread {
  std::vector<std::jthread>& threads;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    threads.emplace_back([coroutine] { coroutine.resume(); });
  }
  std::thread::id await_resume() const noexcept { return std::this_thread::get_id(); }
};

TEST_F(CoroutineThreadsTest, AnAwaitableMayCompleteInAnotherThread) {
  for (int i = 0; i < 50; ++i) {
    std::vector<std::jthread> threads;
    auto work = [&]() -> Task<std::string> {
      co_await NewThread{threads};
      co_return std::string(50, 'a');
    };
    EXPECT_EQ(fern::await(work()).size(), 50U);
    auto task = work();  // an lvalue may go as soon as it has completed
    EXPECT_EQ(fern::await(task).size(), 50U);
  }
}

TEST_F(CoroutineThreadsTest, ItRunsOnInItsThreadAfterTheWaiterHasLeft) {
  for (int i = 0; i < 50; ++i) {
    std::vector<std::jthread> threads;
    auto work = [&]() -> Task<std::string> {
      co_await NewThread{threads};
      co_return std::string(50, 'a');
    };
    auto waiter = spawn([&] {
      try {
        fern::await(work(), 10us);
      } catch (const fern::TimeoutError&) {
      }
    });
    fern::yield();
    if (i % 2 == 0) waiter.kill();
    waiter.join();
  }
}

TEST_F(CoroutineThreadsTest, ComesBackToTheThreadInWhichItAwaited) {
  auto here = std::this_thread::get_id();
  AsyncResult<int> result;
  fern::Event done;
  auto work = [&](auto source) -> Detached {
    co_await source;
    EXPECT_EQ(std::this_thread::get_id(), here);
    done.set();
  };
  work(result);
  std::jthread setter([&] { result.set(1); });
  EXPECT_TRUE(done.wait(20s));
  setter.join();

  // A greenlet of another hub.
  done.clear();
  AsyncResult<fern::Greenlet<void>> strange;
  std::jthread other([&] {
    auto greenlet = spawn([] { fern::sleep(2ms); });
    strange.set(greenlet);
    greenlet.join();
  });
  work(strange.get());
  EXPECT_TRUE(done.wait(20s));
  other.join();
}

TEST_F(CoroutineThreadsTest, OneWhoseThreadHasEndedIsNotResumed) {
  AsyncResult<int> result;
  Held left;
  fern::testing::in_thread([&] {
    auto work = [](AsyncResult<int> result, std::string& log) -> Held {
      co_await result;
      log += "resumed";
    };
    left = work(result, log);
    fern::yield();
  });
  result.set(1);
  left.frame.destroy();
  fern::sleep(1ms);
  EXPECT_EQ(log, "");
}

}  // namespace
