#include "../support.hpp"
#include "greenlets.hpp"
#include "journal.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/queue.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::joinall;
using fern::Queue;
using fern::spawn;
using fern::yield;

using Numbers = std::vector<int>;

class GeventQueue : public FernTest {
 protected:
  template <class Q>
  static Numbers take(Q& queue, int count) {
    Numbers taken;
    for (int i = 0; i < count; ++i) taken.push_back(queue.get());
    return taken;
  }
};

// V15
TEST_F(GeventQueue, GettersAreServedInTheirOrderAndPutGoesOnFirst) {
  Journal log;
  Queue<char> queue;
  auto all = start(3, [&](int i) { log("get ", i, " ", queue.get()); });
  for (char item : {'x', 'y', 'z'}) {
    queue.put(item);
    log("put ", item);
  }
  joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"put x", "put y", "put z", "get 0 x", "get 1 y", "get 2 z"}));
}

// V15: what can be done at once does not switch.
TEST_F(GeventQueue, NeitherPutNorGetSwitchesWhereItNeedNotWait) {
  Queue<int> queue(2);
  bool ran = false;
  auto other = spawn([&] { ran = true; });
  queue.put(1);
  queue.put(2);
  EXPECT_EQ(take(queue, 2), (Numbers{1, 2}));
  EXPECT_FALSE(ran);
  other.join();
}

// V17
TEST_F(GeventQueue, PuttersOfAFullQueueAreLetInInTheirOrder) {
  Journal log;
  Queue<int> queue(1);
  auto all = start(4, [&](int i) {
    queue.put(i);
    log("put ", i);
  });
  all.push_back(spawn([&] {
    for (int i = 0; i < 4; ++i) log("got ", queue.get());
  }));
  joinall(all);
  EXPECT_EQ(log.lines(),
            (Lines{"put 0", "got 0", "put 1", "got 1", "put 2", "got 2", "put 3", "got 3"}));
}

// V18: there is no peek.
TEST_F(GeventQueue, ARunningGreenletMayTakeWhatAGetterWasWokenFor) {
  Journal log;
  Queue<int> queue;
  auto getter = spawn([&] { log("getter got ", queue.get()); });
  yield();
  queue.put(1);
  log("taken ", *queue.try_get());
  yield();
  log("getter ready ", getter.ready());
  queue.put(2);
  getter.join();
  EXPECT_EQ(log.lines(), (Lines{"taken 1", "getter ready false", "getter got 2"}));
  queue.put(5);
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_FALSE(queue.empty());
  EXPECT_FALSE(queue.full());
}

// W18
TEST_F(GeventQueue, AGetterWhoseItemWasTakenIsLateAtItsOwnDeadline) {
  Queue<int> queue;
  auto begun = std::chrono::steady_clock::now();
  auto getter = spawn([&] { EXPECT_THROW(queue.get(10ms), fern::QueueEmpty); });
  yield();
  queue.put(1);
  EXPECT_EQ(queue.try_get(), 1);
  getter.join();
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 10ms);
}

// X14, of a queue.
TEST_F(GeventQueue, APutThatCameBeforeTheHubSawTheDeadlineCounts) {
  Queue<int> queue;
  fern::Deadline deadline = 20ms;
  auto getter = spawn([&] { return queue.get(deadline); });
  yield();
  while (!deadline.expired()) {
  }
  queue.put(1);
  EXPECT_EQ(getter.get(), 1);
}

// V19: a deadline in the past is none to refuse but one that has passed.
TEST_F(GeventQueue, WhatIsLateIsEmptyOrFull) {
  Queue<int> queue(1);
  EXPECT_THROW(queue.get(1ms), fern::QueueEmpty);
  EXPECT_THROW(queue.get(0s), fern::QueueEmpty);
  EXPECT_THROW(queue.get(-1s), fern::QueueEmpty);
  EXPECT_FALSE(queue.try_get().has_value());
  queue.put(1);
  EXPECT_THROW(queue.put(2, 1ms), fern::QueueFull);
  EXPECT_THROW(queue.put(3, 0s), fern::QueueFull);
  EXPECT_FALSE(queue.try_put(3));
  EXPECT_EQ(queue.get(0s), 1);
}

// V19: a queue ends by close(), not by a value that means the end.
TEST_F(GeventQueue, IterationTakesAllUntilTheQueueIsClosed) {
  Queue<int> queue(1);
  auto producer = spawn([&] {
    for (int i = 0; i < 3; ++i) queue.put(i);
    queue.close();
  });
  Numbers seen;
  for (int& item : queue) seen.push_back(item);
  EXPECT_EQ(seen, (Numbers{0, 1, 2}));
  producer.join();
}

// V20
TEST_F(GeventQueue, InARendezvousAPutEndsAfterTheGetterHasGoneOn) {
  Journal log;
  Queue<int> queue(0);
  auto putter = spawn([&] {
    for (int i = 0; i < 2; ++i) {
      log("putting ", i);
      queue.put(i);
      log("put ", i);
    }
  });
  auto getter = spawn([&] {
    for (int i = 0; i < 2; ++i) log("got ", queue.get());
  });
  joinall(putter, getter);
  EXPECT_EQ(log.lines(), (Lines{"putting 0", "got 0", "put 0", "putting 1", "got 1", "put 1"}));
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_TRUE(queue.empty());
  EXPECT_TRUE(queue.full());
}

// V21
TEST_F(GeventQueue, PuttersOfARendezvousAreServedInTheirOrderAndNothingIsKeptInIt) {
  Queue<int> queue(0);
  auto all = start(3, [&](int i) { queue.put(i); });
  EXPECT_EQ(take(queue, 3), (Numbers{0, 1, 2}));
  joinall(all);
  EXPECT_THROW(queue.put(1, 0s), fern::QueueFull);
  EXPECT_THROW(queue.get(0s), fern::QueueEmpty);
}

// V22
TEST_F(GeventQueue, TheYoungestComesFirstOrTheLeast) {
  fern::LifoQueue<int> lifo;
  fern::PriorityQueue<int> least_first;
  for (int item : {3, 1, 2}) {
    lifo.put(item);
    least_first.put(item);
  }
  EXPECT_EQ(take(lifo, 3), (Numbers{2, 1, 3}));
  EXPECT_EQ(take(least_first, 3), (Numbers{1, 2, 3}));
}

// V22
TEST_F(GeventQueue, WhoWaitsToPutIntoAFullPriorityQueueIsNotSortedYet) {
  fern::PriorityQueue<int> queue(2);
  Numbers items{5, 4, 1, 3};
  auto all = start(4, [&](int i) { queue.put(items[static_cast<std::size_t>(i)]); });
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(take(queue, 4), (Numbers{4, 5, 1, 3}));
  joinall(all);
}

// V23: how many tasks are unfinished shows only in join().
TEST_F(GeventQueue, JoinWaitsForATaskDoneForEachItem) {
  Journal log;
  Queue<int> queue;
  queue.put(1);
  queue.put(2);
  log("join ", queue.join(1ms));
  auto worker = spawn([&] {
    for (int i = 0; i < 2; ++i) {
      queue.get();
      log("done ", i);
      queue.task_done();
    }
  });
  log("join ", queue.join());
  EXPECT_THROW(queue.task_done(), std::logic_error);
  worker.join();
  EXPECT_EQ(log.lines(), (Lines{"join false", "done 0", "done 1", "join true"}));
}

// X12
TEST_F(GeventQueue, JoinersResumeInTheirOrderAfterTheConsumerWaits) {
  Journal log;
  Queue<int> queue;
  queue.put(1);
  auto all = start(2, [&](int i) {
    queue.join();
    log("joiner ", i);
  });
  all.push_back(spawn([&] {
    queue.get();
    queue.task_done();
    log("consumer done");
  }));
  joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"consumer done", "joiner 0", "joiner 1"}));
}

// W10
TEST_F(GeventQueue, AKilledGetterIsNoGetterAnyMore) {
  Queue<int> queue;
  auto getter = spawn([&] { return queue.get(); });
  yield();
  getter.kill();
  queue.put(1);
  yield();
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_TRUE(getter.killed());
}

// W11
TEST_F(GeventQueue, AGetterThatIsKilledAfterThePutStillGetsTheItem) {
  Queue<int> queue;
  auto getter = spawn([&] { return queue.get(); });
  yield();
  queue.put(1);
  getter.kill();
  EXPECT_EQ(queue.size(), 0u);
  ASSERT_NE(getter.value(), nullptr);
  EXPECT_EQ(*getter.value(), 1);
}

// gevent's shutdown(): those who wait are told, those who come are refused.
TEST_F(GeventQueue, CloseEndsTheWaitsOfGettersAndPutters) {
  Journal log;
  Queue<int> empty;
  Queue<int> full(1);
  full.put(1);
  auto getter = spawn([&] {
    EXPECT_THROW(empty.get(), fern::QueueClosed);
    log("getter");
  });
  auto putter = spawn([&] {
    EXPECT_THROW(full.put(2), fern::QueueClosed);
    log("putter");
  });
  yield();
  empty.close();
  full.close();
  log("closed");
  joinall(getter, putter);
  EXPECT_EQ(log.lines(), (Lines{"closed", "getter", "putter"}));
  EXPECT_THROW(full.put(3), fern::QueueClosed);
  EXPECT_EQ(full.get(), 1);
  EXPECT_THROW(full.get(), fern::QueueClosed);
}

// gevent's shutdown(immediate): what is left counts as done.
TEST_F(GeventQueue, AClosedQueueCanBeEmptiedSoThatItsJoinersGoOn) {
  Queue<int> queue;
  queue.put(1);
  queue.put(2);
  auto joiner = spawn([&] { return queue.join(); });
  yield();
  queue.close();
  while (queue.try_get()) queue.task_done();
  EXPECT_TRUE(joiner.get());
  EXPECT_THROW(queue.get(), fern::QueueClosed);
}

// On the hub's own stack what can be done at once is done.
TEST_F(GeventQueue, TheHubsOwnStackMayPutAndGetWhereItNeedNotWait) {
  Queue<int> queue;
  Queue<int> back;
  queue.put(1);
  fern::Hub::current().post([&] { back.put(queue.get() + 1); });
  EXPECT_EQ(back.get(), 2);
}

}  // namespace
