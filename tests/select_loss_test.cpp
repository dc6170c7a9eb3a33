// What did not happen leaves no trace, and a closed channel or queue is told of.
#include "selects.hpp"

#include <fern/channel.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/queue.hpp>
#include <fern/select.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

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
using fern::when;
using fern::testing::Log;
using fern::testing::SelectTest;

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

}  // namespace
