// The protocol under every meeting point, on a bare counter of permits.
#include <fern/detail/wait_queue.hpp>
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <barrier>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;
using fern::detail::SpinLock;

namespace {

// The least that can be built on a WaitQueue.
struct Permits {
  SpinLock lock;
  fern::detail::WaitQueue queue;
  int count = 0;

  bool acquire(fern::Deadline deadline = {}) {
    std::lock_guard guard(lock);
    return queue.wait(lock, deadline, "Permits::acquire()", [this](bool) noexcept {
      if (count == 0) return false;
      --count;
      return true;
    });
  }

  // Without a permit: what it waits for is to be told.
  bool be_told(fern::Deadline deadline = {}) {
    std::lock_guard guard(lock);
    return queue.wait(lock, deadline, "Permits::be_told()",
                      [](bool told) noexcept { return told; });
  }

  void release(int more = 1) {
    std::lock_guard guard(lock);
    count += more;
    for (int i = 0; i < more; ++i) queue.notify_one();
  }

  bool notify_one() {
    std::lock_guard guard(lock);
    return queue.notify_one();
  }

  void notify_all() {
    std::lock_guard guard(lock);
    queue.notify_all();
  }

  std::size_t waiting() {
    std::lock_guard guard(lock);
    return queue.size();
  }
};

class WaitQueueTest : public FernTest {
 protected:
  ~WaitQueueTest() override {
    EXPECT_TRUE(permits.queue.empty());
    EXPECT_EQ(permits.lock.value(), 0u);
  }

  // A greenlet that takes a permit and says so.
  fern::AnyGreenlet taker(std::string name, fern::Deadline deadline = {}) {
    return fern::spawn(
        [this, name, deadline] { log += name + (permits.acquire(deadline) ? " " : "-late "); });
  }

  Permits permits;
  std::string log;
};

class WaitQueueThreads : public WaitQueueTest {
 protected:
  WaitQueueThreads() { may_keep_heap("hubs are kept"); }
};

}  // namespace

TEST_F(WaitQueueTest, AWaitThatFindsWhatItWantsDoesNotSwitch) {
  permits.release();
  auto before = fern::Hub::current().switches();
  EXPECT_TRUE(permits.acquire());
  EXPECT_FALSE(permits.acquire(0s));
  EXPECT_FALSE(permits.acquire(-1s));
  EXPECT_EQ(fern::Hub::current().switches(), before);
}

TEST_F(WaitQueueTest, WaitersAreServedInTheOrderInWhichTheyCame) {
  std::vector all{taker("a"), taker("b"), taker("c")};
  fern::yield();
  EXPECT_EQ(permits.waiting(), 3u);
  permits.release();
  fern::yield();
  EXPECT_EQ(log, "a ");
  permits.release(2);
  fern::joinall(all);
  EXPECT_EQ(log, "a b c ");
}

TEST_F(WaitQueueTest, NotifyOneReachesEachWaiterOnce) {
  EXPECT_FALSE(permits.notify_one());
  std::vector all{fern::spawn([&] { return permits.be_told(); }),
                  fern::spawn([&] { return permits.be_told(); })};
  fern::yield();
  EXPECT_TRUE(permits.notify_one());
  EXPECT_TRUE(permits.notify_one());
  EXPECT_FALSE(permits.notify_one());  // both are told already, though neither has run
  for (auto& greenlet : all) EXPECT_TRUE(greenlet.get());
}

TEST_F(WaitQueueTest, NotifyAllReachesThoseWhoWaitAndNobodyWhoComesLater) {
  std::vector all{fern::spawn([&] { return permits.be_told(); }),
                  fern::spawn([&] { return permits.be_told(); })};
  fern::yield();
  permits.notify_all();
  auto late = fern::spawn([&] { return permits.be_told(1ms); });
  for (auto& greenlet : all) EXPECT_TRUE(greenlet.get());
  EXPECT_FALSE(late.get());
}

TEST_F(WaitQueueTest, AWaiterForWhomNothingIsLeftKeepsItsPlace) {
  std::vector all{taker("first"), taker("second")};
  fern::yield();
  permits.release();
  EXPECT_TRUE(permits.acquire());  // before the first has its turn
  fern::yield();
  EXPECT_EQ(log, "");
  permits.release();
  fern::yield();
  EXPECT_EQ(log, "first ");
  permits.release();
  fern::joinall(all);
}

TEST_F(WaitQueueTest, AWaiterThatIsLateLeavesTheOthersInOrder) {
  std::vector all{taker("a"), taker("b", 1ms), taker("c")};
  fern::sleep(3ms);
  EXPECT_EQ(log, "b-late ");
  EXPECT_EQ(permits.waiting(), 2u);
  permits.release(2);
  fern::joinall(all);
  EXPECT_EQ(log, "b-late a c ");
}

TEST_F(WaitQueueTest, ANotifyThatFindsAWaiterLeavingGoesToTheNext) {
  std::vector all{taker("a"), taker("b"), taker("c")};
  fern::yield();
  // Killed, and not resumed yet: it takes nothing.
  all[0].kill({.block = false});
  permits.release();
  all[1].kill({.block = false});  // told first: it takes the permit, and dies at its next wait
  fern::joinall({all[0], all[1]});
  EXPECT_TRUE(all[0].killed());
  EXPECT_EQ(log, "b ");
  permits.release();
  all[2].join();
  EXPECT_EQ(permits.count, 0);
}

TEST_F(WaitQueueTest, WhoIsThrownAtHoldsTheLockAndIsOutOfTheQueue) {
  auto waiter = fern::spawn([&] {
    std::unique_lock guard(permits.lock);
    try {
      permits.queue.wait(permits.lock, {}, "here", [](bool) noexcept { return false; });
    } catch (const fern::GreenletExit&) {
      EXPECT_TRUE(permits.queue.empty());
      EXPECT_FALSE(permits.lock.try_lock());
      throw;
    }
  });
  fern::yield();
  waiter.kill();
  fern::Timeout timeout(1ms);
  EXPECT_THROW(permits.acquire(), fern::TimeoutError);
}

TEST_F(WaitQueueTest, TheHubsOwnStackMayTakeAndNotifyButNotWait) {
  auto waiter = taker("waiter");
  fern::yield();
  fern::Hub::current().post([&] {
    EXPECT_THROW(permits.acquire(), fern::BlockingInHub);
    permits.release(2);
    EXPECT_TRUE(permits.acquire());
  });
  waiter.join();
}

// --- threads ----------------------------------------------------------------------------------

TEST_F(WaitQueueThreads, APlainThreadWaitsAndNotifies) {
  std::thread waiter([&] { EXPECT_TRUE(permits.acquire()); });
  while (permits.waiting() == 0) std::this_thread::yield();
  permits.release();
  waiter.join();
  std::thread notifier([&] { permits.release(); });
  EXPECT_TRUE(permits.acquire());
  notifier.join();
}

TEST_F(WaitQueueThreads, AWaiterThatIsKilledWhileItIsToldFromAfarHandsThePermitOn) {
  auto first = taker("first");
  auto second = taker("second");
  fern::yield();
  // This hub does not look at its mailbox meanwhile.
  std::thread([&] { permits.release(); }).join();
  first.kill({.block = false});
  second.join();
  first.join();
  EXPECT_TRUE(first.killed());
  EXPECT_EQ(log, "second ");
}

TEST_F(WaitQueueThreads, AWaiterThatIsToldFromAfarWhileItLeavesStaysUntilTheMessageHasCome) {
  // Killed first, then told: the next one gets the permit, which may be of either thread.
  auto leaving = taker("leaving");
  auto staying = taker("staying");
  fern::yield();
  leaving.kill({.block = false});
  std::thread([&] { permits.release(); }).join();
  staying.join();
  leaving.join();
  EXPECT_EQ(log, "staying ");
  EXPECT_EQ(permits.count, 0);
}

TEST_F(WaitQueueThreads, APermitIsTakenByAWaiterThatWasLateWhenItWasTold) {
  auto late = taker("late", 1ms);
  auto other = taker("other");
  fern::yield();
  std::this_thread::sleep_for(3ms);
  // Both the deadline and the message are due at the hub's next look: the message comes first.
  std::thread([&] { permits.release(); }).join();
  late.join();
  EXPECT_EQ(log, "late ");
  permits.release();
  other.join();
}

TEST_F(WaitQueueThreads, NothingIsLostAmongWaitersThatAreKilledLateAndServed) {
  const int many = fern::testing::under_valgrind() ? 50 : 1000;
  std::atomic<int> taken{0};
  std::atomic<int> released{0};
  std::barrier step(3);
  auto release = [&](int more) {
    released += more;
    permits.release(more);
  };
  auto work = [&](int seed) {
    std::vector<fern::AnyGreenlet> all;
    step.arrive_and_wait();
    for (int i = 0; i < many; ++i) {
      std::chrono::microseconds soon((i * 7 + seed) % 40);
      all.push_back(fern::spawn([&, soon, i] {
        if (permits.acquire(i % 3 == 0 ? fern::Deadline(soon) : fern::Deadline())) ++taken;
      }));
      if (i % 5 == 4) fern::yield();
      if (i % 7 == 6) all[static_cast<std::size_t>(i - 3)].kill({.block = false});
      if (i % 3 == 0) release(1);
    }
    fern::yield();
    step.arrive_and_wait();
    step.arrive_and_wait();
    // One permit for each who waits has to be enough, whoever leaves without it.
    fern::joinall(all);
  };
  std::thread one([&] { work(1); });
  std::thread other([&] { work(2); });
  step.arrive_and_wait();
  step.arrive_and_wait();
  release(static_cast<int>(permits.waiting()));
  step.arrive_and_wait();
  one.join();
  other.join();
  EXPECT_EQ(taken + permits.count, released);
  EXPECT_GT(taken, 0);
}
