#include "children.hpp"
#include "support.hpp"

#include <fern/channel.hpp>
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/select.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Channel;
using fern::Greenlet;
using fern::spawn;

using Log = std::vector<std::string>;

class ChannelTest : public FernTest {
 protected:
  Log log;
};

// gevent: the getter resumes first, then the putter.
TEST_F(ChannelTest, TheGetterGoesOnFirstAndThenThePutter) {
  Channel<int> channel;
  auto putter = spawn([&] {
    for (int i = 0; i < 3; ++i) {
      log.push_back("putting " + std::to_string(i));
      channel.put(i);
      log.push_back("put " + std::to_string(i));
    }
  });
  auto getter = spawn([&] {
    for (int i = 0; i < 3; ++i) log.push_back("got " + std::to_string(channel.get()));
  });
  fern::joinall(putter, getter);
  EXPECT_EQ(log, (Log{"putting 0", "got 0", "put 0", "putting 1", "got 1", "put 1", "putting 2",
                      "got 2", "put 2"}));
}

TEST_F(ChannelTest, AGetterThatWaitsGoesOnBeforeThePutterDoes) {
  Channel<int> channel;
  auto getter = spawn([&] { log.push_back("got " + std::to_string(channel.get())); });
  fern::yield();
  channel.put(1);
  log.push_back("put");
  EXPECT_EQ(log, (Log{"got 1", "put"}));
  getter.join();
}

// gevent's test of many putters: balance 3, 0 1 2, Full, Empty.
TEST_F(ChannelTest, PuttersAreServedFirstComeFirstAndCounted) {
  Channel<int> channel;
  std::vector<Greenlet<void>> putters;
  for (int i = 0; i < 3; ++i) putters.push_back(spawn([&, i] { channel.put(i); }));
  fern::yield();
  EXPECT_EQ(channel.balance(), 3);
  auto switches = fern::Hub::current().switches();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(channel.get(), i);
  EXPECT_EQ(fern::Hub::current().switches(), switches) << "what is offered is taken at once";
  fern::joinall(putters);
  EXPECT_EQ(channel.balance(), 0);
  EXPECT_THROW(channel.put(1, 0s), fern::QueueFull);
  EXPECT_THROW(channel.get(0s), fern::QueueEmpty);
}

TEST_F(ChannelTest, GettersAreServedFirstComeFirstAndCountedBelowZero) {
  Channel<int> channel;
  std::vector<Greenlet<int>> getters;
  for (int i = 0; i < 3; ++i) getters.push_back(spawn([&] { return channel.get(); }));
  fern::yield();
  EXPECT_EQ(channel.balance(), -3);
  for (int i = 0; i < 3; ++i) channel.put(i);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(getters[i].get(), i);
}

TEST_F(ChannelTest, NothingEverStaysInIt) {
  Channel<int> channel;
  auto putter = spawn([&] { channel.put(1); });
  fern::yield();
  EXPECT_EQ(channel.size(), 0U);
  EXPECT_TRUE(channel.empty());
  EXPECT_TRUE(channel.full());
  EXPECT_EQ(channel.get(), 1);
  putter.join();
}

TEST_F(ChannelTest, TryPutAndTryGetNeedSomebodyWhoWaits) {
  Channel<std::string> channel;
  EXPECT_FALSE(channel.try_put("nobody"));
  EXPECT_EQ(channel.try_get(), std::nullopt);
  auto getter = spawn([&] { return channel.get(); });
  fern::yield();
  EXPECT_TRUE(channel.try_put("a"));
  EXPECT_FALSE(channel.try_put("b")) << "the getter was served";
  EXPECT_EQ(getter.get(), "a");
  auto putter = spawn([&] { channel.put("c"); });
  fern::yield();
  EXPECT_EQ(channel.try_get(), "c");
  putter.join();
}

TEST_F(ChannelTest, LateOnesTakeAndHandOverNothing) {
  Channel<std::unique_ptr<int>> channel;
  auto value = std::make_unique<int>(1);
  EXPECT_THROW(channel.put(std::move(value), 1ms), fern::QueueFull);
  EXPECT_NE(value, nullptr);
  EXPECT_THROW(channel.get(1ms), fern::QueueEmpty);
  EXPECT_EQ(channel.balance(), 0);
  auto getter = spawn([&] { return *channel.get(1h); });
  channel.put(std::move(value), 1h);
  EXPECT_EQ(value, nullptr);
  EXPECT_EQ(getter.get(), 1);
}

TEST_F(ChannelTest, AKilledPutterHasHandedOverNothing) {
  Channel<int> channel;
  auto killed = spawn([&] { channel.put(1); });
  auto stays = spawn([&] { channel.put(2); });
  fern::yield();
  killed.kill({.block = false});
  EXPECT_EQ(channel.get(), 2) << "whoever is being killed is passed over";
  stays.join();
  EXPECT_TRUE(killed.killed());
}

TEST_F(ChannelTest, AKilledGetterTakesNothing) {
  Channel<int> channel;
  auto killed = spawn([&] { channel.get(); });
  auto stays = spawn([&] { return channel.get(); });
  fern::yield();
  killed.kill({.block = false});
  EXPECT_TRUE(channel.try_put(1));
  EXPECT_EQ(stays.get(), 1);
  EXPECT_TRUE(killed.killed());
}

// The hand-over came first: both have what they came for, and the kill comes at the next wait.
TEST_F(ChannelTest, AKillAfterTheHandOverComesAtTheNextWait) {
  Channel<int> channel;
  auto getter = spawn([&] {
    log.push_back("got " + std::to_string(channel.get()));
    fern::yield();
    log.push_back("not reached");
  });
  fern::yield();
  EXPECT_TRUE(channel.try_put(1));
  getter.kill();
  auto putter = spawn([&] {
    channel.put(2);
    log.push_back("put");
    fern::yield();
    log.push_back("not reached");
  });
  fern::yield();
  EXPECT_EQ(channel.get(), 2);
  putter.kill();
  EXPECT_EQ(log, (Log{"got 1", "put"}));
}

TEST_F(ChannelTest, ATimeoutScopeEndsAGetThatTookNothing) {
  Channel<int> channel;
  {
    fern::Timeout timeout(1ms);
    EXPECT_THROW(channel.get(), fern::TimeoutError);
  }
  EXPECT_EQ(channel.balance(), 0);
  EXPECT_FALSE(channel.try_put(1));
}

TEST_F(ChannelTest, ATimeoutTakenBackWhileAKillIsHandledChangesNothing) {
  Channel<int> channel;
  fern::Timeout* scope = nullptr;
  auto getter = spawn([&] {
    try {
      fern::sleep(1h);
    } catch (const fern::GreenletExit&) {
      fern::Timeout timeout(1ms);
      scope = &timeout;
      log.push_back("got " + std::to_string(channel.get()));
      throw;
    }
  });
  fern::yield();
  getter.kill({.block = false});
  while (scope == nullptr || !scope->expired()) fern::yield();
  scope->cancel();  // it has been woken, and has not had its turn
  fern::yield();
  EXPECT_FALSE(getter.ready());
  channel.put(1);
  getter.join();
  EXPECT_EQ(log, Log{"got 1"});
}

TEST_F(ChannelTest, TheChildOfAForkMeetsNobodyOfTheGone) {
  Channel<int> channel;
  auto getter = spawn([&] { return channel.get(); });
  fern::yield();
  EXPECT_TRUE(fern::testing::succeeded(
      fern::testing::in_child([&] { return channel.try_put(1) ? 1 : 0; })));
  EXPECT_TRUE(fern::testing::succeeded(
      fern::testing::in_child([&] { return fern::try_select(fern::on_put(channel, 1)) ? 1 : 0; })));
  channel.put(2);
  EXPECT_EQ(getter.get(), 2);
}

TEST_F(ChannelTest, CloseRefusesBothSides) {
  Channel<std::unique_ptr<int>> channel;
  auto putter = spawn([&] {
    auto value = std::make_unique<int>(1);
    EXPECT_THROW(channel.put(std::move(value)), fern::QueueClosed);
    EXPECT_NE(value, nullptr);
  });
  fern::yield();
  channel.close();
  putter.get();
  EXPECT_TRUE(channel.closed());
  EXPECT_THROW(channel.get(), fern::QueueClosed);
  EXPECT_THROW(channel.put(nullptr), fern::QueueClosed);
  EXPECT_THROW(channel.try_put(nullptr), fern::QueueClosed);
  EXPECT_EQ(channel.try_get(), std::nullopt);
  channel.close();

  Channel<int> other;
  auto getter = spawn([&] { EXPECT_THROW(other.get(), fern::QueueClosed); });
  fern::yield();
  other.close();
  getter.get();
}

TEST_F(ChannelTest, IterationTakesValuesUntilItIsClosed) {
  Channel<int> channel;
  auto putter = spawn([&] {
    for (int i = 0; i < 4; ++i) channel.put(i);
    channel.close();
  });
  std::vector<int> got;
  for (int value : channel) got.push_back(value);
  EXPECT_EQ(got, (std::vector{0, 1, 2, 3}));
  putter.join();
}

TEST_F(ChannelTest, TakeTakesAndWaitsForNoMoreThanItGives) {
  Channel<int> channel;
  auto putter = spawn([&] {
    for (int i = 1; i <= 3; ++i) channel.put(i);
  });
  std::vector<int> got;
  for (int i : channel | std::views::take(2)) got.push_back(i);
  for (int i : channel | std::views::take(1)) got.push_back(i);
  EXPECT_EQ(got, (std::vector{1, 2, 3}));
  putter.join();
}

// A value whose move fails is handed over to nobody; both sides go on as before.
struct Fragile {
  explicit Fragile(int value) : value(value) {}
  Fragile(Fragile&& other) : value(other.value) {
    if (value < 0) throw std::runtime_error("broke");
  }
  int value;
};

TEST_F(ChannelTest, AMoveThatThrowsHandsNothingOver) {
  Channel<Fragile> channel;
  auto getter = spawn([&] { return channel.get().value; });
  fern::yield();
  EXPECT_THROW(channel.put(Fragile(-1)), std::runtime_error);
  fern::yield();
  EXPECT_THROW(channel.try_put(Fragile(-2)), std::runtime_error);
  fern::yield();
  EXPECT_EQ(channel.balance(), -1) << "the getter was woken for nothing and waits again";
  channel.put(Fragile(3));
  EXPECT_EQ(getter.get(), 3);
}

TEST_F(ChannelTest, OnTheHubsOwnStackItDoesWhatNeedsNoWait) {
  Channel<int> channel;
  auto getter = spawn([&] { return channel.get(); });
  fern::yield();
  bool refused = false;
  fern::Hub::current().post([&] {
    channel.put(1);
    try {
      channel.put(2);
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
  });
  EXPECT_EQ(getter.get(), 1);
  EXPECT_TRUE(refused);
  EXPECT_EQ(channel.balance(), 0);
}

class ChannelThreadsTest : public FernTest {
 protected:
  ChannelThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

TEST_F(ChannelThreadsTest, APlainThreadPutsAndAnotherGets) {
  Channel<int> channel;
  std::jthread putter([&] {
    for (int i = 0; i < 1000; ++i) channel.put(i);
    channel.close();
  });
  int expected = 0;
  for (int value : channel) ASSERT_EQ(value, expected++);
  EXPECT_EQ(expected, 1000);
}

// A put that returned was got, one that threw was not; and the other way round. One hub mostly puts
// and the other mostly gets, among kills and deadlines, so that they meet over threads.
TEST_F(ChannelThreadsTest, WhatIsPutIsGotExactlyAmongKillsAndDeadlines) {
  constexpr int rounds = 300;
  constexpr int each = 20;
  Channel<int> channel;
  std::vector<std::atomic<int>> put(2 * rounds * each);
  std::vector<std::atomic<int>> got(2 * rounds * each);
  std::latch both(2);
  auto hub = [&](int base, int putters) {
    both.arrive_and_wait();
    for (int round = 0; round < rounds; ++round) {
      std::vector<Greenlet<void>> all;
      for (int i = 0; i < each; ++i) {
        fern::Deadline limit = i % 3 == 0 ? 20us : 1ms;
        int value = base + round * each + i;
        all.push_back(spawn([&, value, limit, puts = i < putters] {
          try {
            if (puts) {
              channel.put(value, limit);
              ++put[value];
            } else {
              ++got[channel.get(limit)];
            }
          } catch (const fern::TimeoutError&) {
          }
        }));
      }
      fern::yield();
      for (int i = 2; i < each; i += 5) all[i].kill({.block = false});
      for (auto& greenlet : fern::joinall(all)) EXPECT_EQ(greenlet.exception(), nullptr);
    }
  };
  {
    std::jthread other(hub, rounds * each, 3);
    hub(0, each - 3);
  }
  int count = 0;
  for (std::size_t value = 0; value < put.size(); ++value) {
    ASSERT_LE(got[value], 1) << value;
    ASSERT_EQ(got[value], put[value]) << value;
    count += got[value];
  }
  EXPECT_GT(count, 0);
}

}  // namespace
