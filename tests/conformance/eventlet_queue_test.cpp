// What eventlet's semaphores and queues do.

#include <fern/greenlet.hpp>
#include <fern/queue.hpp>
#include <fern/semaphore.hpp>

#include <chrono>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "journal.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using fern::Queue;
using fern::Semaphore;
using fern::spawn;

namespace {

class EventletQueue : public FernTest {
 protected:
  // Lets whatever is ready come to rest.
  static void settle() {
    for (int turn = 0; turn < 10; ++turn) fern::yield();
  }

  Journal journal;
};

// E11. eventlet's balance counts the waiters as negative permits.
TEST_F(EventletQueue, TheRunningGreenletMayTakeAPermitBackAndTheWaitersKeepTheirOrder) {
  Semaphore semaphore(1);
  semaphore.acquire();
  for (int i = 0; i < 3; ++i) {
    fern::spawn_raw([&, i] {
      semaphore.acquire();
      journal.say("got", i);
      semaphore.release();
    });
  }
  fern::yield();
  journal.say("permits", semaphore.counter(), "locked", semaphore.locked());
  semaphore.release();
  journal.say("taken back", semaphore.try_acquire());
  settle();
  journal.say("permits", semaphore.counter());
  semaphore.release();
  settle();
  EXPECT_EQ(journal.lines(),
            (Lines{"permits 0 locked 1", "taken back 1", "permits 0", "got 0", "got 1", "got 2"}));
  EXPECT_TRUE(semaphore.acquire(1ms));
  EXPECT_FALSE(semaphore.acquire(1ms));
}

// E11
TEST_F(EventletQueue, ABoundedSemaphoreIsNotReleasedTooOftenAndNoneBeginsNegative) {
  fern::BoundedSemaphore bounded(1);
  EXPECT_THROW(bounded.release(), std::logic_error);
  EXPECT_EQ(bounded.counter(), 1);
  EXPECT_THROW(Semaphore(-1), std::logic_error);
}

// E12. eventlet hands permits over: abcabcabc both times. In Fern, as in gevent, whoever releases
// and acquires without waiting is faster than whom the release has woken.
TEST_F(EventletQueue, APermitGoesRoundIfItsHolderWaitsAfterTheReleaseAndStaysIfNot) {
  for (bool wait_inside : {true, false}) {
    Semaphore semaphore(1);
    std::string holders;
    std::vector<fern::Greenlet<void>> loops;
    for (char name : {'a', 'b', 'c'}) {
      loops.push_back(spawn([&, name] {
        for (int i = 0; i < 3; ++i) {
          {
            std::lock_guard permit(semaphore);
            holders += name;
            if (wait_inside) fern::yield();
          }
          if (!wait_inside) fern::yield();
        }
      }));
    }
    for (auto& each : loops) each.get();
    EXPECT_EQ(holders, wait_inside ? "aaabbbccc" : "abcabcabc");
  }
}

// E13. eventlet serves its getters in whatever order.
TEST_F(EventletQueue, PutDoesNotSwitchAndGettersAreServedFirstComeFirst) {
  Queue<char> queue;
  for (int i = 0; i < 3; ++i) {
    fern::spawn_raw([&, i] { journal.say("getter", i, queue.get()); });
  }
  fern::yield();
  for (char item : {'x', 'y', 'z'}) {
    queue.put(item);
    journal.say("put", item);
  }
  settle();
  EXPECT_EQ(journal.lines(),
            (Lines{"put x", "put y", "put z", "getter 0 x", "getter 1 y", "getter 2 z"}));
}

// E13
TEST_F(EventletQueue, AQueueOfNoRoomIsARendezvousInWhichTheGetterGoesOnFirst) {
  Queue<int> queue(0);
  auto putter = spawn([&] {
    for (int i = 0; i < 3; ++i) {
      journal.say("putting", i);
      queue.put(i);
      journal.say("put", i);
    }
  });
  auto getter = spawn([&] {
    for (int i = 0; i < 3; ++i) journal.say("got", queue.get());
  });
  putter.get();
  getter.get();
  EXPECT_EQ(journal.lines(), (Lines{"putting 0", "got 0", "put 0", "putting 1", "got 1", "put 1",
                                    "putting 2", "got 2", "put 2"}));
  EXPECT_TRUE(queue.full());
  EXPECT_TRUE(queue.empty());
}

// E15. eventlet's LightQueue has no join; every Queue of Fern's has.
TEST_F(EventletQueue, JoinWaitsUntilWhatWasPutIsDone) {
  Queue<int> queue;
  queue.put(1);
  queue.put(2);
  fern::spawn_raw([&] {
    for (int i = 0; i < 2; ++i) {
      queue.get();
      journal.say("done");
      queue.task_done();
    }
  });
  queue.join();
  journal.say("joined");
  EXPECT_THROW(queue.task_done(), std::logic_error);
  EXPECT_EQ(journal.lines(), (Lines{"done", "done", "joined"}));
}

// E15
TEST_F(EventletQueue, AStackGivesTheYoungestAndAHeapTheLeast) {
  fern::LifoQueue<int> stack;
  fern::PriorityQueue<int> heap;
  for (int item : {3, 1, 2}) {
    stack.put(item);
    heap.put(item);
  }
  std::vector<int> from_stack;
  std::vector<int> from_heap;
  for (int i = 0; i < 3; ++i) {
    from_stack.push_back(stack.get());
    from_heap.push_back(heap.get());
  }
  EXPECT_EQ(from_stack, (std::vector{2, 1, 3}));
  EXPECT_EQ(from_heap, (std::vector{1, 2, 3}));
}

// E28. There is no Pool of resources: a queue of them is one.
TEST_F(EventletQueue, AQueueOfResourcesLendsThemAndWhoWaitsGetsWhatComesBack) {
  Queue<std::string> resources;
  resources.put("first");
  resources.put("second");
  std::string one = resources.get();
  std::string other = resources.get();
  EXPECT_TRUE(resources.empty());
  auto waiter = spawn([&] { return resources.get(); });
  fern::yield();
  EXPECT_FALSE(waiter.ready());
  resources.put(std::move(one));
  EXPECT_EQ(waiter.get(), "first");
  EXPECT_EQ(other, "second");
}

// F02. eventlet's queue serves eight getters in whatever order.
TEST_F(EventletQueue, EightWaitersOfAQueueAndOfASemaphoreAreServedFirstComeFirst) {
  Queue<int> queue;
  Semaphore semaphore(0);
  std::string got;
  std::string acquired;
  for (int i = 0; i < 8; ++i) {
    fern::spawn_raw([&, i] {
      EXPECT_EQ(queue.get(), i);
      got += std::to_string(i);
    });
    fern::spawn_raw([&, i] {
      semaphore.acquire();
      acquired += std::to_string(i);
    });
  }
  fern::yield();
  for (int i = 0; i < 8; ++i) queue.put(i);
  for (int i = 0; i < 8; ++i) semaphore.release();
  settle();
  EXPECT_EQ(got, "01234567");
  EXPECT_EQ(acquired, "01234567");
}

// F04
TEST_F(EventletQueue, AKilledGetterTakesNothing) {
  Queue<int> queue;
  auto waiting = spawn([&] { return queue.get(); });
  fern::yield();
  waiting.kill();
  queue.put(1);
  fern::yield();
  EXPECT_EQ(queue.size(), 1u);
  auto unstarted = spawn([&] { return queue.get(); });
  unstarted.kill();
  fern::yield();
  EXPECT_EQ(queue.size(), 1u);
}

// F05
TEST_F(EventletQueue, WhatWasPutBeforeItsGetterIsKilledIsNotLost) {
  Queue<int> queue;
  int got = 0;
  auto getter = spawn([&] {
    got = queue.get();
    fern::yield();
  });
  auto next = spawn([&] { return queue.get(); });
  fern::yield();
  queue.put(1);
  getter.kill();
  // It was on its way with the item; the kill met it at its next wait.
  EXPECT_EQ(got, 1);
  EXPECT_TRUE(getter.killed());
  EXPECT_FALSE(next.ready());
  queue.put(2);
  EXPECT_EQ(next.get(), 2);
}

}  // namespace
