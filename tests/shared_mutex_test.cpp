#include "support.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/shared_mutex.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Greenlet;
using fern::SharedMutex;
using fern::spawn;

class SharedMutexTest : public FernTest {
 protected:
  // A line of waiters, 'w' for a writer, anything else for a reader: each logs itself as it gets
  // in, holds the mutex for a turn and logs itself in brackets as it leaves.
  std::vector<Greenlet<void>> line_up(const std::string& who) {
    std::vector<Greenlet<void>> line;
    for (char name : who) line.push_back(spawn([this, name] { use(name); }));
    fern::yield();
    return line;
  }

  void use(char name) {
    auto inside = [&] {
      log += name;
      fern::yield();
      log += ')';
    };
    if (name == 'w') {
      std::unique_lock writing(mutex);
      inside();
    } else {
      std::shared_lock reading(mutex);
      inside();
    }
  }

  void expect_free() {
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
  }

  SharedMutex mutex;
  std::string log;
};

TEST_F(SharedMutexTest, ReadersAreInsideTogetherAndAWriterAlone) {
  mutex.lock_shared();
  EXPECT_TRUE(mutex.try_lock_shared());
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock_shared();
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock_shared();
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock_shared());
  mutex.unlock();
  expect_free();
}

TEST_F(SharedMutexTest, WhatNobodyElseWantsNeitherSwitchesNorAllocates) {
  auto switches = fern::Hub::current().switches();
  auto allocations = fern::testing::heap_allocations();
  for (int i = 0; i < 100; ++i) {
    std::shared_lock one(mutex);
    std::shared_lock two(mutex);
  }
  std::unique_lock alone(mutex);
  EXPECT_EQ(fern::Hub::current().switches(), switches);
  EXPECT_EQ(fern::testing::heap_allocations(), allocations);
}

TEST_F(SharedMutexTest, SatisfiesTheStandardLocks) {
  SharedMutex other;
  {
    std::scoped_lock both(mutex, other);
    std::shared_lock<SharedMutex> late(mutex, std::defer_lock);
    EXPECT_FALSE(late.try_lock());
    EXPECT_FALSE(late.try_lock_for(1ms));
    EXPECT_FALSE(late.try_lock_until(std::chrono::steady_clock::now() + 1ms));
    std::unique_lock<SharedMutex> writing(mutex, 1ms);
    EXPECT_FALSE(writing.owns_lock());
  }
  std::shared_lock<SharedMutex> reading(mutex, 1s);
  EXPECT_TRUE(reading.owns_lock());
}

TEST_F(SharedMutexTest, UnlockOfWhatIsNotHeldThrowsAndChangesNothing) {
  EXPECT_THROW(mutex.unlock(), std::logic_error);
  EXPECT_THROW(mutex.unlock_shared(), std::logic_error);
  mutex.lock();
  EXPECT_THROW(mutex.unlock_shared(), std::logic_error);
  EXPECT_FALSE(mutex.try_lock_shared());
  mutex.unlock();
  mutex.lock_shared();
  EXPECT_THROW(mutex.unlock(), std::logic_error);
  auto writer = line_up("w");
  EXPECT_THROW(mutex.unlock(), std::logic_error);
  EXPECT_EQ(log, "");
  mutex.unlock_shared();
  fern::joinall(writer);
  expect_free();
}

TEST_F(SharedMutexTest, TheLineIsServedInOrderAndNeighbouringReadersTogether) {
  mutex.lock();
  auto line = line_up("12w345ww6");
  EXPECT_EQ(log, "");
  mutex.unlock();
  fern::joinall(line);
  EXPECT_EQ(log, "12))w)345)))w)w)6)");
  expect_free();
}

TEST_F(SharedMutexTest, AReaderWaitsBehindAWriterThatWaits) {
  mutex.lock_shared();
  auto line = line_up("w1");
  EXPECT_FALSE(mutex.try_lock_shared());
  EXPECT_EQ(log, "");
  mutex.unlock_shared();
  fern::joinall(line);
  EXPECT_EQ(log, "w)1)");
}

TEST_F(SharedMutexTest, NobodyBargesInBetweenAnUnlockAndTheOneWhoseTurnItIs) {
  mutex.lock();
  auto line = line_up("w1");
  mutex.unlock();
  EXPECT_FALSE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock_shared());
  fern::joinall(line);
  EXPECT_EQ(log, "w)1)");
}

// A reader that comes again and again does not keep a writer out, nor the other way round.
TEST_F(SharedMutexTest, NeitherKindStarvesTheOther) {
  bool done = false;
  auto again = [&](bool shared, int& rounds) {
    while (!done) {
      if (shared) {
        std::shared_lock lock(mutex);
        fern::yield();
      } else {
        std::unique_lock lock(mutex);
        fern::yield();
      }
      ++rounds;
    }
  };
  int rounds[5] = {};
  std::vector<Greenlet<void>> all;
  for (int i = 0; i < 5; ++i) all.push_back(spawn([&, i] { again(i < 3, rounds[i]); }));
  while (*std::min_element(rounds, rounds + 5) < 10) fern::yield();
  done = true;
  fern::joinall(all);
  expect_free();
}

TEST_F(SharedMutexTest, AKilledWriterLetsTheReadersBehindItGoOn) {
  mutex.lock_shared();
  auto line = line_up("w12w3");
  line[0].kill();
  fern::yield();
  EXPECT_EQ(log, "12");  // while this greenlet reads
  line[3].kill();
  fern::joinall(line);
  EXPECT_EQ(log, "12))3)");
  mutex.unlock_shared();
  expect_free();
}

TEST_F(SharedMutexTest, ALateWriterLetsTheReadersBehindItGoOn) {
  mutex.lock_shared();
  auto writer = spawn([&] { return mutex.try_lock_for(2ms); });
  fern::yield();
  auto line = line_up("1");
  EXPECT_FALSE(writer.get());
  line[0].join();
  EXPECT_EQ(log, "1)");
  mutex.unlock_shared();
  expect_free();
}

// Killed just before or just after it was woken.
TEST_F(SharedMutexTest, AKillLosesNoTurn) {
  for (bool before : {true, false}) {
    for (std::string who : {"w1w2", "12w3", "ww1"}) {
      log.clear();
      mutex.lock();
      auto line = line_up(who);
      if (before) line[0].kill({.block = false});
      mutex.unlock();
      if (!before) line[0].kill({.block = false});
      fern::joinall(line);
      for (std::size_t i = 1; i < who.size(); ++i) EXPECT_TRUE(line[i].successful());
      expect_free();
    }
  }
}

TEST_F(SharedMutexTest, ATimeoutScopeEndsEitherWait) {
  mutex.lock();
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] { mutex.lock(); }));
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] { mutex.lock_shared(); }));
  mutex.unlock();
  expect_free();
}

TEST_F(SharedMutexTest, TryLockForEndsNotBeforeItsTime) {
  mutex.lock();
  auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(mutex.try_lock_shared_for(10ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
  EXPECT_FALSE(mutex.try_lock_shared_for(0s));
  mutex.unlock();
  mutex.lock_shared();
  begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(mutex.try_lock_for(10ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
  mutex.unlock_shared();
}

TEST_F(SharedMutexTest, ADeadlockSaysWhichWaitItIs) {
  auto waits_in = [](auto&& wait) {
    try {
      wait();
      return std::string("nothing was thrown");
    } catch (const fern::LoopExit& error) {
      return std::string(error.what());
    }
  };
  mutex.lock();
  EXPECT_NE(waits_in([&] { mutex.lock(); }).find("in SharedMutex::lock()"), std::string::npos);
  EXPECT_NE(waits_in([&] { mutex.lock_shared(); }).find("in SharedMutex::lock_shared()"),
            std::string::npos);
  mutex.unlock();
  expect_free();
}

TEST_F(SharedMutexTest, TheHubMayTryAndUnlockButNotWait) {
  mutex.lock();
  fern::Event done;
  int refused = 0;
  fern::Hub::current().post([&] {
    EXPECT_FALSE(mutex.try_lock_shared());
    for (bool shared : {true, false}) {
      try {
        shared ? mutex.lock_shared() : mutex.lock();
      } catch (const fern::BlockingInHub&) {
        ++refused;
      }
    }
    mutex.unlock();
    EXPECT_TRUE(mutex.try_lock_shared());
    mutex.unlock_shared();
    done.set();
  });
  done.wait();
  EXPECT_EQ(refused, 2);
  expect_free();
}

class SharedMutexThreadsTest : public SharedMutexTest {
 protected:
  SharedMutexThreadsTest() { may_keep_heap("hubs are kept for later threads"); }

  // What holds while it is held: checked by each holder, across a switch that a kill may end.
  void check(bool shared) {
    struct Holder {
      std::atomic<int>& mine;
      explicit Holder(std::atomic<int>& mine) : mine(mine) { mine.fetch_add(1); }
      ~Holder() { mine.fetch_sub(1); }
    } holder(shared ? readers : writers);
    auto look = [&] {
      EXPECT_EQ(writers.load(), shared ? 0 : 1);
      if (!shared) {
        EXPECT_EQ(readers.load(), 0);
      }
    };
    holds.fetch_add(1);
    if (!shared) ++count;
    look();
    fern::yield();
    look();
  }

  std::atomic<int> readers{0};
  std::atomic<int> writers{0};
  std::atomic<int> holds{0};
  int count = 0;  // not atomic: the mutex guards it
};

TEST_F(SharedMutexThreadsTest, ExcludesGreenletsOfAllHubsAndPlainThreads) {
  constexpr int rounds = 300;
  auto work = [&](int nth) {
    for (int i = 0; i < rounds; ++i) {
      if ((i + nth) % 3 == 0) {
        std::unique_lock writing(mutex);
        check(false);
      } else {
        std::shared_lock reading(mutex);
        check(true);
      }
    }
  };
  auto hub = [&] { fern::joinall(spawn(work, 0), spawn(work, 1), spawn(work, 2)); };
  {
    std::jthread a(hub);
    std::jthread b(hub);
    std::jthread c(work, 0);
  }
  EXPECT_EQ(holds, 7 * rounds);
  EXPECT_EQ(count, 7 * rounds / 3);
  expect_free();
}

TEST_F(SharedMutexThreadsTest, KillsAndTimeoutsOfWaitersInTwoHubsLeaveItConsistent) {
  constexpr int rounds = 60;
  auto hub = [&](int seed) {
    for (int round = 0; round < rounds; ++round) {
      std::vector<Greenlet<void>> workers;
      for (int w = 0; w < 12; ++w) {
        workers.push_back(spawn([&, w] {
          fern::Deadline deadline = w % 3 == 0 ? fern::Deadline(30us) : fern::Deadline::never();
          if ((w + round + seed) % 4 == 0) {
            if (!mutex.try_lock_until(deadline)) return;
            std::unique_lock lock(mutex, std::adopt_lock);
            check(false);
          } else {
            if (!mutex.try_lock_shared_until(deadline)) return;
            std::shared_lock lock(mutex, std::adopt_lock);
            check(true);
          }
        }));
      }
      fern::yield();
      for (int w = 1; w < 12; w += 3) workers[w].kill({.block = false});
      fern::joinall(workers);
    }
  };
  {
    std::jthread a(hub, 0);
    std::jthread b(hub, 2);
  }
  EXPECT_EQ(readers + writers, 0);
  expect_free();
}

// Who leaves last may destroy it, though another thread's unlock has not returned yet.
TEST_F(SharedMutexThreadsTest, TheMutexMayGoOnceItsLastUserHasLeft) {
  for (int round = 0; round < 300; ++round) {
    struct Shared {
      SharedMutex mutex;
      int users = 2;
    };
    auto* shared = new Shared;
    auto leave = [shared] {
      shared->mutex.lock_shared();
      shared->mutex.unlock_shared();
      shared->mutex.lock();
      bool last = --shared->users == 0;
      shared->mutex.unlock();
      if (last) delete shared;
    };
    std::jthread other(leave);
    leave();
  }
}

}  // namespace
