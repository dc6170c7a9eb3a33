#include "selects.hpp"

#include <fern/channel.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/queue.hpp>
#include <fern/select.hpp>

#include <array>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

namespace {

using namespace std::chrono_literals;
using fern::Channel;
using fern::on;
using fern::on_get;
using fern::on_put;
using fern::Queue;
using fern::select;
using fern::spawn;
using fern::try_select;
using fern::testing::Log;
using fern::testing::SelectTest;

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
  EXPECT_EQ(log[0], first == 0 ? "got a 1" : "got b 2") << "the getter goes first";
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
