#include "../support.hpp"
#include "greenlets.hpp"
#include "journal.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/mutex.hpp>
#include <fern/semaphore.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::joinall;
using fern::Semaphore;
using fern::spawn;
using fern::yield;

class GeventSemaphore : public FernTest {};

// V10
TEST_F(GeventSemaphore, ReleaseHandsNothingOverAndTheWaitersKeepTheirPlaces) {
  Journal log;
  Semaphore semaphore(1);
  semaphore.acquire();
  auto all = start(3, [&](int i) {
    semaphore.acquire();
    log("got ", i);
    semaphore.release();
  });
  log("release ", semaphore.release());
  log("barge ", semaphore.try_acquire());
  yield();
  log("permits ", semaphore.counter());
  semaphore.release();
  joinall(all);
  EXPECT_EQ(log.lines(),
            (Lines{"release 1", "barge true", "permits 0", "got 0", "got 1", "got 2"}));
}

// V11
TEST_F(GeventSemaphore, WhoReleasesAndAcquiresAtOnceGoesBeforeTheWaiters) {
  std::string owners;
  Semaphore semaphore(1);
  auto all = start(3, [&](int i) {
    for (int round = 0; round < 3; ++round) {
      std::lock_guard permit(semaphore);
      owners += static_cast<char>('a' + i);
      yield();
    }
  });
  joinall(all);
  EXPECT_EQ(owners, "aaabbbccc");
}

// V13
TEST_F(GeventSemaphore, WithoutAPermitNothingIsAcquired) {
  Semaphore semaphore(0);
  EXPECT_FALSE(semaphore.acquire(1ms));
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_EQ(semaphore.wait(1ms), 0);
  EXPECT_TRUE(semaphore.locked());
}

// V13
TEST_F(GeventSemaphore, AsManyWaitersAsThereArePermitsWakeInTheirOrder) {
  Journal log;
  Semaphore semaphore(0);
  auto all = start(4, [&](int i) {
    log(i, " ", semaphore.acquire(i < 3 ? fern::Deadline::never() : fern::Deadline(50ms)));
  });
  semaphore.release();
  semaphore.release();
  semaphore.release();
  yield();
  EXPECT_EQ(log.lines(), (Lines{"0 true", "1 true", "2 true"}));
  joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"0 true", "1 true", "2 true", "3 false"}));
}

// V13
TEST_F(GeventSemaphore, ReleaseCountsUnlessThereIsABound) {
  Semaphore semaphore(0);
  EXPECT_EQ(semaphore.release(), 1);
  EXPECT_EQ(semaphore.release(), 2);
  fern::BoundedSemaphore bounded(1);
  EXPECT_THROW(bounded.release(), std::logic_error);
  EXPECT_EQ(bounded.counter(), 1);
  EXPECT_THROW(Semaphore(-1), std::invalid_argument);
}

// V13
TEST_F(GeventSemaphore, WaitTellsHowManyPermitsThereAreAndTakesNone) {
  Journal log;
  Semaphore semaphore(2);
  EXPECT_EQ(semaphore.wait(), 2);
  EXPECT_EQ(semaphore.counter(), 2);
  semaphore.acquire();
  semaphore.acquire();
  auto watcher = spawn([&] { log("watcher ", semaphore.wait()); });
  auto taker = spawn([&] { log("taker ", semaphore.acquire()); });
  yield();
  semaphore.release();
  joinall(watcher, taker);
  EXPECT_EQ(log.lines(), (Lines{"watcher 1", "taker true"}));
  EXPECT_EQ(semaphore.counter(), 0);
}

// V13: the count may be 0 again when a waiter gets to look.
TEST_F(GeventSemaphore, WaitEndsThoughAnotherTookThePermitMeanwhile) {
  Journal log;
  Semaphore semaphore(0);
  auto taker = spawn([&] { log("taker ", semaphore.acquire()); });
  auto watcher = spawn([&] { log("watcher ", semaphore.wait(20ms)); });
  yield();
  semaphore.release();
  joinall(watcher, taker);
  EXPECT_EQ(log.lines(), (Lines{"taker true", "watcher 0"}));
}

// V14: locking a second time is a plain success, and there is no semaphore that counts nothing.
TEST_F(GeventSemaphore, AnRLockIsItsOwnersUntilItHasUnlockedAsOften) {
  Journal log;
  fern::RLock lock;
  lock.lock();
  lock.lock();
  lock.unlock();
  spawn([&] {
    log("other ", lock.try_lock());
    EXPECT_THROW(lock.unlock(), std::logic_error);
  }).join();
  lock.unlock();
  spawn([&] {
    log("other now ", lock.try_lock());
    lock.unlock();
  }).join();
  EXPECT_EQ(log.lines(), (Lines{"other false", "other now true"}));
}

// V76
TEST_F(GeventSemaphore, AWaiterThatGaveUpTakesNoPermit) {
  Journal log;
  Semaphore semaphore(0);
  auto late = spawn([&] { log("late ", semaphore.acquire(1ms)); });
  auto patient = spawn([&] { log("patient ", semaphore.acquire()); });
  late.join();
  semaphore.release();
  patient.join();
  EXPECT_EQ(log.lines(), (Lines{"late false", "patient true"}));
  EXPECT_EQ(semaphore.counter(), 0);
}

// V76
TEST_F(GeventSemaphore, AKilledWaiterTakesNoPermit) {
  Semaphore semaphore(0);
  auto killed = spawn([&] { semaphore.acquire(); });
  yield();
  killed.kill();
  semaphore.release();
  EXPECT_EQ(semaphore.counter(), 1);
}

struct Acquirer {
  Semaphore& semaphore;
  Journal& log;
  void operator()(int i) const {
    try {
      semaphore.acquire();
      log("got ", i);
    } catch (const fern::GreenletExit&) {
      log("killed ", i);
    }
  }
};

// V77
TEST_F(GeventSemaphore, OneThatIsKilledAfterTheReleaseStillGetsItsPermit) {
  Journal log;
  Semaphore semaphore(0);
  auto all = start(2, Acquirer{semaphore, log});
  semaphore.release();
  all[0].kill({.block = false});
  yield();
  EXPECT_EQ(log.lines(), (Lines{"got 0"}));
  EXPECT_EQ(semaphore.counter(), 0);
  semaphore.release();
  joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"got 0", "got 1"}));
  EXPECT_EQ(semaphore.counter(), 0);
}

// V77
TEST_F(GeventSemaphore, OneThatIsKilledBeforeTheReleaseLeavesThePermitToTheNext) {
  Journal log;
  Semaphore semaphore(0);
  auto all = start(2, Acquirer{semaphore, log});
  all[0].kill({.block = false});
  semaphore.release();
  joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"killed 0", "got 1"}));
  EXPECT_EQ(semaphore.counter(), 0);
}

// W12
TEST_F(GeventSemaphore, ATimeoutThatLeavesAScopeReleasesWhatItHeld) {
  Semaphore semaphore(1);
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] {
    std::lock_guard permit(semaphore);
    fern::sleep(fern::Deadline::never());
  }));
  EXPECT_EQ(semaphore.counter(), 1);
}

// X14
TEST_F(GeventSemaphore, AReleaseThatCameBeforeTheHubSawTheDeadlineCounts) {
  Semaphore semaphore(0);
  fern::Deadline deadline = 20ms;
  auto waiter = spawn([&] { return semaphore.acquire(deadline); });
  yield();
  while (!deadline.expired()) {
  }
  semaphore.release();
  EXPECT_TRUE(waiter.get());
  EXPECT_EQ(semaphore.counter(), 0);
}

}  // namespace
