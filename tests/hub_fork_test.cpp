// A child of fork has one thread and the greenlet that forked, and works on its own.
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "children.hpp"
#include "core/greenlet.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using fern::testing::in_child;
using fern::testing::succeeded;

namespace {

class Fork : public FernTest {
#ifdef FERN_TSAN
  void SetUp() override {
    GTEST_SKIP() << "in a child TSan forgets which greenlet waited for which";
  }
#endif
};

// In a child that is to end by exit(): the status counts, what the gone ones held does not.
void end_by_exit() {
  ::on_exit([](int status, void*) { fern::testing::end_child(status); }, nullptr);
}

}  // namespace

TEST_F(Fork, AChildSpawnsSleepsAndJoins) {
  EXPECT_TRUE(succeeded(in_child([] {
    std::string order;
    fern::Deadline sooner = 1ms;
    fern::Deadline later = 300ms;
    auto slow = fern::spawn([&] {
      fern::sleep(later);
      order += 'b';
    });
    auto fast = fern::spawn([&] {
      fern::sleep(sooner);
      order += 'a';
    });
    fern::joinall({slow, fast});
    return order == "ab" ? 0 : 1;
  })));
}

TEST_F(Fork, AChildOfAChildThatHasNotUsedFernFindsADeadEndToo) {
  fern::yield();
  EXPECT_TRUE(succeeded(in_child([] {
    return in_child([] {
      try {
        fern::sleep(fern::Deadline::never());
      } catch (const fern::LoopExit&) {
        return 0;
      }
      return 1;
    });
  })));
}

TEST_F(Fork, TheParentGoesOnUndisturbed) {
  int ticks = 0;
  auto ticker = fern::spawn([&] {
    for (; ticks < 5; ++ticks) fern::sleep(2ms);
  });
  fern::yield();
  int status = in_child([] {
    // Its own timers and mailbox, at the same time as the parent's.
    fern::sleep(3ms);
    bool posted = false;
    fern::Hub::current().post([&] { posted = true; });
    while (!posted) fern::sleep(1ms);
    return 0;
  });
  EXPECT_TRUE(succeeded(status));
  bool posted = false;
  std::thread poster([&, &hub = fern::Hub::current()] { hub.post([&] { posted = true; }); });
  ticker.join();
  poster.join();
  while (!posted) fern::sleep(1ms);
  EXPECT_EQ(ticks, 5);
}

TEST_F(Fork, TheOtherGreenletsAreGone) {
  bool stopped = false;
  auto waiting = fern::spawn([&] {
    while (!stopped) fern::sleep(1ms);
  });
  auto ready = fern::spawn([&] {
    while (!stopped) fern::yield();
  });
  auto delayed = fern::spawn_later(100ms, [] { return 1; });
  auto failed = fern::spawn([] { throw std::runtime_error("before"); });
  auto ended = fern::spawn([] { return 7; });
  auto unstarted = fern::spawn([] { return 8; });
  ended.join();
  EXPECT_TRUE(succeeded(in_child([&] {
    // Whatever is asked first has to know already.
    if (!waiting.join() || !waiting.killed()) return 1;
    if (!ready.kill() || !ready.killed()) return 2;
    fern::sleep(120ms);
    if (!delayed.killed() || delayed.value() != nullptr) return 3;
    if (ended.get() != 7 || ended.killed()) return 4;
    if (failed.exception() == nullptr || failed.killed()) return 5;
    return fern::Hub::current().greenlets() == 0 ? 0 : 6;
  })));
  EXPECT_EQ(unstarted.get(), 8);
  EXPECT_EQ(delayed.get(), 1);
  EXPECT_THROW(failed.get(), std::runtime_error);
  stopped = true;
  fern::joinall({waiting, ready});
}

TEST_F(Fork, JoiningAGoneGreenletFirstThingReturns) {
  auto sleeper = fern::spawn([] { fern::sleep(1h); });
  fern::yield();
  EXPECT_TRUE(succeeded(in_child([&] { return sleeper.join(5s) ? 0 : 1; })));
  EXPECT_TRUE(succeeded(
      in_child([&] { return fern::joinall({sleeper}, {.deadline = 5s}).size() == 1 ? 0 : 1; })));
  sleeper.kill();
}

TEST_F(Fork, YieldsAndTimeoutsWorkFirstThing) {
  auto busy = fern::spawn([] {
    for (;;) fern::yield();
  });
  fern::yield();
  EXPECT_TRUE(succeeded(in_child([] {
    for (int i = 0; i < 5000; ++i) fern::yield();
    return 0;
  })));
  fern::Timeout before(1h);
  EXPECT_TRUE(succeeded(in_child([&] {
    before.restart(1ms);
    try {
      fern::sleep(1h);
    } catch (const fern::TimeoutError& error) {
      return before.owns(error) ? 0 : 1;
    }
    return 2;
  })));
  EXPECT_TRUE(before.pending());
  busy.kill();
}

TEST_F(Fork, AChildForksAgain) {
  EXPECT_TRUE(succeeded(in_child([] {
    fern::sleep(1ms);
    return succeeded(in_child([] {
      fern::sleep(1ms);
      return 0;
    }))
               ? 0
               : 1;
  })));
}

TEST_F(Fork, AChildThatWaitsForNobodyGetsALoopExit) {
  fern::AnyGreenlet sleeper = fern::spawn([] { fern::sleep(1h); });
  fern::yield();
  EXPECT_TRUE(succeeded(in_child([] {
    try {
      fern::sleep(fern::Deadline::never());
    } catch (const fern::LoopExit&) {
      return 0;
    }
    return 1;
  })));
  sleeper.kill();
}

TEST_F(Fork, AChildOfAGreenletEndsWithThatGreenlet) {
  // Others of the parent sleep on; the child does not wait for their deadlines.
  auto sleeper = fern::spawn([] { fern::sleep(1h); });
  int status = -1;
  auto forker = fern::spawn([&] {
    pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      end_by_exit();
      fern::sleep(2ms);
      fern::spawn([] { fern::sleep(2ms); });
      return;
    }
    while (::waitpid(child, &status, WNOHANG) == 0) fern::sleep(1ms);
  });
  forker.join();
  EXPECT_TRUE(succeeded(status)) << status;
  sleeper.kill();
}

TEST_F(Fork, ThreadsOfTheParentAreGoneAndNewOnesWork) {
  may_keep_heap("hubs are kept");
  std::atomic<bool> stop{false};
  fern::AnyGreenlet theirs;
  std::atomic<bool> ready{false};
  std::thread other([&] {
    theirs = fern::spawn([&] {
      while (!stop) fern::sleep(1ms);
    });
    ready = true;
    theirs.join();
  });
  while (!ready) fern::sleep(1ms);
  EXPECT_TRUE(succeeded(in_child([] {
    int sum = 0;
    std::thread thread([&] { sum = fern::spawn([] { return 3; }).get(); });
    thread.join();
    if (sum != 3) return 1;
    try {
      fern::sleep(fern::Deadline::never());
    } catch (const fern::LoopExit&) {
      return 0;
    }
    return 2;
  })));
  stop = true;
  other.join();
  theirs = {};
}

TEST_F(Fork, AChildHasNoThreadToTellOfItsEnd) {
  may_keep_heap("hubs are kept");
  auto forker = fern::spawn([] {
    auto* block = fern::detail::Access::block(fern::current_greenlet());
    while ((block->life.load() & fern::core::life_watched) == 0) std::this_thread::yield();
    // In the child another descriptor may have the number by which the joiner's hub is woken.
    EXPECT_TRUE(succeeded(in_child([&] {
      bool told_of = (block->life.load() & fern::core::life_watched) != 0;
      return block->strangers == nullptr && !told_of ? 0 : 1;
    })));
  });
  std::thread joiner([forker] { EXPECT_TRUE(forker.join()); });
  forker.join();
  joiner.join();
}

TEST_F(Fork, InsideAPostedFunctionLeavesTheChildWithNothingToDo) {
  int status = -1;
  fern::Hub::current().post([&] {
    pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      end_by_exit();
      return;  // to the hub, which has nobody left
    }
    ::waitpid(child, &status, 0);
  });
  while (status == -1) fern::sleep(1ms);
  EXPECT_TRUE(succeeded(status)) << status;
}

TEST_F(Fork, AGreenletWithASmallStackMayForkAndGoOn) {
  may_keep_heap("the pool of such stacks");
  int status = -1;
  auto forker = fern::spawn(fern::SpawnOptions{.stack_size = 16 * 1024}, [&] {
    pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      fern::spawn([] { fern::sleep(1ms); }).join();
      fern::testing::end_child(0);
    }
    while (::waitpid(child, &status, WNOHANG) == 0) fern::sleep(1ms);
  });
  forker.join();
  EXPECT_TRUE(succeeded(status)) << status;
}
