#include "support.hpp"

#include <fern/async_result.hpp>
#include <fern/channel.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/queue.hpp>
#include <fern/select.hpp>
#include <fern/semaphore.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Channel;
using fern::on;
using fern::on_deadline;
using fern::on_get;
using fern::on_put;
using fern::Queue;
using fern::select;
using fern::spawn;
using fern::try_select;
using fern::when;

using Log = std::vector<std::string>;

class SelectTest : public FernTest {
 protected:
  auto say(std::string what) {
    return [this, what] { log.push_back(what); };
  }
  auto got(std::string where) {
    return [this, where](int value) { log.push_back(where + " " + std::to_string(value)); };
  }
  Log log;
};

// ---- what is possible at once

TEST_F(SelectTest, DoesTheOneThatIsPossibleWithoutASwitch) {
  Queue<int> empty;
  Queue<int> full(1);
  Queue<int> has_one;
  full.put(1);
  has_one.put(7);
  auto switches = fern::Hub::current().switches();
  EXPECT_EQ(select(on_get(empty, got("empty")), on_put(full, 2, say("full")),
                   on_get(has_one, got("has_one"))),
            2U);
  EXPECT_EQ(fern::Hub::current().switches(), switches);
  EXPECT_EQ(log, Log{"has_one 7"});
  EXPECT_TRUE(has_one.empty());
  EXPECT_EQ(full.size(), 1U);
}

TEST_F(SelectTest, PutsIntoAQueueWithRoom) {
  Queue<std::string> queue(1);
  EXPECT_EQ(select(on_put(queue, "a", say("put"))), 0U);
  EXPECT_EQ(queue.get(), "a");
  EXPECT_EQ(log, Log{"put"});
}

TEST_F(SelectTest, EachOrderOfItemsIsKept) {
  fern::PriorityQueue<int> queue;
  for (int i : {3, 1, 2}) EXPECT_EQ(try_select(on_put(queue, i)), 0U);
  for (int i = 0; i < 3; ++i) select(on_get(queue, got("")));
  EXPECT_EQ(log, (Log{" 1", " 2", " 3"}));
}

TEST_F(SelectTest, TrySelectNeverWaits) {
  Queue<int> empty;
  Channel<int> channel;
  fern::Event event;
  auto switches = fern::Hub::current().switches();
  EXPECT_EQ(try_select(on_get(empty, got("")), on_put(channel, 1), on(event)), std::nullopt);
  EXPECT_THROW(select(0s, on_get(empty, got("")), on_put(channel, 1)), fern::TimeoutError);
  event.set();
  EXPECT_EQ(try_select(on_get(empty, got("")), on(event, say("set"))), 1U);
  EXPECT_EQ(fern::Hub::current().switches(), switches);
  EXPECT_EQ(log, Log{"set"});
}

TEST_F(SelectTest, AmongSeveralThatArePossibleNoneStarves) {
  constexpr int rounds = 600;
  Queue<int> a;
  Queue<int> b;
  fern::Event event;
  event.set();
  std::array<int, 4> chosen{};
  for (int i = 0; i < rounds; ++i) {
    if (a.empty()) a.put(i);
    if (b.empty()) b.put(i);
    auto ignore = [](int) {};
    ++chosen[select(on_get(a, ignore), on(event), on_get(b, ignore), on_put(b, i))];
  }
  for (int count : chosen) EXPECT_GT(count, rounds / 16);
}

// Go: a channel whose getter waits is a possible case among others, and does not starve.
TEST_F(SelectTest, APutThatAGetterWaitsForDoesNotStarve) {
  Channel<int> channel;
  fern::Event event;
  event.set();
  int taken = 0;
  auto getter = spawn([&] {
    for ([[maybe_unused]] int value : channel) ++taken;
  });
  fern::yield();
  int put = 0;
  for (int i = 0; i < 100; ++i) {
    if (select(on_put(channel, i), on(event)) == 0) ++put;
  }
  channel.close();
  getter.join();
  EXPECT_EQ(taken, put);
  EXPECT_GT(put, 10);
  EXPECT_LT(put, 90);
}

TEST_F(SelectTest, WhatACaseThrowsLeavesSelectAfterItHappened) {
  Queue<int> queue;
  queue.put(1);
  EXPECT_THROW(select(on_get(queue, [](int) { throw std::runtime_error("no"); })),
               std::runtime_error);
  EXPECT_TRUE(queue.empty());
}

TEST_F(SelectTest, NothingIsHeldWhileACaseRuns) {
  Queue<int> queue;
  queue.put(1);
  select(on_get(queue, [&](int value) {
    queue.put(value + 1);
    select(on_get(queue, got("inner")));
    fern::yield();
  }));
  EXPECT_EQ(log, Log{"inner 2"});
}

// ---- waiting

TEST_F(SelectTest, WaitsUntilOneBecomesPossible) {
  Queue<int> a;
  Queue<int> b;
  auto selecting =
      spawn([&] { return select(on_get(a, got("a")), on_get(b, got("b")), on_put(b, 9)); });
  Queue<int> c(1);
  c.put(0);
  auto other = spawn([&] { return select(on_get(a, got("a")), on_put(c, 9, say("put"))); });
  fern::yield();
  EXPECT_EQ(selecting.get(), 2U) << "an unbounded queue always has room";
  EXPECT_FALSE(other.ready());
  c.get();
  EXPECT_EQ(other.get(), 1U);
  EXPECT_EQ(c.get(), 9);
  EXPECT_EQ(log, Log{"put"});
}

TEST_F(SelectTest, GetsFromWhicheverChannelIsPutInto) {
  Channel<int> a;
  Channel<int> b;
  for (int i = 0; i < 2; ++i) {
    auto selecting = spawn([&] { return select(on_get(a, got("a")), on_get(b, got("b"))); });
    fern::yield();
    EXPECT_EQ(a.balance(), -1);
    (i == 0 ? a : b).put(i);
    EXPECT_EQ(selecting.get(), static_cast<std::size_t>(i));
    EXPECT_EQ(a.balance(), 0);
    EXPECT_EQ(b.balance(), 0);
  }
  EXPECT_EQ(log, (Log{"a 0", "b 1"}));
}

TEST_F(SelectTest, OfTwoOffersOneIsTaken) {
  Channel<int> a;
  Channel<int> b;
  auto selecting = spawn([&] { return select(on_put(a, 1, say("a")), on_put(b, 2, say("b"))); });
  fern::yield();
  EXPECT_EQ(b.try_get(), 2);
  EXPECT_EQ(a.try_get(), std::nullopt) << "it is taken back with the other, even before it ran";
  EXPECT_EQ(selecting.get(), 1U);
  EXPECT_EQ(log, Log{"b"});
}

TEST_F(SelectTest, OfTwoGetsOneIsServed) {
  Channel<int> a;
  Channel<int> b;
  auto selecting = spawn([&] { return select(on_get(a, got("a")), on_get(b, got("b"))); });
  fern::yield();
  EXPECT_TRUE(a.try_put(1));
  EXPECT_FALSE(b.try_put(2));
  EXPECT_EQ(selecting.get(), 0U);
  EXPECT_EQ(log, Log{"a 1"});
}

TEST_F(SelectTest, TwoSelectsMeetEachOther) {
  Channel<int> a;
  Channel<int> b;
  auto one = spawn([&] { return select(on_put(a, 1, say("put a")), on_get(b, got("got b"))); });
  auto two = spawn([&] { return select(on_get(a, got("got a")), on_put(b, 2, say("put b"))); });
  std::size_t first = one.get();
  EXPECT_EQ(two.get(), first) << "they have met in one channel";
  ASSERT_EQ(log.size(), 2U);
  EXPECT_EQ(log[0], first == 0 ? "got a 1" : "put b");
  EXPECT_EQ(a.balance(), 0);
  EXPECT_EQ(b.balance(), 0);
}

TEST_F(SelectTest, NeverMeetsItself) {
  Channel<int> channel;
  auto both = [&] { return select(on_put(channel, 1), on_get(channel, got("got"))); };
  EXPECT_EQ(try_select(on_put(channel, 1), on_get(channel, got("got"))), std::nullopt);
  auto one = spawn(both);
  fern::yield();
  fern::yield();
  EXPECT_FALSE(one.ready());
  auto two = spawn(both);
  EXPECT_NE(one.get(), two.get());
  EXPECT_EQ(log, Log{"got 1"});
}

TEST_F(SelectTest, TheGetterOfAChannelGoesFirstAndThenTheSelectThatPut) {
  Channel<int> channel;
  auto getter = spawn([&] { got("got")(channel.get()); });
  fern::yield();
  select(on_put(channel, 1, say("put")));
  EXPECT_EQ(log, (Log{"got 1", "put"}));
  getter.join();
}

TEST_F(SelectTest, AQueueOfCapacityZeroIsAChannelToo) {
  Queue<int> queue(0);
  EXPECT_EQ(try_select(on_put(queue, 1), on_get(queue, got("got"))), std::nullopt);
  auto getting = spawn([&] { return select(on_get(queue, got("got"))); });
  select(on_put(queue, 1, say("put")));
  getting.join();
  EXPECT_EQ(log, (Log{"got 1", "put"}));
}

TEST_F(SelectTest, TheSameQueueMayStandInSeveralCases) {
  Queue<int> queue;
  auto selecting = spawn([&] { return select(on_get(queue, got("a")), on_get(queue, got("b"))); });
  fern::yield();
  queue.put(1);
  queue.put(2);
  selecting.join();
  EXPECT_EQ(queue.size(), 1U);
  EXPECT_EQ(log.size(), 1U);
}

// A running greenlet may take the item first; the select waits on, for all of its cases.
TEST_F(SelectTest, ASelectThatWasWokenInVainWaitsOn) {
  Queue<int> queue;
  Channel<int> channel;
  auto selecting =
      spawn([&] { return select(on_get(queue, got("queue")), on_put(channel, 5, say("put"))); });
  fern::yield();
  queue.put(1);
  EXPECT_EQ(queue.try_get(), 1);
  EXPECT_EQ(channel.try_get(), std::nullopt) << "awake, it is not to be had";
  auto getter = spawn([&] { return channel.get(); });
  EXPECT_EQ(getter.get(), 5) << "it came back, and met who had come meanwhile";
  EXPECT_EQ(selecting.get(), 1U);
  EXPECT_EQ(log, Log{"put"});
}

// ---- nothing is lost

TEST_F(SelectTest, WhatIsNotPutStaysWithTheCaller) {
  Channel<std::unique_ptr<int>> channel;
  fern::Event event;
  auto value = std::make_unique<int>(1);
  event.set();
  EXPECT_EQ(select(on_put(channel, std::move(value)), on(event)), 1U);
  EXPECT_NE(value, nullptr);
  EXPECT_THROW(select(1ms, on_put(channel, std::move(value))), fern::TimeoutError);
  EXPECT_NE(value, nullptr);
  auto getter = spawn([&] { return *channel.get(); });
  select(on_put(channel, std::move(value)));
  EXPECT_EQ(value, nullptr);
  EXPECT_EQ(getter.get(), 1);
}

TEST_F(SelectTest, AnLvalueIsCopied) {
  Queue<std::string> queue;
  std::string value = "a";
  select(on_put(queue, value));
  EXPECT_EQ(value, "a");
  EXPECT_EQ(queue.get(), "a");
}

TEST_F(SelectTest, ANotificationThatIsNotNeededIsHandedOn) {
  Queue<int> a;
  Queue<int> b;
  auto selecting = spawn([&] { return select(on_get(a, got("a")), on_get(b, got("b"))); });
  auto getter_a = spawn([&] { return a.get(); });
  auto getter_b = spawn([&] { return b.get(); });
  fern::yield();
  a.put(1);
  b.put(2);
  std::size_t chosen = selecting.get();
  (chosen == 0 ? getter_b : getter_a).get();
  (chosen == 0 ? a : b).put(3);
  EXPECT_EQ((chosen == 0 ? getter_a : getter_b).get(), 3);
}

TEST_F(SelectTest, AKilledSelectHandsOnWhatItWasWokenFor) {
  Queue<int> queue;
  Channel<int> channel;
  auto selecting = spawn([&] { select(on_get(queue, got("")), on_get(channel, got(""))); });
  auto getter = spawn([&] { return queue.get(); });
  fern::yield();
  selecting.kill({.block = false});
  queue.put(1);
  EXPECT_EQ(getter.get(), 1);
  EXPECT_TRUE(selecting.killed());
  EXPECT_EQ(channel.balance(), 0);
  EXPECT_EQ(log, Log{});
}

TEST_F(SelectTest, AKillAfterItWasServedComesAtTheNextWait) {
  Channel<int> a;
  Channel<int> b;
  auto selecting = spawn([&] {
    select(on_get(a, got("a")), on_put(b, 1, say("b")));
    fern::yield();
    log.push_back("not reached");
  });
  fern::yield();
  EXPECT_EQ(b.try_get(), 1);
  selecting.kill();
  EXPECT_EQ(log, Log{"b"});
}

TEST_F(SelectTest, ATimeoutScopeEndsItAndLeavesNothingBehind) {
  Channel<int> channel;
  Queue<int> queue;
  {
    fern::Timeout timeout(1ms);
    EXPECT_THROW(select(on_put(channel, 1), on_get(queue, got(""))), fern::TimeoutError);
    EXPECT_TRUE(timeout.expired());
  }
  EXPECT_EQ(channel.balance(), 0);
  EXPECT_EQ(channel.try_get(), std::nullopt);
}

TEST_F(SelectTest, ATimeoutTakenBackWhileAKillIsHandledChangesNothing) {
  Channel<int> channel;
  Queue<int> queue;
  fern::Timeout* scope = nullptr;
  auto selecting = spawn([&] {
    try {
      fern::Event().wait();
    } catch (const fern::GreenletExit&) {
      fern::Timeout timeout(1ms);
      scope = &timeout;
      select(on_get(channel, got("channel")), on_get(queue, got("queue")));
      throw;
    }
  });
  fern::yield();
  selecting.kill({.block = false});
  while (scope == nullptr || !scope->expired()) fern::yield();
  scope->cancel();  // it has been woken, and has not had its turn
  fern::yield();
  EXPECT_FALSE(selecting.ready());
  queue.put(1);
  selecting.join();
  EXPECT_EQ(log, Log{"queue 1"});
}

struct Fragile {
  explicit Fragile(int value) : value(value) {}
  Fragile(Fragile&& other) : value(other.value) {
    if (value < 0) throw std::runtime_error("broke");
  }
  int value;
};

TEST_F(SelectTest, AMoveThatThrowsIsAsIfNobodyHadTried) {
  Channel<Fragile> channel;
  Queue<Fragile> queue(1);
  Fragile bad(-1);
  auto getter = spawn([&] { return channel.get().value; });
  fern::yield();
  EXPECT_THROW(select(on_put(channel, std::move(bad))), std::runtime_error);
  EXPECT_THROW(select(on_put(queue, std::move(bad))), std::runtime_error);
  EXPECT_TRUE(queue.empty());
  select(on_put(channel, Fragile(2)));
  EXPECT_EQ(getter.get(), 2);
}

// ---- closing

TEST_F(SelectTest, AGetFromWhatIsClosedThrowsOrTells) {
  Queue<int> queue;
  Channel<int> channel;
  queue.put(1);
  queue.close();
  channel.close();
  select(on_get(queue, got("queue"), say("closed")));
  select(on_get(queue, got("queue"), say("queue closed")));
  select(on_get(channel, got("channel"), say("channel closed")));
  EXPECT_EQ(log, (Log{"queue 1", "queue closed", "channel closed"}));
  EXPECT_THROW(select(on_get(queue, got("queue"))), fern::QueueClosed);
  EXPECT_THROW(try_select(on_get(channel, got("channel"))), fern::QueueClosed);
}

TEST_F(SelectTest, APutIntoWhatIsClosedThrows) {
  Queue<int> queue(1);
  Channel<int> channel;
  queue.close();
  channel.close();
  EXPECT_THROW(select(on_put(queue, 1)), fern::QueueClosed);
  EXPECT_THROW(select(on_put(channel, 1)), fern::QueueClosed);
}

TEST_F(SelectTest, ACloseWakesIt) {
  Queue<int> queue;
  Channel<int> channel;
  Queue<int> other;
  auto told = spawn([&] { select(on_get(other, got("")), on_get(queue, got(""), say("closed"))); });
  auto thrown = spawn([&] {
    EXPECT_THROW(select(on_get(other, got("")), on_put(channel, 1)), fern::QueueClosed);
    log.push_back("refused");
  });
  fern::yield();
  queue.close();
  channel.close();
  fern::joinall(told, thrown);
  EXPECT_EQ(log, (Log{"closed", "refused"}));
}

// Go sets such a channel to nil: with that two are merged until both are closed.
TEST_F(SelectTest, WhenLeavesACaseOut) {
  Channel<int> a;
  Channel<int> b;
  auto putter = [](Channel<int>& channel, int from, int to) {
    for (int i = from; i < to; ++i) channel.put(i);
    channel.close();
  };
  auto put_a = spawn([&] { putter(a, 0, 3); });
  auto put_b = spawn([&] { putter(b, 10, 17); });
  bool open_a = true;
  bool open_b = true;
  int sum = 0;
  while (open_a || open_b) {
    auto add = [&](int value) { sum += value; };
    select(when(open_a, on_get(a, add, [&] { open_a = false; })),
           when(open_b, on_get(b, add, [&] { open_b = false; })));
  }
  EXPECT_EQ(sum, 0 + 1 + 2 + 10 + 11 + 12 + 13 + 14 + 15 + 16);
  fern::joinall(put_a, put_b);
  EXPECT_EQ(try_select(when(false, on_get(a, got("")))), std::nullopt);
}

// ---- what only becomes ready

TEST_F(SelectTest, AnEventThatIsSetAndClearedIsNotMissed) {
  fern::Event event;
  Queue<int> queue;
  auto selecting = spawn([&] { return select(on_get(queue, got("")), on(event, say("set"))); });
  fern::yield();
  event.set();
  event.clear();
  EXPECT_EQ(selecting.get(), 1U);
}

TEST_F(SelectTest, AnEventIsNotMissedBehindAnItemThatSomebodyElseTook) {
  fern::Event event;
  Queue<int> queue;
  auto selecting = spawn([&] { return select(on_get(queue, got("")), on(event, say("set"))); });
  fern::yield();
  queue.put(1);
  event.set();
  event.clear();
  EXPECT_EQ(queue.get(), 1);
  EXPECT_EQ(selecting.get(), 1U);
}

TEST_F(SelectTest, ASemaphoreKeepsItsPermitAndItsOtherWaiters) {
  fern::Semaphore semaphore(0);
  Queue<int> queue;
  auto selecting =
      spawn([&] { return select(on_get(queue, got("")), on(semaphore, say("free"))); });
  auto acquiring = spawn([&] { return semaphore.acquire(); });
  fern::yield();
  semaphore.release();
  EXPECT_TRUE(acquiring.get()) << "whoever only looks does not use the permit up";
  EXPECT_EQ(selecting.get(), 1U);
  auto alone = spawn([&] { return select(on_get(queue, got("")), on(semaphore)); });
  fern::yield();
  semaphore.release();
  EXPECT_EQ(alone.get(), 1U);
  EXPECT_EQ(select(on(semaphore)), 0U);
  EXPECT_EQ(semaphore.counter(), 1);
  EXPECT_TRUE(semaphore.try_acquire());
}

TEST_F(SelectTest, AResultIsGivenToACaseThatTakesIt) {
  fern::AsyncResult<std::string> result;
  fern::AsyncResult<void> done;
  auto selecting = spawn([&] {
    select(on(result, [&](std::string& text) { log.push_back(text); }), on(done, say("done")));
    select(on(done, say("done")));
    select(on(result, say("ready")));
  });
  fern::yield();
  result.set("a");
  done.set();
  selecting.get();
  EXPECT_EQ(log, (Log{"a", "done", "ready"}));
}

TEST_F(SelectTest, AnExceptionInsteadOfAResultIsThrownToACaseThatTakesIt) {
  fern::AsyncResult<int> result;
  result.set_exception(std::runtime_error("failed"));
  EXPECT_THROW(select(on(result, [](int&) {})), std::runtime_error);
  EXPECT_EQ(select(on(result, say("ready"))), 0U);
}

TEST_F(SelectTest, AGreenletsEndIsACase) {
  Channel<int> channel;
  auto quick = spawn([] { return 5; });
  auto slow = spawn([&] { return channel.get(); });
  select(on_put(channel, 0, say("never")), on(quick, [&](int value) { got("quick")(value); }));
  EXPECT_EQ(select(on_put(channel, 1), on(slow)), 0U);
  EXPECT_EQ(select(on(slow)), 0U);
  fern::AnyGreenlet any = spawn([] { throw std::runtime_error("failed"); });
  EXPECT_EQ(select(on(any)), 0U) << "without a function that takes it nothing is thrown";
  EXPECT_NE(any.exception(), nullptr);
  EXPECT_THROW(select(on(fern::AnyGreenlet())), fern::GreenletError);
}

TEST_F(SelectTest, LeftHalfWayItWatchesNoGreenlet) {
  fern::Event stop;
  auto waits = spawn([&] { stop.wait(); });
  EXPECT_THROW(select(1ms, on(waits), on(waits)), fern::TimeoutError);
  auto killed = spawn([&] { select(on(waits)); });
  fern::yield();
  killed.kill();
  stop.set();
  waits.join();
}

TEST_F(SelectTest, ThatNothingCanEverHappenIsFoundOut) {
  Queue<int> queue;
  EXPECT_THROW(select(on_get(queue, got(""))), fern::LoopExit);
  EXPECT_THROW(select(when(false, on_get(queue, got("")))), fern::LoopExit);
}

// ---- time

TEST_F(SelectTest, ThrowsWhenItsDeadlinePasses) {
  Queue<int> queue;
  auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(select(2ms, on_get(queue, got(""))), fern::TimeoutError);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 2ms);
}

TEST_F(SelectTest, APointOfTimeIsACase) {
  Queue<int> queue;
  fern::Deadline soon = 1ms;
  EXPECT_EQ(select(on_get(queue, got("")), on_deadline(1h), on_deadline(soon, say("soon"))), 2U);
  EXPECT_EQ(select(soon, on_get(queue, got("")), on_deadline(soon, say("soon"))), 1U)
      << "before the deadline of the call, which is due together with it";
  EXPECT_EQ(try_select(on_deadline(0s), on_deadline(1h)), 0U);
  EXPECT_EQ(try_select(on_deadline(1h)), std::nullopt);
  queue.put(1);
  EXPECT_EQ(select(on_deadline(0s), on_get(queue, got("got"))), 1U)
      << "what is possible goes first";
  EXPECT_EQ(log, (Log{"soon", "soon", "got 1"}));
}

TEST_F(SelectTest, OperationAndDeadlineDueTogetherIsTheOperation) {
  Queue<int> queue;
  Channel<int> channel;
  fern::Deadline soon = 1ms;
  auto putting = spawn([&] {
    fern::sleep(soon);
    queue.put(1);
    channel.put(2);
  });
  fern::yield();
  auto from_queue = spawn([&] { return select(soon, on_get(queue, got("queue"))); });
  auto from_channel = spawn([&] { return select(soon, on_get(channel, got("channel"))); });
  EXPECT_EQ(from_queue.get(), 0U);
  EXPECT_EQ(from_channel.get(), 0U);
  putting.join();
  EXPECT_EQ(log, (Log{"queue 1", "channel 2"}));
}

// ---- where it may be called

TEST_F(SelectTest, OnTheHubsOwnStackItDoesWhatNeedsNoWait) {
  Queue<int> queue;
  Channel<int> channel;
  bool refused = false;
  auto getter = spawn([&] { return channel.get(); });
  fern::yield();
  queue.put(1);
  fern::Hub::current().post([&] {
    select(on_get(queue, got("got")));
    select(on_put(channel, 2));
    try {
      select(on_get(queue, got("never")), on(getter));
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
  });
  EXPECT_EQ(getter.get(), 2);
  EXPECT_TRUE(refused);
  EXPECT_EQ(log, Log{"got 1"});
}

TEST_F(SelectTest, BlockingAllocatesNothing) {
  Queue<int> queue;
  Channel<int> channel;
  fern::Event event;
  auto putter = spawn([&] {
    for (int i = 0; i < 10; ++i) {
      fern::yield();
      channel.put(i);
    }
    event.set();
  });
  fern::yield();
  int sum = 0;
  bool more = true;
  auto before = fern::testing::heap_allocations();
  while (more) {
    select(1h, on_get(queue, [](int) {}), on_get(channel, [&](int value) { sum += value; }),
           on(event, [&] { more = false; }), on(putter));
  }
  EXPECT_EQ(fern::testing::heap_allocations(), before);
  EXPECT_EQ(sum, 45);
  putter.join();
}

}  // namespace
