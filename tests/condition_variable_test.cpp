#include "support.hpp"

#include <fern/condition_variable.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/mutex.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::ConditionVariable;
using fern::Greenlet;
using fern::Mutex;
using fern::spawn;

using Lock = std::unique_lock<Mutex>;

class ConditionVariableTest : public FernTest {
 protected:
  // Spawns greenlets that wait once and then write their letter.
  std::vector<Greenlet<void>> waiters(std::string names) {
    std::vector<Greenlet<void>> all;
    for (char name : names) {
      all.push_back(spawn([this, name] {
        Lock lock(mutex);
        changed.wait(lock);
        log += name;
      }));
    }
    fern::yield();
    return all;
  }

  Mutex mutex;
  ConditionVariable changed;
  std::string log;
};

TEST_F(ConditionVariableTest, WaitGivesTheMutexAwayAndTakesItAgain) {
  bool ready = false;
  auto waiter = spawn([&] {
    Lock lock(mutex);
    changed.wait(lock, [&] { return ready; });
    EXPECT_TRUE(lock.owns_lock());
    EXPECT_FALSE(mutex.try_lock());
  });
  fern::yield();
  {
    std::lock_guard guard(mutex);
    ready = true;
    changed.notify_one();
    fern::yield();
    EXPECT_FALSE(waiter.ready());
  }
  waiter.get();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_F(ConditionVariableTest, NotifyOneWakesInTheOrderInWhichTheyCame) {
  auto all = waiters("abc");
  changed.notify_one();
  fern::yield();
  EXPECT_EQ(log, "a");
  changed.notify_one();
  changed.notify_one();
  fern::joinall(all);
  EXPECT_EQ(log, "abc");
}

TEST_F(ConditionVariableTest, NotifyWakesTheFirstSoMany) {
  auto all = waiters("abcd");
  changed.notify(3);
  fern::yield();
  EXPECT_EQ(log, "abc");
  changed.notify(5);
  fern::joinall(all);
  EXPECT_EQ(log, "abcd");
}

TEST_F(ConditionVariableTest, NotifyAllWakesEverybodyInOrder) {
  auto all = waiters("abcd");
  changed.notify_all();
  fern::joinall(all);
  EXPECT_EQ(log, "abcd");
}

TEST_F(ConditionVariableTest, ANotifyIsNotRemembered) {
  changed.notify_one();
  changed.notify_all();
  auto all = waiters("a");
  fern::yield();
  EXPECT_EQ(log, "");
  changed.notify_one();
  fern::joinall(all);
}

TEST_F(ConditionVariableTest, WaitEndsWithFalseNotBeforeTheDeadline) {
  Lock lock(mutex);
  auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(changed.wait(lock, 10ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_FALSE(mutex.try_lock());
}

TEST_F(ConditionVariableTest, AZeroDeadlineDoesNotEvenUnlock) {
  Lock lock(mutex);
  auto other = spawn([&] { std::lock_guard guard(mutex); });
  fern::yield();
  EXPECT_FALSE(changed.wait(lock, 0s));
  EXPECT_FALSE(changed.wait(lock, [] { return false; }, -1s));
  EXPECT_TRUE(changed.wait(lock, [] { return true; }, -1s));
  EXPECT_FALSE(other.ready());
  lock.unlock();
  other.join();
}

TEST_F(ConditionVariableTest, StdsNamesGiveStdsResults) {
  Lock lock(mutex);
  EXPECT_EQ(changed.wait_for(lock, 1ms), std::cv_status::timeout);
  EXPECT_EQ(changed.wait_until(lock, std::chrono::steady_clock::now() + 1ms),
            std::cv_status::timeout);
  EXPECT_FALSE(changed.wait_for(lock, 1ms, [] { return false; }));
  EXPECT_TRUE(changed.wait_until(lock, fern::Deadline::never(), [] { return true; }));
  auto notifier = spawn([&] { changed.notify_one(); });
  EXPECT_EQ(changed.wait_for(lock, 10s), std::cv_status::no_timeout);
}

TEST_F(ConditionVariableTest, APredicateIsAskedAgainAfterEachNotify) {
  int value = 0;
  int asked = 0;
  auto waiter = spawn([&] {
    Lock lock(mutex);
    changed.wait(lock, [&] {
      ++asked;
      return value == 3;
    });
  });
  fern::yield();
  for (int i = 1; i <= 3; ++i) {
    {
      std::lock_guard guard(mutex);
      value = i;
    }
    changed.notify_one();
    fern::yield();
  }
  waiter.join();
  EXPECT_EQ(asked, 4);
}

TEST_F(ConditionVariableTest, WithoutTheMutexItThrowsAndDoesNothing) {
  Lock lock(mutex, std::defer_lock);
  EXPECT_THROW(changed.wait(lock), std::logic_error);
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_F(ConditionVariableTest, AKilledWaiterHoldsTheMutexWhileItUnwinds) {
  bool held = false;
  auto waiter = spawn([&] {
    Lock lock(mutex);
    try {
      changed.wait(lock);
    } catch (const fern::GreenletExit&) {
      held = lock.owns_lock() && !mutex.try_lock();
      throw;
    }
  });
  fern::yield();
  mutex.lock();
  waiter.kill({.block = false});
  fern::yield();
  EXPECT_FALSE(waiter.ready());
  mutex.unlock();
  waiter.join();
  EXPECT_TRUE(held);
  EXPECT_TRUE(waiter.killed());
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_F(ConditionVariableTest, AKillWhileTheMutexIsTakenAgainComesAtTheNextWait) {
  bool returned = false;
  auto waiter = spawn([&] {
    Lock lock(mutex);
    returned = changed.wait(lock);
    fern::yield();
  });
  fern::yield();
  mutex.lock();
  changed.notify_one();
  fern::yield();
  waiter.kill({.block = false});
  fern::yield();
  mutex.unlock();
  waiter.join();
  EXPECT_TRUE(returned);
  EXPECT_TRUE(waiter.killed());
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_F(ConditionVariableTest, ANotifyIsNotLostOnAWaiterThatIsKilledFirst) {
  auto all = waiters("ab");
  all[0].kill({.block = false});
  changed.notify_one();
  fern::joinall(all);
  EXPECT_EQ(log, "b");
}

TEST_F(ConditionVariableTest, ATimeoutScopeEndsAWait) {
  Lock lock(mutex);
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] { changed.wait(lock); }));
  EXPECT_TRUE(lock.owns_lock());
}

TEST_F(ConditionVariableTest, TheHubMayNotifyButNotWait) {
  bool refused = false;
  fern::Hub::current().post([&] {
    Lock lock(mutex);
    try {
      changed.wait(lock);
    } catch (const fern::BlockingInHub&) {
      refused = lock.owns_lock();
    }
    lock.unlock();
    changed.notify_all();
  });
  Lock lock(mutex);
  changed.wait(lock);
  EXPECT_TRUE(refused);
}

class ConditionVariableThreadsTest : public ConditionVariableTest {
 protected:
  ConditionVariableThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

// A bounded buffer between greenlets of two hubs and plain threads.
TEST_F(ConditionVariableThreadsTest, CarriesABoundedBufferAcrossThreads) {
  constexpr int each = 1000;
  constexpr std::size_t limit = 4;
  ConditionVariable room;
  std::deque<int> buffer;
  std::int64_t sum = 0;
  auto produce = [&] {
    for (int i = 1; i <= each; ++i) {
      Lock lock(mutex);
      room.wait(lock, [&] { return buffer.size() < limit; });
      buffer.push_back(i);
      changed.notify_one();
    }
  };
  auto consume = [&] {
    for (int i = 0; i < each; ++i) {
      Lock lock(mutex);
      changed.wait(lock, [&] { return !buffer.empty(); });
      sum += buffer.front();
      buffer.pop_front();
      room.notify_one();
    }
  };
  {
    std::jthread hub_one([&] { fern::joinall(spawn(produce), spawn(consume)); });
    std::jthread hub_two([&] { fern::joinall(spawn(consume), spawn(produce)); });
    std::jthread plain_producer(produce);
    std::jthread plain_consumer(consume);
  }
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(sum, 3 * std::int64_t{each} * (each + 1) / 2);
}

// Whoever is notified and killed at the same moment leaves the notify to the next: the tokens
// that were announced are all taken.
TEST_F(ConditionVariableThreadsTest, NoNotifyIsLostAmongKills) {
  for (int round = 0; round < 60; ++round) {
    constexpr int tokens = 4;
    int available = 0;
    std::atomic<int> taken{0};
    std::vector<Greenlet<void>> all;
    for (int i = 0; i < 2 * tokens; ++i) {
      all.push_back(spawn([&] {
        Lock lock(mutex);
        changed.wait(lock, [&] { return available > 0; });
        --available;
        ++taken;
      }));
    }
    fern::yield();
    std::jthread notifier([&] {
      for (int i = 0; i < tokens; ++i) {
        std::lock_guard guard(mutex);
        ++available;
        changed.notify_one();
      }
    });
    for (int i = 0; i < tokens; ++i) all[2 * i].kill({.block = false});
    while (taken < tokens) fern::sleep(10us);
    notifier.join();
    {
      std::lock_guard guard(mutex);
      available = 2 * tokens;
    }
    changed.notify_all();
    fern::joinall(all);
  }
}

}  // namespace
