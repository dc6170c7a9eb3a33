#include "support.hpp"

#include <fern/async_result.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/semaphore.hpp>
#include <fern/wait.hpp>
#include <fern/waitable.hpp>

#include <chrono>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::AsyncResult;
using fern::Event;
using fern::Greenlet;
using fern::iwait;
using fern::Semaphore;
using fern::spawn;
using fern::Waitable;

class WaitableThreadsTest : public FernTest {
 protected:
  WaitableThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

TEST_F(WaitableThreadsTest, OtherThreadsMakeThemReady) {
  Event waiting;
  Event event;
  Semaphore semaphore(0);
  AsyncResult<int> result;
  std::jthread other([&] {
    waiting.wait();
    result.set(1);
    auto greenlet = spawn([&] { semaphore.release(); });
    greenlet.join();
    event.set();
  });
  auto begin = spawn([&] { waiting.set(); });
  EXPECT_EQ(fern::wait({event, semaphore, result}),
            (std::vector<Waitable>{result, semaphore, event}));
}

TEST_F(WaitableThreadsTest, GreenletsOfAnotherHubAreWaitedFor) {
  Event go;
  AsyncResult<std::vector<Greenlet<int>>> handles;
  std::jthread other([&] {
    std::vector<Greenlet<int>> all;
    for (int i = 0; i < 10; ++i) {
      all.push_back(spawn([&go, i] {
        go.wait();
        return i;
      }));
    }
    handles.set(all);
    fern::joinall(all);
  });
  auto all = handles.get();
  go.set();
  int sum = 0;
  for (auto& greenlet : iwait(all)) sum += greenlet.get();
  EXPECT_EQ(sum, 45);
}

// Abandoned while messages of another thread are under way.
TEST_F(WaitableThreadsTest, LeftHalfWayWhileAnotherThreadNotifies) {
  for (int round = 0; round < 300; ++round) {
    Event a;
    Event b;
    Semaphore semaphore(0);
    std::jthread other([&] {
      a.set();
      semaphore.release();
      b.set();
    });
    std::size_t count = 0;
    for ([[maybe_unused]] auto& thing : iwait({b, semaphore, a})) {
      if (++count > static_cast<std::size_t>(round % 3)) break;
    }
    // They may go only when the other thread has let go of them.
    other.join();
  }
}

}  // namespace
