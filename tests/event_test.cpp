#include "support.hpp"

#include <fern/async_result.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/queue.hpp>
#include <fern/semaphore.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Event;
using fern::Greenlet;
using fern::spawn;

using Log = std::vector<std::string>;

class EventTest : public FernTest {};

TEST_F(EventTest, IsClearedAtFirstAndRemembersBeingSet) {
  Event event;
  EXPECT_FALSE(event.is_set());
  event.set();
  EXPECT_TRUE(event.is_set());
  event.set();
  EXPECT_TRUE(event.is_set());
  event.clear();
  EXPECT_FALSE(event.is_set());
}

// gevent: a set event is waited for without switching.
TEST_F(EventTest, WaitOnASetEventDoesNotSwitch) {
  Event event;
  event.set();
  auto switches = fern::Hub::current().switches();
  EXPECT_TRUE(event.wait());
  EXPECT_TRUE(event.wait(0s));
  EXPECT_TRUE(event.wait(-1s));
  EXPECT_EQ(fern::Hub::current().switches(), switches);
}

TEST_F(EventTest, AZeroDeadlineNeverParks) {
  Event event;
  bool ran = false;
  auto other = spawn([&] { ran = true; });
  EXPECT_FALSE(event.wait(0s));
  EXPECT_FALSE(event.wait(-5ms));
  EXPECT_FALSE(ran);
  other.join();
}

// gevent: what was spawned before the set runs before the waiters, what comes after it after them.
TEST_F(EventTest, SetWakesWaitersInTheirOrderWithinTheOneReadyQueue) {
  Event event;
  Log log;
  std::vector<Greenlet<void>> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(spawn([&, i] {
      log.push_back("wait " + std::to_string(i));
      bool woken = event.wait();
      log.push_back((woken ? "woke " : "late ") + std::to_string(i));
    }));
  }
  fern::yield();
  all.push_back(spawn([&] { log.push_back("spawned before"); }));
  event.set();
  all.push_back(spawn([&] { log.push_back("spawned after"); }));
  log.push_back("set");
  fern::joinall(all);
  EXPECT_EQ(log, (Log{"wait 0", "wait 1", "wait 2", "set", "spawned before", "woke 0", "woke 1",
                      "woke 2", "spawned after"}));
}

// gevent: one FIFO for whatever makes ready, in the order in which it was done.
TEST_F(EventTest, WakeUpsOfAllKindsComeInTheOrderInWhichTheyWereMade) {
  Event event;
  fern::Queue<int> queue;
  fern::Semaphore semaphore(0);
  fern::AsyncResult<int> result;
  Log log;
  std::vector<Greenlet<void>> all;
  auto wait = [&](std::string name, std::function<void()> f) {
    all.push_back(spawn([&log, name, f] {
      f();
      log.push_back(name);
    }));
  };
  wait("event", [&] { event.wait(); });
  wait("queue", [&] { queue.get(); });
  wait("semaphore", [&] { semaphore.acquire(); });
  wait("result", [&] { result.get(); });
  auto yields = spawn([] { fern::yield(); });
  wait("join", [&] { yields.join(); });
  fern::yield();
  semaphore.release();
  queue.put(1);
  result.set(1);
  wait("spawned", [] {});
  event.set();
  EXPECT_TRUE(log.empty());
  fern::joinall(all);
  EXPECT_EQ(log, (Log{"semaphore", "queue", "result", "spawned", "event", "join"}));
}

// gevent: set() and clear() at once still wake everybody, with true.
TEST_F(EventTest, WaitersWakeTrueThoughTheEventIsClearedAtOnce) {
  Event event;
  std::vector<Greenlet<bool>> waiters;
  for (int i = 0; i < 2; ++i) waiters.push_back(spawn([&] { return event.wait(10s); }));
  fern::yield();
  event.set();
  event.clear();
  EXPECT_FALSE(event.is_set());
  for (auto& waiter : waiters) EXPECT_TRUE(waiter.get());
}

// gevent: one woken waiter may clear the event and another wait anew, the rest wakes all the same.
TEST_F(EventTest, AWokenWaiterMayClearAndWaitAgainWithoutHarmToTheOthers) {
  Event event;
  Log log;
  std::vector<Greenlet<void>> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.push_back(spawn([&, i] {
      event.wait();
      log.push_back("woke " + std::to_string(i));
      if (i == 0) event.clear();
      if (i == 1) log.push_back(event.wait(1ms) ? "again true" : "again false");
    }));
  }
  fern::yield();
  event.set();
  fern::joinall(waiters);
  EXPECT_EQ(log, (Log{"woke 0", "woke 1", "woke 2", "again false"}));
}

TEST_F(EventTest, WaitEndsWithFalseNotBeforeTheDeadline) {
  Event event;
  auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(event.wait(10ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
}

TEST_F(EventTest, ATimedOutWaiterLeavesTheOthersInOrder) {
  Event event;
  Log log;
  auto wait = [&](std::string name, fern::Deadline deadline) {
    return spawn([&log, &event, name, deadline] {
      log.push_back(name + (event.wait(deadline) ? " true" : " false"));
    });
  };
  std::vector<Greenlet<void>> all{wait("a", {}), wait("b", 1ms), wait("c", {})};
  all[1].join();
  event.set();
  fern::joinall(all);
  EXPECT_EQ(log, (Log{"b false", "a true", "c true"}));
}

// Both are due at the next look at the clock; the operation wins.
TEST_F(EventTest, SetWinsOverADeadlineThatIsDueTogetherWithIt) {
  Event event;
  auto waiter = spawn([&] { return event.wait(1ms); });
  fern::yield();
  std::this_thread::sleep_for(3ms);
  event.set();
  EXPECT_TRUE(waiter.get());
}

TEST_F(EventTest, KillEndsAWait) {
  Event event;
  auto killed = spawn([&] { event.wait(); });
  auto other = spawn([&] { return event.wait(); });
  fern::yield();
  killed.kill();
  EXPECT_TRUE(killed.killed());
  EXPECT_FALSE(other.ready());
  event.set();
  EXPECT_TRUE(other.get());
}

// gevent: a waiter that was woken already goes on; the kill meets it at its next wait.
TEST_F(EventTest, KillAfterSetLetsTheWaitSucceed) {
  Event event;
  bool woke = false;
  auto waiter = spawn([&] {
    woke = event.wait();
    event.clear();
    event.wait();
  });
  fern::yield();
  event.set();
  waiter.kill({.block = false});
  waiter.join();
  EXPECT_TRUE(woke);
  EXPECT_TRUE(waiter.killed());
}

TEST_F(EventTest, ATimeoutScopeThrowsFromTheWait) {
  Event event;
  fern::Timeout timeout(1ms);
  EXPECT_THROW(event.wait(), fern::TimeoutError);
}

TEST_F(EventTest, TheHubMaySetButNotWait) {
  Event event;
  Event asked;
  std::string error;
  fern::Hub::current().post([&] {
    try {
      asked.wait();
    } catch (const fern::BlockingInHub& thrown) {
      error = thrown.what();
    }
    EXPECT_FALSE(asked.wait(0s));
    event.set();
    EXPECT_TRUE(event.wait());
  });
  EXPECT_TRUE(event.wait());
  EXPECT_NE(error.find("Event::wait()"), std::string::npos) << error;
}

class EventThreadsTest : public EventTest {
 protected:
  EventThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

TEST_F(EventThreadsTest, APlainThreadSetsItForAGreenlet) {
  Event event;
  std::jthread setter([&] {
    std::this_thread::sleep_for(2ms);
    event.set();
  });
  EXPECT_TRUE(event.wait(30s));
}

TEST_F(EventThreadsTest, APlainThreadWaitsForAGreenlet) {
  Event event;
  Event waiting;
  std::optional<bool> woken;
  std::jthread waiter([&] {
    waiting.set();
    woken = event.wait();
  });
  waiting.wait();
  fern::sleep(1ms);
  event.set();
  waiter.join();
  EXPECT_EQ(woken, true);
}

TEST_F(EventThreadsTest, SetWakesWaitersOfEveryHub) {
  constexpr int per_hub = 20;
  Event event;
  std::atomic<int> waiting{0};
  std::atomic<int> woken{0};
  auto run = [&] {
    std::vector<Greenlet<void>> waiters;
    for (int i = 0; i < per_hub; ++i) {
      waiters.push_back(spawn([&] {
        ++waiting;
        if (event.wait(30s)) ++woken;
      }));
    }
    fern::joinall(waiters);
  };
  std::jthread one(run);
  std::jthread two(run);
  while (waiting < 2 * per_hub) fern::sleep(1ms);
  event.set();
  one.join();
  two.join();
  EXPECT_EQ(woken, 2 * per_hub);
}

// The waiter may destroy the event as soon as its wait has returned.
TEST_F(EventThreadsTest, TheEventMayGoWhileSetStillReturns) {
  for (int round = 0; round < 300; ++round) {
    auto event = std::make_unique<Event>();
    std::jthread setter([&] { event->set(); });
    event->wait();
    event.reset();
  }
}

TEST_F(EventThreadsTest, TwoHubsPlayPingPong) {
  constexpr int rounds = 2000;
  Event ping;
  Event pong;
  std::jthread other([&] {
    for (int i = 0; i < rounds; ++i) {
      ping.wait();
      ping.clear();
      pong.set();
    }
  });
  for (int i = 0; i < rounds; ++i) {
    ping.set();
    ASSERT_TRUE(pong.wait(30s));
    pong.clear();
  }
}

// Kills and sets of the same waiters from different threads: each wait ends, one way or the other.
TEST_F(EventThreadsTest, KillAndSetFromTwoThreadsRaceWithoutLoss) {
  for (int round = 0; round < 100; ++round) {
    Event event;
    std::vector<Greenlet<bool>> waiters;
    for (int i = 0; i < 8; ++i) waiters.push_back(spawn([&] { return event.wait(); }));
    fern::yield();
    std::jthread setter([&] { event.set(); });
    for (int i = 0; i < 8; i += 2) waiters[i].kill({.block = false});
    for (int i = 0; i < 8; ++i) {
      waiters[i].join();
      EXPECT_TRUE(waiters[i].killed() || waiters[i].get());
    }
    for (int i = 1; i < 8; i += 2) EXPECT_FALSE(waiters[i].killed());
  }
}

}  // namespace
