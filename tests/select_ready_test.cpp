// Cases of what becomes ready, and of time.
#include "selects.hpp"

#include <fern/async_result.hpp>
#include <fern/channel.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/queue.hpp>
#include <fern/select.hpp>
#include <fern/semaphore.hpp>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

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
using fern::testing::Log;
using fern::testing::SelectTest;

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
  fern::yield();
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
  select(on_put(channel, 0, say("never")), on(quick, [&](int value) { got("quick")(value); }));
  EXPECT_EQ(log, Log{"quick 5"});
  auto slow = spawn([&] { return channel.get(); });
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

}  // namespace
