#include "fern/coroutine.hpp"

#include <chrono>
#include <coroutine>
#include <string>
#include <thread>
#include <vector>

#include "children.hpp"
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
using fern::testing::Task;

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
