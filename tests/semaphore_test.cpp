#include "support.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/semaphore.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::BoundedSemaphore;
using fern::Greenlet;
using fern::Semaphore;
using fern::spawn;

using Log = std::vector<std::string>;

class SemaphoreTest : public FernTest {};

TEST_F(SemaphoreTest, CountsPermits) {
  Semaphore semaphore(2);
  EXPECT_EQ(semaphore.counter(), 2);
  EXPECT_TRUE(semaphore.acquire());
  EXPECT_FALSE(semaphore.locked());
  EXPECT_TRUE(semaphore.try_acquire());
  EXPECT_TRUE(semaphore.locked());
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_EQ(semaphore.release(), 1);
  EXPECT_EQ(semaphore.release(3), 4);
  EXPECT_EQ(semaphore.release(0), 4);
  EXPECT_EQ(Semaphore().counter(), 1);
}

TEST_F(SemaphoreTest, RefusesNumbersThatAreNegativeOrTooLarge) {
  EXPECT_THROW(Semaphore(-1), std::invalid_argument);
  EXPECT_THROW(BoundedSemaphore(-1), std::invalid_argument);
  Semaphore semaphore(0);
  EXPECT_THROW(semaphore.release(-1), std::invalid_argument);
  EXPECT_THROW(semaphore.release(PTRDIFF_MAX), std::logic_error);
  EXPECT_EQ(semaphore.counter(), 0);
}

TEST_F(SemaphoreTest, AnAcquireThatNeedNotWaitDoesNotSwitch) {
  Semaphore semaphore(2);
  bool ran = false;
  auto other = spawn([&] { ran = true; });
  semaphore.acquire();
  semaphore.acquire(0s);
  EXPECT_FALSE(semaphore.acquire(0s));
  EXPECT_FALSE(semaphore.acquire(-1s));
  semaphore.release();
  EXPECT_FALSE(ran);
  other.join();
}

TEST_F(SemaphoreTest, AnAcquireThatIsLateReturnsFalseNotBeforeItsTime) {
  Semaphore semaphore(0);
  auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(semaphore.acquire(10ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
  EXPECT_EQ(semaphore.counter(), 0);
  EXPECT_EQ(semaphore.release(), 1);
}

// gevent: waiters get permits first come first; the one that finds none is late.
TEST_F(SemaphoreTest, WaitersAreServedInTheOrderInWhichTheyCame) {
  Semaphore semaphore(0);
  Log log;
  std::vector<Greenlet<void>> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.push_back(spawn([&, i] {
      bool got = semaphore.acquire(20ms);
      log.push_back(std::to_string(i) + (got ? " got" : " late"));
    }));
  }
  fern::yield();
  for (int i = 0; i < 3; ++i) semaphore.release();
  fern::yield();
  EXPECT_EQ(log, (Log{"0 got", "1 got", "2 got"}));
  fern::joinall(waiters);
  EXPECT_EQ(log.back(), "3 late");
  EXPECT_EQ(semaphore.counter(), 0);
}

TEST_F(SemaphoreTest, OneReleaseOfManyWakesAsManyInOrder) {
  Semaphore semaphore(0);
  Log log;
  std::vector<Greenlet<void>> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.push_back(spawn([&, i] {
      semaphore.acquire();
      log.push_back(std::to_string(i));
    }));
  }
  fern::yield();
  EXPECT_EQ(semaphore.release(3), 3);
  fern::yield();
  EXPECT_EQ(log, (Log{"0", "1", "2"}));
  EXPECT_EQ(semaphore.counter(), 0);
  semaphore.release();
  fern::joinall(waiters);
}

// gevent: release hands nothing over, so the running greenlet may take the permit back; the
// waiters keep their places.
TEST_F(SemaphoreTest, ARunningGreenletMayBargeInAndWaitersKeepTheirPlace) {
  Semaphore semaphore(1);
  semaphore.acquire();
  Log log;
  std::vector<Greenlet<void>> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.push_back(spawn([&, i] {
      semaphore.acquire();
      log.push_back("got " + std::to_string(i));
      semaphore.release();
    }));
  }
  fern::yield();
  EXPECT_EQ(semaphore.release(), 1);
  EXPECT_TRUE(semaphore.try_acquire());
  fern::yield();
  EXPECT_TRUE(log.empty());
  semaphore.release();
  fern::joinall(waiters);
  EXPECT_EQ(log, (Log{"got 0", "got 1", "got 2"}));
}

// gevent: whoever releases and acquires again without waiting keeps the others out. (eventlet,
// which lets nobody overtake, gives abcabcabc.)
TEST_F(SemaphoreTest, AGreenletThatReacquiresAtOnceKeepsThePermit) {
  Semaphore semaphore(1);
  std::string log;
  std::vector<Greenlet<void>> all;
  for (char name : {'a', 'b', 'c'}) {
    all.push_back(spawn([&, name] {
      for (int i = 0; i < 3; ++i) {
        std::lock_guard permit(semaphore);
        log += name;
        fern::yield();
      }
    }));
  }
  fern::joinall(all);
  EXPECT_EQ(log, "aaabbbccc");
}

// gevent: the deadline has passed but nobody has looked at the clock yet.
TEST_F(SemaphoreTest, ReleaseWinsOverADeadlineThatIsDueTogetherWithIt) {
  Semaphore semaphore(0);
  auto waiter = spawn([&] { return semaphore.acquire(1ms); });
  fern::yield();
  std::this_thread::sleep_for(3ms);
  semaphore.release();
  EXPECT_TRUE(waiter.get());
  EXPECT_EQ(semaphore.counter(), 0);
}

TEST_F(SemaphoreTest, ABoundedSemaphoreRefusesOneReleaseTooMany) {
  BoundedSemaphore semaphore(2);
  EXPECT_THROW(semaphore.release(), std::logic_error);
  EXPECT_EQ(semaphore.counter(), 2);
  semaphore.acquire();
  EXPECT_THROW(semaphore.release(2), std::logic_error);
  EXPECT_EQ(semaphore.counter(), 1);
  EXPECT_EQ(semaphore.release(), 2);
  Semaphore& base = semaphore;
  EXPECT_THROW(base.release(), std::logic_error);
}

TEST_F(SemaphoreTest, StdLocksHoldAPermit) {
  Semaphore semaphore(1);
  {
    std::unique_lock permit(semaphore);
    EXPECT_TRUE(semaphore.locked());
    std::unique_lock second(semaphore, std::try_to_lock);
    EXPECT_FALSE(second.owns_lock());
  }
  EXPECT_EQ(semaphore.counter(), 1);
}

// gevent: a Timeout that ends the block gives the permit back.
TEST_F(SemaphoreTest, ATimeoutInsideAGuardedBlockGivesThePermitBack) {
  Semaphore semaphore(1);
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] {
    std::lock_guard permit(semaphore);
    fern::sleep(10s);
  }));
  EXPECT_EQ(semaphore.counter(), 1);
}

// gevent: killed after it was woken, the waiter gets the permit; nothing is lost.
TEST_F(SemaphoreTest, AWaiterKilledAfterItsReleaseGotThePermit) {
  Semaphore semaphore(0);
  Log log;
  auto wait = [&](std::string name) {
    return spawn([&log, &semaphore, name] {
      try {
        semaphore.acquire();
        log.push_back("got " + name);
      } catch (const fern::GreenletExit&) {
        log.push_back("killed " + name);
        throw;
      }
    });
  };
  auto a = wait("a");
  auto b = wait("b");
  fern::yield();
  semaphore.release();
  a.kill({.block = false});
  fern::yield();
  EXPECT_EQ(log, (Log{"got a"}));
  semaphore.release();
  b.join();
  EXPECT_EQ(log, (Log{"got a", "got b"}));
  EXPECT_EQ(semaphore.counter(), 0);
}

TEST_F(SemaphoreTest, AWaiterKilledBeforeTheReleaseLeavesThePermitToTheNext) {
  Semaphore semaphore(0);
  auto a = spawn([&] { semaphore.acquire(); });
  auto b = spawn([&] { return semaphore.acquire(); });
  fern::yield();
  a.kill({.block = false});
  semaphore.release();
  EXPECT_TRUE(b.get());
  EXPECT_TRUE(a.killed());
  EXPECT_EQ(semaphore.counter(), 0);
}

TEST_F(SemaphoreTest, AWaiterThatTimesOutLeavesThePermitToTheNext) {
  Semaphore semaphore(0);
  auto late = spawn([&] { return semaphore.acquire(1ms); });
  auto next = spawn([&] { return semaphore.acquire(); });
  EXPECT_FALSE(late.get());
  semaphore.release();
  EXPECT_TRUE(next.get());
  EXPECT_EQ(semaphore.counter(), 0);
}

TEST_F(SemaphoreTest, KillingEveryWaiterLeavesAllPermits) {
  Semaphore semaphore(0);
  std::vector<Greenlet<void>> waiters;
  for (int i = 0; i < 10; ++i) waiters.push_back(spawn([&] { semaphore.acquire(); }));
  fern::yield();
  fern::killall(waiters);
  semaphore.release(10);
  EXPECT_EQ(semaphore.counter(), 10);
}

TEST_F(SemaphoreTest, TheHubMayReleaseButNotWait) {
  Semaphore semaphore(0);
  bool refused = false;
  fern::Hub::current().post([&] {
    EXPECT_FALSE(semaphore.try_acquire());
    EXPECT_FALSE(semaphore.acquire(0s));
    try {
      semaphore.acquire();
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
    semaphore.release();
  });
  EXPECT_TRUE(semaphore.acquire());
  EXPECT_TRUE(refused);
  EXPECT_EQ(semaphore.counter(), 0);
}

// Each release looks only at the waiter that it wakes.
TEST_F(SemaphoreTest, ServesManyWaiters) {
  Semaphore semaphore(0);
  int got = 0;
  const int count = fern::testing::many / 10;
  std::vector<Greenlet<void>> waiters;
  for (int i = 0; i < count; ++i) {
    waiters.push_back(spawn([&, i] {
      semaphore.acquire();
      EXPECT_EQ(got++, i);
    }));
  }
  fern::yield();
  for (int i = 0; i < count; ++i) semaphore.release();
  fern::joinall(waiters);
  EXPECT_EQ(got, count);
}

class SemaphoreThreadsTest : public SemaphoreTest {
 protected:
  SemaphoreThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

TEST_F(SemaphoreThreadsTest, APlainThreadReleasesForAGreenlet) {
  Semaphore semaphore(0);
  std::jthread releaser([&] { semaphore.release(); });
  EXPECT_TRUE(semaphore.acquire(30s));
}

TEST_F(SemaphoreThreadsTest, NeverAdmitsMoreThanItsPermits) {
  constexpr int permits = 3;
  constexpr int rounds = 500;
  Semaphore semaphore(permits);
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  auto run = [&] {
    std::vector<Greenlet<void>> workers;
    for (int w = 0; w < 8; ++w) {
      workers.push_back(spawn([&] {
        for (int i = 0; i < rounds; ++i) {
          std::lock_guard permit(semaphore);
          int now = ++inside;
          int seen = most.load();
          while (seen < now && !most.compare_exchange_weak(seen, now)) {
          }
          if (i % 7 == 0) fern::yield();
          --inside;
        }
      }));
    }
    fern::joinall(workers);
  };
  std::jthread one(run);
  std::jthread two(run);
  one.join();
  two.join();
  EXPECT_LE(most, permits);
  EXPECT_EQ(semaphore.counter(), permits);
}

// One thread kills and times out waiters while another releases: every permit is either taken by a
// waiter that says so, or still there.
TEST_F(SemaphoreThreadsTest, NoPermitIsLostAmongKillsTimeoutsAndReleases) {
  constexpr int rounds = 60;
  constexpr int waiters_each = 12;
  Semaphore semaphore(0);
  std::atomic<int> released{0};
  std::atomic<bool> stop{false};
  std::atomic<int> taken{0};
  std::jthread releaser([&] {
    while (!stop) {
      semaphore.release();
      ++released;
      if (released % 5 == 0) std::this_thread::yield();
    }
  });
  auto run = [&] {
    for (int round = 0; round < rounds; ++round) {
      std::vector<Greenlet<void>> waiters;
      for (int i = 0; i < waiters_each; ++i) {
        waiters.push_back(spawn([&, i] {
          fern::Deadline deadline = i % 3 == 0 ? fern::Deadline(20us) : fern::Deadline();
          if (semaphore.acquire(deadline)) ++taken;
        }));
      }
      fern::yield();
      for (int i = 1; i < waiters_each; i += 3) waiters[i].kill({.block = false});
      fern::joinall(waiters);
    }
  };
  std::jthread one(run);
  std::jthread two(run);
  one.join();
  two.join();
  stop = true;
  releaser.join();
  EXPECT_EQ(semaphore.counter(), released - taken);
}

}  // namespace
