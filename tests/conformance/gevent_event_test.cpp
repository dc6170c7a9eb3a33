#include "../support.hpp"
#include "greenlets.hpp"
#include "journal.hpp"

#include <fern/async_result.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::AnyGreenlet;
using fern::AsyncResult;
using fern::Event;
using fern::joinall;
using fern::spawn;
using fern::yield;

class GeventEvent : public FernTest {};

// V06
TEST_F(GeventEvent, SetWakesAllInTheirOrderAmongWhatElseBecomesReady) {
  Journal log;
  Event event;
  auto all = start(3, [&](int i) {
    log("wait ", i);
    log("woke ", i, " ", event.wait());
  });
  all.push_back(spawn([&] { log("spawned before"); }));
  event.set();
  all.push_back(spawn([&] { log("spawned after"); }));
  log("set");
  joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"wait 0", "wait 1", "wait 2", "set", "spawned before",
                                "woke 0 true", "woke 1 true", "woke 2 true", "spawned after"}));
}

// V07
TEST_F(GeventEvent, SetAndClearAtOnceWakeAllWhoWaitedWithTrue) {
  Journal log;
  Event event;
  auto all = start(2, [&](int i) { log("woke ", i, " ", event.wait(10s)); });
  event.set();
  event.clear();
  log("is set ", event.is_set());
  joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"is set false", "woke 0 true", "woke 1 true"}));
}

// V08
TEST_F(GeventEvent, AWaitForASetEventDoesNotSwitch) {
  Journal log;
  Event event;
  event.set();
  auto other = spawn([&] { log("other"); });
  log("wait ", event.wait());
  log("wait ", event.wait(1s));
  other.join();
  EXPECT_EQ(log.lines(), (Lines{"wait true", "wait true", "other"}));
}

// V09
TEST_F(GeventEvent, WhoIsWokenMayClearAndWaitAgainAndTheOthersWakeAllTheSame) {
  Journal log;
  Event event;
  auto all = start(3, [&](int i) {
    event.wait();
    log("woke ", i);
    if (i == 0) event.clear();
    if (i == 1) log("again ", event.wait(5ms));
  });
  event.set();
  joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"woke 0", "woke 1", "woke 2", "again false"}));
}

// V75
TEST_F(GeventEvent, AThreadMaySetWhatAGreenletWaitsFor) {
  may_keep_heap("a thread's hub is kept for the next thread");
  Event event;
  Event begun;
  std::thread other([&] {
    begun.wait();
    event.set();
  });
  auto waiter = spawn([&] {
    begun.set();
    return event.wait();
  });
  EXPECT_TRUE(waiter.get());
  other.join();
}

// V75
TEST_F(GeventEvent, TheHubsOwnStackMaySet) {
  Event event;
  fern::Hub::current().post([&] { event.set(); });
  EXPECT_TRUE(event.wait());
}

// ---- AsyncResult -----------------------------------------------------------------------------

// V38: an AsyncResult is no callable: a link says itself what it sets.
TEST_F(GeventEvent, ALinkMayPassOnWhatAGreenletReturns) {
  AsyncResult<int> result;
  auto greenlet = spawn([] { return 7; });
  greenlet.link_value([=](AnyGreenlet) { result.set(*greenlet.value()); });
  EXPECT_EQ(result.get(), 7);
  EXPECT_TRUE(result.ready());
  EXPECT_TRUE(result.successful());
}

// V38
TEST_F(GeventEvent, ALinkMayPassOnWhatAGreenletThrows) {
  AsyncResult<int> result;
  auto greenlet = spawn([]() -> int { throw std::range_error("r"); });
  greenlet.link_exception([=](AnyGreenlet ended) { result.set_exception(ended.exception()); });
  EXPECT_THROW(result.get(), std::range_error);
  EXPECT_FALSE(result.successful());
  EXPECT_TRUE(result.exception() != nullptr);
  EXPECT_TRUE(result.wait());
  EXPECT_EQ(result.value(), nullptr);
}

// V38
TEST_F(GeventEvent, AResultThatIsNotSetIsATimeoutErrorToGetAndFalseToWait) {
  AsyncResult<int> result;
  EXPECT_THROW(result.get(1ms), fern::TimeoutError);
  EXPECT_THROW(result.get(0s), fern::TimeoutError);
  EXPECT_FALSE(result.wait(1ms));
  EXPECT_EQ(result.value(), nullptr);
  EXPECT_TRUE(result.exception() == nullptr);
}

// V38
TEST_F(GeventEvent, TheSecondSetReplacesTheFirst) {
  AsyncResult<int> result;
  result.set(1);
  result.set(2);
  EXPECT_EQ(result.get(), 2);
}

// V38
TEST_F(GeventEvent, GettersResumeInTheirOrderAllWithTheValue) {
  Journal log;
  AsyncResult<std::string> result;
  auto all = start(3, [&](int i) { log(i, " ", result.get()); });
  result.set("v");
  joinall(all);
  EXPECT_EQ(log.lines(), (Lines{"0 v", "1 v", "2 v"}));
}

// V38
TEST_F(GeventEvent, AValueIsPreferredToAnExceptionThatCameLater) {
  AsyncResult<std::string> result;
  result.set("v");
  result.set_exception(std::range_error("k"));
  EXPECT_TRUE(result.successful());
  EXPECT_TRUE(result.exception() != nullptr);
  EXPECT_EQ(result.get(), "v");
}

// X08
TEST_F(GeventEvent, AllGettersCatchTheSameException) {
  AsyncResult<int> result;
  std::vector<const void*> seen;
  auto all = start(2, [&](int) {
    try {
      result.get();
    } catch (const std::range_error& error) {
      seen.push_back(&error);
    }
  });
  result.set_exception(std::range_error("k"));
  joinall(all);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0], seen[1]);
}

}  // namespace
