#include "support.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/queue.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Greenlet;
using fern::Queue;
using fern::spawn;

using Log = std::vector<std::string>;

class QueueTest : public FernTest {
 protected:
  // Spawns getters that write their number and what they got.
  std::vector<Greenlet<void>> getters(Queue<std::string>& queue, int count) {
    std::vector<Greenlet<void>> all;
    for (int i = 0; i < count; ++i) {
      all.push_back(spawn([&, i] { log.push_back(std::to_string(i) + " got " + queue.get()); }));
    }
    fern::yield();
    return all;
  }

  Log log;
};

TEST_F(QueueTest, GivesWhatWasPutInOrder) {
  Queue<int> queue;
  EXPECT_TRUE(queue.empty());
  for (int i = 0; i < 5; ++i) queue.put(i);
  EXPECT_EQ(queue.size(), 5U);
  EXPECT_FALSE(queue.empty());
  EXPECT_FALSE(queue.full());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(queue.get(), i);
  EXPECT_TRUE(queue.empty());
}

TEST_F(QueueTest, MovesWhatCannotBeCopied) {
  Queue<std::unique_ptr<int>> queue(1);
  auto value = std::make_unique<int>(3);
  queue.put(std::move(value));
  auto refused = std::make_unique<int>(4);
  EXPECT_FALSE(queue.try_put(std::move(refused)));
  EXPECT_THROW(queue.put(std::move(refused), 0s), fern::QueueFull);
  EXPECT_EQ(*refused, 4);
  EXPECT_EQ(**queue.try_get(), 3);
}

TEST_F(QueueTest, RefusesANegativeCapacity) { EXPECT_THROW(Queue<int>(-1), std::invalid_argument); }

TEST_F(QueueTest, WhatCanBeDoneAtOnceDoesNotSwitch) {
  Queue<int> queue(2);
  bool ran = false;
  auto other = spawn([&] { ran = true; });
  queue.put(1);
  EXPECT_TRUE(queue.try_put(2));
  EXPECT_TRUE(queue.full());
  EXPECT_FALSE(queue.try_put(3));
  EXPECT_THROW(queue.put(3, 0s), fern::QueueFull);
  EXPECT_EQ(queue.get(), 1);
  EXPECT_EQ(queue.try_get(), 2);
  EXPECT_EQ(queue.try_get(), std::nullopt);
  EXPECT_THROW(queue.get(0s), fern::QueueEmpty);
  EXPECT_THROW(queue.get(-1s), fern::TimeoutError);
  EXPECT_FALSE(ran);
  other.join();
}

TEST_F(QueueTest, GetAndPutThrowNotBeforeTheDeadline) {
  Queue<int> queue(1);
  auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(queue.get(10ms), fern::QueueEmpty);
  queue.put(1);
  EXPECT_THROW(queue.put(2, 10ms), fern::QueueFull);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
  EXPECT_EQ(queue.get(), 1);
}

// gevent: put returns before the getter runs, and getters are served first come first.
TEST_F(QueueTest, GettersAreServedInTheOrderInWhichTheyCame) {
  Queue<std::string> queue;
  auto all = getters(queue, 3);
  for (const char* value : {"x", "y", "z"}) {
    queue.put(value);
    log.push_back(std::string("put ") + value);
  }
  fern::joinall(all);
  EXPECT_EQ(log, (Log{"put x", "put y", "put z", "0 got x", "1 got y", "2 got z"}));
}

// gevent: a queue of one alternates strictly.
TEST_F(QueueTest, PuttersAreAdmittedInTheOrderInWhichTheyCame) {
  Queue<int> queue(1);
  std::vector<Greenlet<void>> all;
  for (int i = 0; i < 4; ++i) {
    all.push_back(spawn([&, i] {
      queue.put(i);
      log.push_back("put " + std::to_string(i));
    }));
  }
  fern::yield();
  all.push_back(spawn([&] {
    for (int i = 0; i < 4; ++i) log.push_back("got " + std::to_string(queue.get()));
  }));
  fern::joinall(all);
  EXPECT_EQ(log, (Log{"put 0", "got 0", "put 1", "got 1", "put 2", "got 2", "put 3", "got 3"}));
}

// gevent: the running greenlet takes the item before the woken getter runs; that one waits on.
TEST_F(QueueTest, ARunningGreenletMayTakeTheItemAndTheGetterKeepsItsPlace) {
  Queue<std::string> queue;
  auto all = getters(queue, 2);
  queue.put("1");
  EXPECT_EQ(queue.try_get(), "1");
  fern::yield();
  EXPECT_TRUE(log.empty());
  queue.put("2");
  queue.put("3");
  fern::joinall(all);
  EXPECT_EQ(log, (Log{"0 got 2", "1 got 3"}));
}

// gevent: the deadline of a getter whose item was taken still counts.
TEST_F(QueueTest, AGetterWhoseItemWasTakenTimesOut) {
  Queue<int> queue;
  auto getter = spawn([&] { return queue.get(5ms); });
  fern::yield();
  queue.put(1);
  queue.get();
  EXPECT_THROW(getter.get(), fern::QueueEmpty);
}

TEST_F(QueueTest, AnItemWinsOverADeadlineThatIsDueTogetherWithIt) {
  Queue<int> queue;
  auto getter = spawn([&] { return queue.get(1ms); });
  fern::yield();
  std::this_thread::sleep_for(3ms);
  queue.put(1);
  EXPECT_EQ(getter.get(), 1);
}

// gevent: killed while it waits, the getter leaves what is put later.
TEST_F(QueueTest, AGetterKilledBeforeThePutTakesNothing) {
  Queue<int> queue;
  auto getter = spawn([&] { queue.get(); });
  fern::yield();
  getter.kill();
  queue.put(1);
  fern::yield();
  EXPECT_EQ(queue.size(), 1U);
}

// gevent: killed after the put, the getter has the item.
TEST_F(QueueTest, AGetterKilledAfterThePutGotTheItem) {
  Queue<int> queue;
  auto getter = spawn([&] { return queue.get(); });
  fern::yield();
  queue.put(1);
  getter.kill();
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(getter.get(), 1);
}

TEST_F(QueueTest, AGetterKilledTogetherWithThePutLeavesTheItemToTheNext) {
  Queue<int> queue;
  auto first = spawn([&] { queue.get(); });
  auto second = spawn([&] { return queue.get(); });
  fern::yield();
  first.kill({.block = false});
  queue.put(1);
  EXPECT_EQ(second.get(), 1);
  EXPECT_TRUE(first.killed());
}

TEST_F(QueueTest, AKilledPutterPutsNothingAndTheNextGetsTheRoom) {
  Queue<int> queue(1);
  queue.put(0);
  auto killed = spawn([&] { queue.put(1); });
  auto next = spawn([&] { queue.put(2); });
  fern::yield();
  killed.kill({.block = false});
  EXPECT_EQ(queue.get(), 0);
  next.get();
  EXPECT_EQ(queue.get(), 2);
  EXPECT_TRUE(queue.empty());
}

TEST_F(QueueTest, ATimeoutScopeEndsAGetAndAPut) {
  Queue<int> queue(1);
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] { queue.get(); }));
  queue.put(1);
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] { queue.put(2); }));
  EXPECT_EQ(queue.size(), 1U);
}

TEST_F(QueueTest, LifoQueuesGiveTheYoungestAndPriorityQueuesWhatComparesFirst) {
  fern::LifoQueue<int> lifo;
  fern::PriorityQueue<int> least;
  fern::PriorityQueue<int, std::greater<int>> greatest;
  for (int value : {3, 1, 2}) {
    lifo.put(value);
    least.put(value);
    greatest.put(value);
  }
  for (int value : {2, 1, 3}) EXPECT_EQ(lifo.get(), value);
  for (int value : {1, 2, 3}) EXPECT_EQ(least.get(), value);
  for (int value : {3, 2, 1}) EXPECT_EQ(greatest.get(), value);
}

// gevent: what is in it already is given first, whatever the blocked putters bring.
TEST_F(QueueTest, PuttersIntoAFullPriorityQueueWaitTheirTurn) {
  fern::PriorityQueue<int> queue(2);
  std::vector<Greenlet<void>> putters;
  for (int value : {5, 4, 1, 3}) putters.push_back(spawn([&, value] { queue.put(value); }));
  fern::yield();
  EXPECT_EQ(queue.size(), 2U);
  std::vector<int> got;
  for (int i = 0; i < 4; ++i) got.push_back(queue.get());
  EXPECT_EQ(got, (std::vector{4, 5, 1, 3}));
  fern::joinall(putters);
}

// gevent: join waits for a task_done() for each put.
TEST_F(QueueTest, JoinWaitsUntilEveryTaskIsDone) {
  Queue<int> queue;
  EXPECT_TRUE(queue.join());
  queue.put(1);
  queue.put(2);
  EXPECT_FALSE(queue.join(1ms));
  EXPECT_FALSE(queue.join(0s));
  auto worker = spawn([&] {
    for (int i = 0; i < 2; ++i) {
      queue.get();
      log.push_back("done");
      queue.task_done();
    }
  });
  EXPECT_TRUE(queue.join());
  log.push_back("joined");
  EXPECT_EQ(log, (Log{"done", "done", "joined"}));
  EXPECT_THROW(queue.task_done(), std::logic_error);
  worker.join();
}

// gevent: joiners go on in order, and the consumer first.
TEST_F(QueueTest, JoinersGoOnInOrderThoughMoreIsPutAtOnce) {
  Queue<int> queue;
  queue.put(1);
  std::vector<Greenlet<void>> all;
  for (int i = 0; i < 2; ++i) {
    all.push_back(spawn([&, i] {
      queue.join();
      log.push_back("joiner " + std::to_string(i));
    }));
  }
  all.push_back(spawn([&] {
    queue.get();
    queue.task_done();
    queue.put(2);
    log.push_back("consumer");
  }));
  fern::joinall(all);
  EXPECT_EQ(log, (Log{"consumer", "joiner 0", "joiner 1"}));
}

class QueueCloseTest : public QueueTest {};

TEST_F(QueueCloseTest, PutThrowsAndGetDrainsWhatIsLeft) {
  Queue<int> queue;
  queue.put(1);
  EXPECT_FALSE(queue.closed());
  queue.close();
  queue.close();
  EXPECT_TRUE(queue.closed());
  EXPECT_THROW(queue.put(2), fern::QueueClosed);
  EXPECT_THROW(queue.put(2, 0s), fern::QueueClosed);
  EXPECT_THROW(queue.try_put(2), fern::QueueClosed);
  EXPECT_EQ(queue.get(), 1);
  EXPECT_THROW(queue.get(), fern::QueueClosed);
  EXPECT_THROW(queue.get(1s), fern::QueueClosed);
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

TEST_F(QueueCloseTest, WaitingGettersAndPuttersAreToldInOrder) {
  Queue<int> full(1);
  Queue<int> empty;
  full.put(0);
  std::vector<Greenlet<void>> all;
  for (int i = 0; i < 2; ++i) {
    all.push_back(spawn([&, i] {
      EXPECT_THROW(full.put(i), fern::QueueClosed);
      log.push_back("putter " + std::to_string(i));
    }));
    all.push_back(spawn([&, i] {
      EXPECT_THROW(empty.get(), fern::QueueClosed);
      log.push_back("getter " + std::to_string(i));
    }));
  }
  fern::yield();
  full.close();
  empty.close();
  fern::joinall(all);
  EXPECT_EQ(log, (Log{"putter 0", "putter 1", "getter 0", "getter 1"}));
  EXPECT_EQ(full.get(), 0);
}

TEST_F(QueueTest, TheHubMayPutAndGetWhatIsThereButNotWait) {
  Queue<int> queue(1);
  Queue<int> rendezvous(0);
  fern::Event done;
  fern::Hub::current().post([&] {
    EXPECT_THROW(queue.get(), fern::BlockingInHub);
    queue.put(1);
    EXPECT_THROW(queue.put(2), fern::BlockingInHub);
    EXPECT_THROW(rendezvous.put(1), fern::BlockingInHub);
    EXPECT_EQ(queue.try_get(), 1);
    queue.put(3);
    done.set();
  });
  done.wait();
  EXPECT_EQ(queue.get(), 3);
  EXPECT_EQ(rendezvous.try_get(), std::nullopt);
}

// A value whose move fails stays in the queue, and the next getter is served.
TEST_F(QueueTest, AValueThatCannotBeMovedOutStays) {
  struct Fails {
    explicit Fails(int* budget) : budget(budget) {}
    Fails(Fails&& other) : budget(other.budget) {
      if ((*budget)-- == 0) throw std::runtime_error("moved");
    }
    int* budget;
  };
  int budget = 100;
  Queue<Fails> queue;
  auto first = spawn([&] { EXPECT_THROW(queue.get(), std::runtime_error); });
  auto next = spawn([&] { queue.get(); });
  fern::yield();
  queue.put(Fails(&budget));
  budget = 0;
  fern::joinall(first, next);
  next.get();
  EXPECT_TRUE(queue.empty());
}

}  // namespace
