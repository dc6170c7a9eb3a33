#include "support.hpp"

#include <fern/async_result.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/semaphore.hpp>
#include <fern/wait.hpp>
#include <fern/waitable.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::AnyGreenlet;
using fern::AsyncResult;
using fern::Event;
using fern::Greenlet;
using fern::iwait;
using fern::Semaphore;
using fern::spawn;
using fern::Waitable;

class WaitableTest : public FernTest {
 protected:
  // Ends when it is told to.
  Greenlet<int> waiter(Event& end, int result) {
    return spawn([&end, result] {
      end.wait();
      return result;
    });
  }
};

// ---- wait

// gevent: iwait([event, semaphore, greenlet]) in the order in which they become ready.
TEST_F(WaitableTest, WaitReturnsThemInTheOrderInWhichTheyBecameReady) {
  Event event;
  Semaphore semaphore(0);
  AsyncResult<int> result;
  Event end;
  auto greenlet = waiter(end, 1);
  auto act = spawn([&] {
    end.set();
    greenlet.join();
    semaphore.release();
    result.set(1);
    event.set();
  });
  auto ready = fern::wait({event, semaphore, greenlet, result});
  EXPECT_EQ(ready, (std::vector<Waitable>{greenlet, semaphore, result, event}));
  EXPECT_TRUE(ready[3] == event);
  EXPECT_FALSE(ready[0] == event);
  EXPECT_EQ(semaphore.counter(), 1) << "no permit is taken";
  act.join();
}

TEST_F(WaitableTest, WhatIsReadyAlreadyComesFirstInTheRangesOrderWithoutASwitch) {
  Event a;
  Event b;
  Semaphore semaphore;
  AsyncResult<void> never;
  a.set();
  b.set();
  auto switches = fern::Hub::current().switches();
  EXPECT_EQ(fern::wait({never, b, semaphore, a}, {.count = 3}),
            (std::vector<Waitable>{b, semaphore, a}));
  EXPECT_EQ(fern::wait({never, a}, {.deadline = 0s}), std::vector<Waitable>{a});
  EXPECT_EQ(fern::wait({never, a, b}, {.count = 1}), std::vector<Waitable>{a});
  EXPECT_EQ(fern::wait({never, a, b}, {.count = 0}), std::vector<Waitable>{});
  EXPECT_EQ(fern::Hub::current().switches(), switches);
}

// gevent: wait(greenlets, count=2), while the rest goes on.
TEST_F(WaitableTest, WithACountTheRestRunsOn) {
  Event ends[3];
  std::vector<Greenlet<int>> all;
  for (int i = 0; i < 3; ++i) all.push_back(waiter(ends[i], i));
  auto act = spawn([&] {
    ends[1].set();
    fern::yield();
    ends[2].set();
  });
  auto ready = fern::wait(all, {.count = 2});
  EXPECT_EQ(ready, (std::vector{all[1], all[2]}));
  EXPECT_FALSE(all[0].ready());
  ends[0].set();
  EXPECT_EQ(all[0].get(), 0);
  act.join();
}

TEST_F(WaitableTest, AtTheDeadlineItReturnsWhatIsReady) {
  Event never;
  Event soon;
  auto act = spawn([&] { soon.set(); });
  Event* events[] = {&never, &soon};
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(fern::wait(events, {.deadline = 2ms}), std::vector{&soon});
  EXPECT_GE(std::chrono::steady_clock::now() - start, 2ms);
  act.join();
}

TEST_F(WaitableTest, RaiseErrorRethrowsTheFirstFailureAndTheOthersRunOn) {
  Event end;
  AsyncResult<int> failed;
  auto slow = waiter(end, 1);
  auto killed = spawn([&] { end.wait(); });
  auto act = spawn([&] {
    killed.kill();
    failed.set_exception(std::runtime_error("first"));
  });
  EXPECT_THROW(fern::wait({slow, killed, failed}, {.raise_error = true}), std::runtime_error);
  EXPECT_TRUE(killed.ready()) << "being killed is no failure";
  EXPECT_FALSE(slow.ready());
  AnyGreenlet fails = spawn([] { throw std::logic_error("no"); });
  EXPECT_THROW(fern::wait(std::vector{fails}, {.raise_error = true}), std::logic_error);
  EXPECT_EQ(fern::wait({fails, failed}).size(), 2U);
  end.set();
  fern::joinall(slow, act);
}

TEST_F(WaitableTest, DuplicatesAreReturnedAsOftenAsTheyWereGiven) {
  Event event;
  auto greenlet = spawn([&] { event.set(); });
  EXPECT_EQ(fern::wait({event, greenlet, event, greenlet}).size(), 4U);
}

TEST_F(WaitableTest, RangesOfEveryKindWillDo) {
  std::vector<AsyncResult<int>> results(2);
  for (auto& result : results) result.set(1);
  EXPECT_EQ(fern::wait(results).size(), 2U);
  Semaphore semaphore;
  EXPECT_EQ(fern::wait(std::vector{&semaphore}), std::vector{&semaphore});
  EXPECT_EQ(fern::wait(std::vector<Waitable>{}).size(), 0U);
  EXPECT_THROW(fern::wait(std::vector{AnyGreenlet()}), fern::GreenletError);
  static_assert(fern::WaitableRange<std::vector<Greenlet<int>>>);
  static_assert(!fern::WaitableRange<std::vector<int>>);
  static_assert(!fern::WaitableRange<std::vector<int*>>);
}

TEST_F(WaitableTest, AWaitableTellsOfWhatItRefersTo) {
  Event event;
  Waitable waitable = event;
  EXPECT_FALSE(waitable.ready());
  event.set();
  EXPECT_TRUE(waitable.ready());
  EXPECT_EQ(waitable.exception(), nullptr);
  AsyncResult<int> result;
  waitable = result;
  result.set_exception(std::runtime_error("failed"));
  EXPECT_TRUE(waitable.ready());
  EXPECT_NE(waitable.exception(), nullptr);
  AsyncResult<int> copy = result;
  EXPECT_TRUE(waitable == copy) << "two handles of one place";
  EXPECT_FALSE(waitable == AsyncResult<int>());
}

TEST_F(WaitableTest, AnEventThatIsSetAndClearedAtOnceCounts) {
  Event event;
  auto act = spawn([&] {
    event.set();
    event.clear();
  });
  EXPECT_EQ(fern::wait({event}).size(), 1U);
  act.join();
}

TEST_F(WaitableTest, WhoeverAcquiresBehindItIsNotKeptWaiting) {
  Semaphore semaphore(0);
  auto looks = spawn([&] { return fern::wait({semaphore}).size(); });
  auto acquires = spawn([&] { return semaphore.acquire(); });
  fern::yield();
  semaphore.release();
  EXPECT_TRUE(acquires.get());
  EXPECT_EQ(looks.get(), 1U);
  EXPECT_EQ(semaphore.counter(), 0);
}

TEST_F(WaitableTest, AKillLeavesNothingLinked) {
  auto event = std::make_unique<Event>();
  auto semaphore = std::make_unique<Semaphore>(0);
  Event end;
  auto greenlet = waiter(end, 1);
  auto waits = spawn([&] { fern::wait({*event, *semaphore, greenlet}); });
  fern::yield();
  waits.kill();
  event.reset();  // asserts that nobody waits
  semaphore.reset();
  end.set();
  greenlet.join();
}

TEST_F(WaitableTest, OnTheHubsOwnStackItOnlyLooks) {
  Event set;
  Event never;
  set.set();
  bool refused = false;
  Event done;
  fern::Hub::current().post([&] {
    EXPECT_EQ(fern::wait({set}).size(), 1U);
    try {
      fern::wait({never});
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
    done.set();
  });
  done.wait();
  EXPECT_TRUE(refused);
}

// ---- iwait

TEST_F(WaitableTest, IwaitHandsThemOutAsTheyBecomeReady) {
  Event ends[3];
  std::vector<Greenlet<int>> all;
  for (int i = 0; i < 3; ++i) all.push_back(waiter(ends[i], i));
  ends[2].set();
  std::vector<int> order;
  for (auto& greenlet : iwait(all)) {
    order.push_back(greenlet.get());
    if (order.size() == 1) ends[0].set();
    if (order.size() == 2) ends[1].set();
  }
  EXPECT_EQ(order, (std::vector{2, 0, 1}));
}

TEST_F(WaitableTest, WhatBecomesReadyWhileTheLoopIsBusyIsKept) {
  Event a;
  Event b;
  Event c;
  b.set();
  std::vector<Waitable> order;
  for (auto& thing : iwait({a, b, c})) {
    order.push_back(thing);
    if (order.size() > 1) continue;
    c.set();
    a.set();
    a.clear();
    fern::sleep(1ms);
  }
  EXPECT_EQ(order, (std::vector<Waitable>{b, c, a}));
}

TEST_F(WaitableTest, ALoopThatIsBusyKeepsNobodyFromAPermit) {
  Semaphore semaphore(0);
  Event first;
  first.set();
  std::vector<Waitable> order;
  for (auto& thing : iwait({first, semaphore})) {
    order.push_back(thing);
    if (order.size() > 1) continue;
    auto acquires = spawn([&] { return semaphore.acquire(); });
    fern::yield();
    semaphore.release();
    EXPECT_TRUE(acquires.get());
  }
  EXPECT_EQ(order, (std::vector<Waitable>{first, semaphore}));
}

TEST_F(WaitableTest, IwaitEndsWithoutAWordAtTheDeadline) {
  Event never;
  for ([[maybe_unused]] auto& thing : iwait({never}, 1ms)) FAIL();
  for ([[maybe_unused]] auto& thing : iwait({never}, 0s)) FAIL();
  Event set;
  set.set();
  int count = 0;
  for (auto& thing : iwait({never, set}, 1ms)) {
    EXPECT_TRUE(thing == set);
    ++count;
  }
  EXPECT_EQ(count, 1);
}

TEST_F(WaitableTest, LeftHalfWayItLeavesNothingLinked) {
  auto event = std::make_unique<Event>();
  auto semaphore = std::make_unique<Semaphore>(0);
  Event set;
  Event end;
  set.set();
  auto greenlet = waiter(end, 1);
  for (auto& thing : iwait({*event, set, *semaphore, greenlet})) {
    EXPECT_TRUE(thing == set);
    break;
  }
  event.reset();  // asserts that nobody waits
  semaphore.reset();
  end.set();
  greenlet.join();
}

TEST_F(WaitableTest, WhatWasHandedOutMayGo) {
  Event never;
  auto event = std::make_unique<Event>();
  auto semaphore = std::make_unique<Semaphore>(0);
  auto act = spawn([&] {
    event->set();
    semaphore->release();
  });
  std::size_t count = 0;
  const Waitable set(*event);
  for (auto& thing : iwait({never, *semaphore, *event})) {
    (thing == set ? event.reset() : semaphore.reset());
    if (++count == 2) break;
  }
  act.join();
}

TEST_F(WaitableTest, IwaitIsAnInputRange) {
  std::vector<Greenlet<int>> all;
  for (int i = 0; i < 4; ++i) all.push_back(spawn([i] { return i; }));
  static_assert(std::ranges::input_range<fern::Iwait<Greenlet<int>>>);
  static_assert(std::ranges::view<fern::Iwait<Greenlet<int>>>);
  std::vector<int> odd;
  for (int value : iwait(all) | std::views::transform([](auto& greenlet) {
                     return greenlet.get();
                   }) | std::views::filter([](int value) { return value % 2 == 1; })) {
    odd.push_back(value);
  }
  EXPECT_EQ(odd, (std::vector{1, 3}));
}

TEST_F(WaitableTest, TakeWaitsForNoMoreThanItGives) {
  Event first, second, never;
  first.set();
  second.set();
  int count = 0;
  for (auto& thing : iwait({never, first, second}) | std::views::take(2)) {
    EXPECT_TRUE(thing == first || thing == second);
    ++count;
  }
  EXPECT_EQ(count, 2);
}

TEST_F(WaitableTest, AnIteratorPassesOverWhatNobodyLookedAt) {
  Event first, second;
  first.set();
  second.set();
  auto ready = iwait({first, second});
  auto it = ready.begin();
  ++it;
  EXPECT_TRUE(*it == second);
  ++it;
  EXPECT_TRUE(it == ready.end());
}

TEST_F(WaitableTest, ManyAreHandedOutInTheirOrder) {
  std::vector<std::unique_ptr<Event>> events;
  std::vector<Event*> pointers;
  for (int i = 0; i < fern::testing::many / 4; ++i) {
    pointers.push_back(events.emplace_back(std::make_unique<Event>()).get());
  }
  auto act = spawn([&] {
    for (Event* event : pointers | std::views::reverse) {
      event->set();
      fern::yield();
    }
  });
  auto expected = pointers.rbegin();
  for (Event* event : iwait(pointers)) ASSERT_EQ(event, *expected++);
  EXPECT_EQ(expected, pointers.rend());
  act.join();
}

}  // namespace
