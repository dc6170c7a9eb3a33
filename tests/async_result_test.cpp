#include "support.hpp"

#include <fern/async_result.hpp>
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::AsyncResult;
using fern::Greenlet;
using fern::spawn;

using Log = std::vector<std::string>;

class AsyncResultTest : public FernTest {};

TEST_F(AsyncResultTest, HoldsAValue) {
  AsyncResult<int> result;
  EXPECT_FALSE(result.ready());
  EXPECT_FALSE(result.successful());
  EXPECT_EQ(result.value(), nullptr);
  EXPECT_EQ(result.exception(), nullptr);
  result.set(7);
  EXPECT_TRUE(result.ready());
  EXPECT_TRUE(result.successful());
  EXPECT_EQ(result.get(), 7);
  EXPECT_EQ(*result.value(), 7);
}

TEST_F(AsyncResultTest, HoldsAnException) {
  AsyncResult<int> result;
  result.set_exception(std::out_of_range("gone"));
  EXPECT_TRUE(result.ready());
  EXPECT_FALSE(result.successful());
  EXPECT_NE(result.exception(), nullptr);
  EXPECT_THROW(result.get(), std::out_of_range);
  EXPECT_THROW(AsyncResult<int>().set_exception(std::exception_ptr()), std::invalid_argument);
}

TEST_F(AsyncResultTest, OfVoidHoldsThatItHappened) {
  AsyncResult<void> result;
  auto getter = spawn([&] { result.get(); });
  fern::yield();
  EXPECT_FALSE(getter.ready());
  result.set();
  getter.get();
  EXPECT_TRUE(result.successful());
  EXPECT_FALSE(result.try_set());
  std::move(result).get();
}

TEST_F(AsyncResultTest, CopiesShareOnePlace) {
  AsyncResult<std::string> result;
  AsyncResult<std::string> copy = result;
  copy.set("here");
  EXPECT_EQ(result.get(), "here");
  EXPECT_EQ(&result.get(), &copy.get());
  AsyncResult<std::string> moved = std::move(copy);
  EXPECT_EQ(moved.get(), "here");
  EXPECT_THROW(copy.ready(), std::logic_error);
}

TEST_F(AsyncResultTest, WhatIsSetIsGotWithoutSwitching) {
  AsyncResult<int> result;
  result.set(1);
  auto switches = fern::Hub::current().switches();
  result.get();
  result.get(0s);
  EXPECT_TRUE(result.wait(0s));
  EXPECT_EQ(fern::Hub::current().switches(), switches);
}

TEST_F(AsyncResultTest, AnRvalueHandleMovesTheValueOut) {
  AsyncResult<std::unique_ptr<int>> result;
  result.set(std::make_unique<int>(3));
  std::unique_ptr<int> value = std::move(result).get();
  EXPECT_EQ(*value, 3);
}

// gevent: getters wake in order, each with the value.
TEST_F(AsyncResultTest, GettersWakeInTheOrderInWhichTheyCame) {
  AsyncResult<std::string> result;
  Log log;
  std::vector<Greenlet<void>> getters;
  for (int i = 0; i < 3; ++i) {
    getters.push_back(spawn([&, i] { log.push_back(std::to_string(i) + " " + result.get()); }));
  }
  fern::yield();
  result.set("v");
  EXPECT_TRUE(log.empty());
  fern::joinall(getters);
  EXPECT_EQ(log, (Log{"0 v", "1 v", "2 v"}));
}

// gevent: everybody is thrown the same object.
TEST_F(AsyncResultTest, AllGettersAreThrownTheSameException) {
  AsyncResult<int> result;
  std::vector<const void*> seen;
  std::vector<Greenlet<void>> getters;
  for (int i = 0; i < 2; ++i) {
    getters.push_back(spawn([&] {
      try {
        result.get();
      } catch (const std::runtime_error& error) {
        seen.push_back(&error);
      }
    }));
  }
  fern::yield();
  result.set_exception(std::runtime_error("both"));
  fern::joinall(getters);
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0], seen[1]);
}

TEST_F(AsyncResultTest, GetThrowsTimeoutErrorNotBeforeTheDeadline) {
  AsyncResult<int> result;
  auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(result.get(10ms), fern::TimeoutError);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 10ms);
  EXPECT_THROW(result.get(0s), fern::TimeoutError);
  EXPECT_FALSE(result.wait(1ms));
  EXPECT_FALSE(result.wait(0s));
}

// gevent: a second set replaces the first. What was got before stays what it was.
TEST_F(AsyncResultTest, ASecondSetReplacesTheFirst) {
  AsyncResult<std::string> result;
  result.set("one");
  const std::string& first = result.get();
  result.set("two");
  result.set("three");
  EXPECT_EQ(result.get(), "three");
  EXPECT_EQ(first, "one");
}

// gevent: a value is preferred, whatever came first.
TEST_F(AsyncResultTest, AValueIsPreferredToAnException) {
  AsyncResult<int> result;
  result.set(1);
  result.set_exception(std::runtime_error("late"));
  EXPECT_EQ(result.get(), 1);
  EXPECT_TRUE(result.successful());
  EXPECT_NE(result.exception(), nullptr);
  AsyncResult<int> other;
  other.set_exception(std::runtime_error("early"));
  other.set(2);
  EXPECT_EQ(other.get(), 2);
}

TEST_F(AsyncResultTest, TrySetSetsOnlyOnceAndLeavesTheValueElse) {
  AsyncResult<std::string> result;
  std::string one = "a string too long to stand inside its object";
  std::string two = one;
  EXPECT_TRUE(result.try_set(std::move(one)));
  EXPECT_FALSE(result.try_set(std::move(two)));
  EXPECT_FALSE(two.empty());
  AsyncResult<std::string> failed;
  failed.set_exception(std::runtime_error("no"));
  EXPECT_FALSE(failed.try_set(std::move(two)));
}

TEST_F(AsyncResultTest, AValueThatThrowsWhenMadeLeavesItUnset) {
  struct Throws {
    explicit Throws(bool now) {
      if (now) throw std::runtime_error("made");
    }
  };
  AsyncResult<Throws> result;
  EXPECT_THROW(result.set(true), std::runtime_error);
  EXPECT_FALSE(result.ready());
  result.set(false);
  EXPECT_TRUE(result.successful());
}

TEST_F(AsyncResultTest, AKilledGetterIsGone) {
  AsyncResult<int> result;
  auto killed = spawn([&] { result.get(); });
  auto other = spawn([&] { return result.get(); });
  fern::yield();
  killed.kill();
  result.set(5);
  EXPECT_EQ(other.get(), 5);
}

// gevent: links run in greenlets of their own, in order, after whoever waited.
TEST_F(AsyncResultTest, LinksAreCalledInOrderInGreenletsOfTheirOwn) {
  AsyncResult<int> result;
  Log log;
  auto getter = spawn([&] { log.push_back("got " + std::to_string(result.get())); });
  fern::yield();
  for (const char* name : {"a", "b"}) {
    result.link([&log, name](AsyncResult<int> set) {
      log.push_back(name + std::to_string(set.get()));
      fern::yield();
      log.push_back(name);
    });
  }
  result.set(1);
  EXPECT_TRUE(log.empty());
  result.set(2);
  getter.join();
  fern::yield();
  fern::yield();
  EXPECT_EQ(log, (Log{"got 2", "a2", "b2", "a", "b"}));
}

TEST_F(AsyncResultTest, ALinkToWhatIsSetRunsAtTheNextTurn) {
  AsyncResult<int> result;
  result.set_exception(std::runtime_error("no"));
  bool called = false;
  result.link([&](AsyncResult<int> set) { called = !set.successful(); });
  EXPECT_FALSE(called);
  fern::yield();
  EXPECT_TRUE(called);
}

TEST_F(AsyncResultTest, LinksOfAResultThatIsNeverSetGoWithIt) {
  auto token = std::make_shared<int>(1);
  {
    AsyncResult<int> result;
    for (int i = 0; i < 3; ++i) result.link([token](const AsyncResult<int>&) {});
    EXPECT_EQ(token.use_count(), 4);
  }
  EXPECT_EQ(token.use_count(), 1);
}

// gevent: link a greenlet's end to a result.
TEST_F(AsyncResultTest, TakesAGreenletsEnd) {
  AsyncResult<int> result;
  auto worker = spawn([] { return 7; });
  worker.link([result, worker](const fern::AnyGreenlet&) { result.set(worker.get()); });
  EXPECT_EQ(result.get(), 7);
}

TEST_F(AsyncResultTest, TheHubMaySetButNotWait) {
  AsyncResult<int> result;
  AsyncResult<int> never;
  bool refused = false;
  fern::Hub::current().post([&] {
    try {
      never.get();
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
    result.set(1);
  });
  EXPECT_EQ(result.get(), 1);
  EXPECT_TRUE(refused);
}

class AsyncResultThreadsTest : public AsyncResultTest {
 protected:
  AsyncResultThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

TEST_F(AsyncResultThreadsTest, CarriesAThreadsResultAndFailure) {
  AsyncResult<std::string> good;
  AsyncResult<std::string> bad;
  std::jthread worker([good, bad] {
    good.set("done");
    bad.set_exception(std::runtime_error("failed"));
  });
  EXPECT_EQ(good.get(30s), "done");
  EXPECT_THROW(bad.get(30s), std::runtime_error);
}

TEST_F(AsyncResultThreadsTest, ALinkRunsInTheHubThatLinked) {
  AsyncResult<int> result;
  AsyncResult<std::thread::id> ran;
  result.link([ran](const AsyncResult<int>&) { ran.set(std::this_thread::get_id()); });
  std::jthread setter([result] { result.set(1); });
  EXPECT_EQ(ran.get(30s), std::this_thread::get_id());
}

TEST_F(AsyncResultThreadsTest, ALinkOfAThreadThatHasEndedIsDropped) {
  AsyncResult<int> result;
  auto token = std::make_shared<int>(1);
  std::jthread([&] { result.link([token](const AsyncResult<int>&) { ADD_FAILURE(); }); }).join();
  result.set(1);
  fern::yield();
}

// The place, on the heap, may go with the getter's handle while the setter is still inside.
TEST_F(AsyncResultThreadsTest, TheGettersHandleMayGoAtOnce) {
  for (int round = 0; round < 300; ++round) {
    std::jthread setter;
    {
      AsyncResult<std::string> result;
      setter = std::jthread([copy = result] { copy.set("value"); });
      EXPECT_EQ(result.get(), "value");
    }
  }
}

TEST_F(AsyncResultThreadsTest, OfManyThatTryToSetOneSucceeds) {
  for (int round = 0; round < 100; ++round) {
    AsyncResult<int> result;
    std::atomic<int> succeeded{0};
    {
      std::jthread one([&] { succeeded += result.try_set(1) ? 1 : 0; });
      std::jthread two([&] { succeeded += result.try_set(2) ? 1 : 0; });
      succeeded += result.try_set(3) ? 1 : 0;
    }
    EXPECT_EQ(succeeded, 1);
    EXPECT_TRUE(result.get() >= 1 && result.get() <= 3);
  }
}

TEST_F(AsyncResultThreadsTest, WakesGettersOfEveryHub) {
  AsyncResult<int> result;
  std::atomic<int> sum{0};
  auto hub = [&] {
    std::vector<Greenlet<void>> getters;
    for (int i = 0; i < 50; ++i) getters.push_back(spawn([&] { sum += result.get(); }));
    fern::joinall(getters);
  };
  {
    std::jthread one(hub);
    std::jthread two(hub);
    fern::sleep(1ms);
    result.set(1);
  }
  EXPECT_EQ(sum, 100);
}

}  // namespace
