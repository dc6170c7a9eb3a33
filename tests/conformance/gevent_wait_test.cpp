#include "../support.hpp"
#include "journal.hpp"

#include <fern/async_result.hpp>
#include <fern/channel.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/scoped_greenlet.hpp>
#include <fern/semaphore.hpp>
#include <fern/wait.hpp>
#include <fern/waitable.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Channel;
using fern::Event;
using fern::Semaphore;
using fern::spawn;
using fern::spawn_later;
using fern::Waitable;
using fern::yield;

class GeventChannel : public FernTest {};
class GeventWait : public FernTest {};
class GeventScope : public FernTest {};

// V20
TEST_F(GeventChannel, AGetterGoesOnBeforeItsPutter) {
  Journal log;
  Channel<int> channel;
  auto putter = spawn([&] {
    for (int i = 0; i < 2; ++i) {
      log("putting ", i);
      channel.put(i);
      log("put ", i);
    }
  });
  auto getter = spawn([&] {
    for (int i = 0; i < 2; ++i) log("got ", channel.get());
  });
  fern::joinall(putter, getter);
  EXPECT_EQ(log.lines(), (Lines{"putting 0", "got 0", "put 0", "putting 1", "got 1", "put 1"}));
}

// V20
TEST_F(GeventChannel, CountsPuttersAsPositiveAndGettersAsNegative) {
  Channel<int> channel;
  std::vector<fern::AnyGreenlet> getters;
  for (int i = 0; i < 2; ++i) getters.push_back(spawn([&] { channel.get(); }));
  yield();
  EXPECT_EQ(channel.balance(), -2);
  EXPECT_EQ(channel.size(), 0u);
  EXPECT_TRUE(channel.empty());
  EXPECT_TRUE(channel.full());
  channel.put(1);
  channel.put(2);
  fern::joinall(getters);
  EXPECT_EQ(channel.balance(), 0);
}

// V21
TEST_F(GeventChannel, PuttersAreServedInTheirOrder) {
  Channel<int> channel;
  std::vector<fern::AnyGreenlet> putters;
  for (int i = 0; i < 3; ++i) putters.push_back(spawn([&, i] { channel.put(int(i)); }));
  yield();
  EXPECT_EQ(channel.balance(), 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(channel.get(), i);
  fern::joinall(putters);
  EXPECT_FALSE(channel.try_put(1));
  EXPECT_FALSE(channel.try_get().has_value());
  EXPECT_THROW(channel.put(1, 0s), fern::QueueFull);
  EXPECT_THROW(channel.get(0s), fern::QueueEmpty);
}

// V34
TEST_F(GeventWait, IwaitGivesGreenletsSemaphoresAndEventsAsTheyBecomeReady) {
  Event event;
  Semaphore permits(0);
  auto greenlet = spawn([] { fern::sleep(1ms); });
  auto release = spawn_later(20ms, [&] { permits.release(); });
  auto set = spawn_later(40ms, [&] { event.set(); });
  Journal log;
  for (Waitable& each : fern::iwait({event, permits, greenlet})) {
    log(each == greenlet ? "greenlet" : each == permits ? "semaphore" : "event");
  }
  EXPECT_EQ(log.lines(), (Lines{"greenlet", "semaphore", "event"}));
  EXPECT_EQ(permits.counter(), 1);  // waiting takes none
  fern::joinall(release, set);
}

// V34
TEST_F(GeventWait, IwaitEndsInSilenceWhenItsTimeIsOver) {
  Event never;
  int given = 0;
  for ([[maybe_unused]] Waitable& each : fern::iwait({never}, 1ms)) ++given;
  EXPECT_EQ(given, 0);
}

// V35
TEST_F(GeventWait, WaitWithoutObjectsWaitsForAll) {
  Journal log;
  auto later = spawn_later(20ms, [&] { log("later"); });
  EXPECT_FALSE(fern::wait(1ms));
  log("not yet");
  EXPECT_TRUE(fern::wait());
  EXPECT_EQ(log.lines(), (Lines{"not yet", "later"}));
}

// V35. Only the thread's first greenlet can outlive all others.
TEST_F(GeventWait, WaitingForAllIsForMainAlone) {
  auto other = spawn([] { fern::wait(); });
  EXPECT_THROW(other.get(), fern::GreenletError);
}

// V68
TEST_F(GeventWait, WaitGivesResultsAndEventsAsTheyBecomeReady) {
  fern::AsyncResult<int> result;
  Event event;
  auto first = spawn_later(1ms, [&] { result.set(1); });
  auto second = spawn_later(20ms, [&] { event.set(); });
  auto ready = fern::wait({event, result});
  ASSERT_EQ(ready.size(), 2u);
  EXPECT_TRUE(ready[0] == result);
  EXPECT_TRUE(ready[1] == event);
  fern::joinall(first, second);
}

// X09
TEST_F(GeventWait, WaitWithACountLeavesTheOthersRunning) {
  Event go;
  std::vector<fern::Greenlet<void>> all{spawn([&] { go.wait(); }), spawn([] { fern::sleep(1ms); }),
                                        spawn([] { fern::sleep(20ms); })};
  auto ready = fern::wait(all, {.count = 2});
  ASSERT_EQ(ready.size(), 2u);
  EXPECT_EQ(ready[0], all[1]);
  EXPECT_EQ(ready[1], all[2]);
  EXPECT_FALSE(all[0].ready());
  go.set();
  all[0].join();
}

// V57
TEST_F(GeventWait, IdleReturnsWhenNobodyElseIsReady) {
  Journal log;
  auto worker = spawn([&] {
    for (int i = 0; i < 3; ++i) {
      log("works ", i);
      yield();
    }
  });
  auto idler = spawn([&] {
    fern::idle();
    log("idle");
  });
  fern::joinall(worker, idler);
  EXPECT_EQ(log.lines(), (Lines{"works 0", "works 1", "works 2", "idle"}));
}

// V73
TEST_F(GeventScope, AScopeWaitsForItsGreenletAtItsEnd) {
  Journal log;
  auto child = spawn([&] {
    fern::sleep(1ms);
    log("child ends");
  });
  fern::with_greenlet(child, [&] { log("body"); });
  EXPECT_EQ(log.lines(), (Lines{"body", "child ends"}));
  EXPECT_TRUE(child.ready());
}

// V73
TEST_F(GeventScope, AnExceptionOfTheBodyKillsTheGreenletWithItself) {
  auto child = spawn([] { fern::sleep(1h); });
  EXPECT_THROW(fern::with_greenlet(child,
                                   [] {
                                     yield();
                                     throw std::out_of_range("x");
                                   }),
               std::out_of_range);
  EXPECT_TRUE(child.dead());
  EXPECT_THROW(std::rethrow_exception(child.exception()), std::out_of_range);
}

}  // namespace
