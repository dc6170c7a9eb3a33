#include "children.hpp"
#include "support.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/mutex.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Greenlet;
using fern::Mutex;
using fern::RLock;
using fern::spawn;

using Log = std::vector<std::string>;

class MutexTest : public FernTest {};

TEST_F(MutexTest, LocksAndUnlocks) {
  Mutex mutex;
  mutex.lock();
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_F(MutexTest, SatisfiesTheStandardLocks) {
  Mutex one;
  Mutex two;
  {
    std::scoped_lock both(one, two);
    std::unique_lock<Mutex> late(one, std::defer_lock);
    EXPECT_FALSE(late.try_lock());
    EXPECT_FALSE(late.try_lock_for(1ms));
    EXPECT_FALSE(late.try_lock_until(std::chrono::steady_clock::now() + 1ms));
    EXPECT_FALSE(late.try_lock_until(std::chrono::steady_clock::now() - 1h));
  }
  std::unique_lock<Mutex> free(one, 1s);
  EXPECT_TRUE(free.owns_lock());
}

TEST_F(MutexTest, UnlockOfAnUnlockedMutexThrowsAndChangesNothing) {
  Mutex mutex;
  EXPECT_THROW(mutex.unlock(), std::logic_error);
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_F(MutexTest, StaysLockedAcrossSwitches) {
  Mutex mutex;
  Log log;
  auto section = [&](std::string name) {
    std::lock_guard guard(mutex);
    log.push_back(name + " in");
    fern::yield();
    log.push_back(name + " out");
  };
  auto a = spawn(section, "a");
  auto b = spawn(section, "b");
  fern::joinall(a, b);
  EXPECT_EQ(log, (Log{"a in", "a out", "b in", "b out"}));
}

TEST_F(MutexTest, WaitersLockInTheOrderInWhichTheyCame) {
  Mutex mutex;
  std::string log;
  mutex.lock();
  std::vector<Greenlet<void>> waiters;
  for (char name : {'a', 'b', 'c', 'd'}) {
    waiters.push_back(spawn([&, name] {
      std::lock_guard guard(mutex);
      log += name;
      fern::yield();
    }));
  }
  fern::yield();
  mutex.unlock();
  fern::joinall(waiters);
  EXPECT_EQ(log, "abcd");
}

// gevent: unlock hands nothing over.
TEST_F(MutexTest, ARunningGreenletMayBargeInAndTheWaiterKeepsItsPlace) {
  Mutex mutex;
  std::string log;
  mutex.lock();
  auto a = spawn([&] {
    std::lock_guard guard(mutex);
    log += 'a';
  });
  auto b = spawn([&] {
    std::lock_guard guard(mutex);
    log += 'b';
  });
  fern::yield();
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock());
  fern::yield();
  EXPECT_EQ(log, "");
  mutex.unlock();
  fern::joinall(a, b);
  EXPECT_EQ(log, "ab");
}

TEST_F(MutexTest, AnotherGreenletMayUnlock) {
  Mutex mutex;
  mutex.lock();
  spawn([&] { mutex.unlock(); }).join();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_F(MutexTest, TryLockForEndsNotBeforeItsTime) {
  Mutex mutex;
  mutex.lock();
  auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(mutex.try_lock_for(10ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
  EXPECT_FALSE(mutex.try_lock_for(0s));
  mutex.unlock();
}

TEST_F(MutexTest, AKilledWaiterLeavesTheMutexUnlocked) {
  Mutex mutex;
  mutex.lock();
  auto waiter = spawn([&] { mutex.lock(); });
  fern::yield();
  waiter.kill();
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

// The first waiter is killed, just before or just after it was woken: the second must not sleep on.
TEST_F(MutexTest, UnlockReachesTheNextWaiterThoughTheFirstIsKilled) {
  for (bool kill_first : {true, false}) {
    Mutex mutex;
    mutex.lock();
    auto first = spawn([&] {
      std::lock_guard guard(mutex);
      fern::yield();
    });
    auto second = spawn([&] {
      std::lock_guard guard(mutex);
      return true;
    });
    fern::yield();
    if (kill_first) first.kill({.block = false});
    mutex.unlock();
    if (!kill_first) first.kill({.block = false});
    EXPECT_TRUE(second.get());
    EXPECT_TRUE(first.ready());
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
  }
}

TEST_F(MutexTest, ATimeoutScopeEndsALock) {
  Mutex mutex;
  mutex.lock();
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] { mutex.lock(); }));
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_F(MutexTest, LockingTwiceIsADeadlockThatIsReported) {
  Mutex mutex;
  mutex.lock();
  try {
    mutex.lock();
    FAIL() << "locked twice";
  } catch (const fern::LoopExit& error) {
    EXPECT_NE(std::string(error.what()).find("Mutex::lock()"), std::string::npos) << error.what();
  }
  mutex.unlock();
}

TEST_F(MutexTest, TheHubMayTryAndUnlockButNotWait) {
  Mutex mutex;
  mutex.lock();
  fern::Event done;
  bool refused = false;
  fern::Hub::current().post([&] {
    EXPECT_FALSE(mutex.try_lock());
    try {
      mutex.lock();
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
    mutex.unlock();
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
    done.set();
  });
  done.wait();
  EXPECT_TRUE(refused);
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

class MutexThreadsTest : public MutexTest {
 protected:
  MutexThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

// Two hubs with several greenlets each and two plain threads.
TEST_F(MutexThreadsTest, ExcludesGreenletsOfAllHubsAndPlainThreads) {
  constexpr int rounds = 2000;
  Mutex mutex;
  std::int64_t count = 0;  // not atomic: the mutex guards it
  auto work = [&](int pause) {
    for (int i = 0; i < rounds; ++i) {
      std::lock_guard guard(mutex);
      ++count;
      if (pause > 0 && i % pause == 0) fern::yield();
    }
  };
  auto hub = [&] {
    std::vector<Greenlet<void>> workers;
    for (int w = 1; w <= 4; ++w) workers.push_back(spawn(work, 50 * w));
    fern::joinall(workers);
  };
  {
    std::jthread a(hub);
    std::jthread b(hub);
    std::jthread c(work, 0);
    std::jthread d(work, 0);
  }
  EXPECT_EQ(count, 10 * rounds);
}

TEST_F(MutexThreadsTest, KillsAndTimeoutsOfWaitersInTwoHubsLeaveItConsistent) {
  constexpr int rounds = 80;
  Mutex mutex;
  std::int64_t count = 0;
  std::atomic<std::int64_t> locked{0};
  auto hub = [&] {
    for (int round = 0; round < rounds; ++round) {
      std::vector<Greenlet<void>> workers;
      for (int w = 0; w < 9; ++w) {
        workers.push_back(spawn([&, w] {
          std::unique_lock lock(mutex, std::defer_lock);
          if (w % 3 == 0) {
            if (!lock.try_lock_for(30us)) return;
          } else {
            lock.lock();
          }
          ++count;
          ++locked;
          fern::yield();
        }));
      }
      fern::yield();
      for (int w = 1; w < 9; w += 3) workers[w].kill({.block = false});
      fern::joinall(workers);
    }
  };
  {
    std::jthread a(hub);
    std::jthread b(hub);
  }
  EXPECT_EQ(count, locked);
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

// Who locks last may destroy it, though another thread's unlock has not returned yet.
TEST_F(MutexThreadsTest, TheMutexMayGoOnceItsLastUserHasUnlocked) {
  for (int round = 0; round < 300; ++round) {
    struct Shared {
      Mutex mutex;
      int users = 2;
    };
    auto* shared = new Shared;
    auto leave = [shared] {
      shared->mutex.lock();
      bool last = --shared->users == 0;
      shared->mutex.unlock();
      if (last) delete shared;
    };
    std::jthread other(leave);
    leave();
  }
}

class RLockTest : public FernTest {};

// gevent: re-entered by its owner; refused to others, who may not release it either.
TEST_F(RLockTest, TheOwnerLocksAgainAndOthersMayNot) {
  RLock lock;
  lock.lock();
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
  spawn([&] {
    EXPECT_FALSE(lock.try_lock());
    EXPECT_FALSE(lock.try_lock_for(1ms));
    EXPECT_THROW(lock.unlock(), std::logic_error);
  }).join();
  lock.unlock();
  spawn([&] {
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  }).join();
  EXPECT_THROW(lock.unlock(), std::logic_error);
}

TEST_F(RLockTest, TheChildOfAForkOwnsWhatTheOneThatForkedDid) {
  RLock lock;
  spawn([&] {
    lock.lock();
    EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([&]() noexcept {
      lock.unlock();
      return lock.try_lock() ? 0 : 1;
    })));
    lock.unlock();
  }).get();
}

TEST_F(RLockTest, ItIsFreeAfterAsManyUnlocks) {
  RLock lock;
  std::string log;
  auto holder = spawn([&] {
    lock.lock();
    lock.lock();
    fern::yield();
    lock.unlock();
    log += "once ";
    fern::yield();
    log += "twice ";
    lock.unlock();
  });
  fern::yield();
  lock.lock();
  log += "mine";
  lock.unlock();
  holder.join();
  EXPECT_EQ(log, "once twice mine");
}

TEST_F(RLockTest, AKilledWaiterDoesNotOwnIt) {
  RLock lock;
  lock.lock();
  auto waiter = spawn([&] { lock.lock(); });
  fern::yield();
  waiter.kill();
  lock.unlock();
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

class RLockThreadsTest : public RLockTest {
 protected:
  RLockThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

TEST_F(RLockThreadsTest, AThreadThatGetsAHubWhileItHoldsTheLockStillOwnsIt) {
  RLock lock;
  std::jthread([&] {
    lock.lock();
    fern::sleep(1us);
    lock.lock();
    spawn([&] { EXPECT_FALSE(lock.try_lock()); }).join();
    lock.unlock();
    lock.unlock();
    EXPECT_THROW(lock.unlock(), std::logic_error);
  }).join();
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

TEST_F(RLockThreadsTest, ExcludesThreadsAndGreenlets) {
  constexpr int rounds = 1000;
  RLock lock;
  std::int64_t count = 0;
  auto work = [&] {
    for (int i = 0; i < rounds; ++i) {
      std::scoped_lock outer(lock);
      std::scoped_lock inner(lock);
      ++count;
    }
  };
  {
    std::jthread plain(work);
    std::jthread hub([&] { fern::joinall(spawn(work), spawn(work)); });
  }
  EXPECT_EQ(count, 3 * rounds);
}

}  // namespace
