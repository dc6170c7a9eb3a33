#include "support.hpp"

#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/queue.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Greenlet;
using fern::Queue;
using fern::spawn;

using Log = std::vector<std::string>;

class RendezvousTest : public FernTest {
 protected:
  Log log;
};

// eventlet: Queue(0) hands over; the getter goes on first, then the putter.
TEST_F(RendezvousTest, PutEndsWhenAGetterHasTakenAndTheGetterGoesOnFirst) {
  Queue<int> queue(0);
  auto putter = spawn([&] {
    for (int i = 0; i < 3; ++i) {
      log.push_back("putting " + std::to_string(i));
      queue.put(i);
      log.push_back("put " + std::to_string(i));
    }
  });
  auto getter = spawn([&] {
    for (int i = 0; i < 3; ++i) log.push_back("got " + std::to_string(queue.get()));
  });
  fern::joinall(putter, getter);
  EXPECT_EQ(log, (Log{"putting 0", "got 0", "put 0", "putting 1", "got 1", "put 1", "putting 2",
                      "got 2", "put 2"}));
  EXPECT_TRUE(queue.full());
  EXPECT_TRUE(queue.empty());
}

// gevent's Channel: waiting putters are taken from in order, without switching.
TEST_F(RendezvousTest, WaitingPuttersAreTakenFromInOrderWithoutSwitching) {
  Queue<int> queue(0);
  std::vector<Greenlet<void>> putters;
  for (int i = 0; i < 3; ++i) putters.push_back(spawn([&, i] { queue.put(i); }));
  fern::yield();
  EXPECT_EQ(queue.size(), 0U);
  auto switches = fern::Hub::current().switches();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(queue.get(), i);
  EXPECT_EQ(fern::Hub::current().switches(), switches);
  fern::joinall(putters);
}

TEST_F(RendezvousTest, WithNobodyWaitingNothingGoesInOrOutAtOnce) {
  Queue<int> queue(0);
  EXPECT_FALSE(queue.try_put(1));
  EXPECT_THROW(queue.put(1, 0s), fern::QueueFull);
  EXPECT_EQ(queue.try_get(), std::nullopt);
  EXPECT_THROW(queue.get(0s), fern::QueueEmpty);
  EXPECT_THROW(queue.put(1, 1ms), fern::QueueFull);
  EXPECT_THROW(queue.get(1ms), fern::QueueEmpty);
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

TEST_F(RendezvousTest, TryPutSucceedsOnceForEachGetterThatWaits) {
  Queue<std::string> queue(0);
  std::vector<Greenlet<void>> all;
  for (int i = 0; i < 2; ++i) {
    all.push_back(spawn([&, i] { log.push_back(std::to_string(i) + " got " + queue.get()); }));
  }
  fern::yield();
  EXPECT_TRUE(queue.try_put("a"));
  EXPECT_NO_THROW(queue.put("b", 0s));
  EXPECT_FALSE(queue.try_put("c"));
  fern::joinall(all);
  EXPECT_EQ(log, (Log{"0 got a", "1 got b"}));
}

TEST_F(RendezvousTest, APutterThatLeavesTakesItsValueAlong) {
  Queue<int> queue(0);
  auto killed = spawn([&] { queue.put(1); });
  auto late = spawn([&] { EXPECT_THROW(queue.put(2, 1ms), fern::QueueFull); });
  auto stays = spawn([&] { queue.put(3); });
  fern::yield();
  killed.kill();
  late.get();
  EXPECT_EQ(queue.get(), 3);
  stays.get();
  queue.task_done();
  EXPECT_TRUE(queue.join(0s));
}

TEST_F(RendezvousTest, AKilledGetterLeavesTheValueToTheNext) {
  Queue<int> queue(0);
  auto first = spawn([&] { queue.get(); });
  auto second = spawn([&] { return queue.get(); });
  fern::yield();
  first.kill({.block = false});
  queue.put(1);
  EXPECT_EQ(second.get(), 1);
}

TEST_F(RendezvousTest, CloseRefusesWhatIsOffered) {
  Queue<std::unique_ptr<int>> queue(0);
  auto putter = spawn([&] {
    auto value = std::make_unique<int>(1);
    EXPECT_THROW(queue.put(std::move(value)), fern::QueueClosed);
    EXPECT_NE(value, nullptr);
  });
  fern::yield();
  queue.close();
  EXPECT_THROW(queue.get(), fern::QueueClosed);
  putter.get();
}

}  // namespace
