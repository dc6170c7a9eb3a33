// Switching by hand, alone and among greenlets of the hub. What Python's greenlet does is in
// conformance/greenlet_test.cpp.
#include <fern/debug.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/raw_greenlet.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <any>
#include <chrono>
#include <exception>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;
using fern::getcurrent;
using fern::GreenletError;
using fern::RawGreenlet;
using fern::Value;

namespace {

class RawGreenletTest : public FernTest {
 protected:
  void log(const std::string& what) { text += what + ' '; }
  std::string text;
};

// Suspends itself, again and again, in whoever is its parent.
void suspend() { getcurrent().parent().switch_to(); }

std::exception_ptr error(const char* what) {
  return std::make_exception_ptr(std::runtime_error(what));
}

std::string dumped() {
  std::ostringstream out;
  fern::dump(out);
  return out.str();
}

int twice(int number) { return 2 * number; }

}  // namespace

// ---- what a function may take and return ------------------------------------------------------

TEST_F(RawGreenletTest, CallsAFunctionWithWhatTheFirstSwitchPasses) {
  EXPECT_EQ(RawGreenlet(twice).switch_to(4).get<int>(), 8);
  EXPECT_EQ(RawGreenlet([](const std::string& a, std::string&& b) { return a + b; })
                .switch_to(std::string("x"), std::string("y"))
                .get<std::string>(),
            "xy");
  EXPECT_EQ(RawGreenlet([](Value value) { return value; }).switch_to(5).get<int>(), 5);
  EXPECT_TRUE(RawGreenlet([](Value value) { return value; }).switch_to().empty());
  EXPECT_EQ(
      RawGreenlet([](auto value) { return value.template get<int>(); }).switch_to(6).get<int>(), 6);
  EXPECT_TRUE(RawGreenlet([] {}).switch_to().empty());
  EXPECT_EQ(RawGreenlet([](int a = 1) { return a; }).switch_to().get<int>(), 1);
  EXPECT_EQ(RawGreenlet([](int a = 1) { return a; }).switch_to(2).get<int>(), 2);
}

TEST_F(RawGreenletTest, HandsOutValuesOneByOne) {
  RawGreenlet counter([](int from) {
    auto consumer = getcurrent().parent();
    for (int i = from; i < from + 3; ++i) consumer.switch_to(i);
  });
  int first = counter.switch_to(10).get<int>();
  int second = counter.switch_to().get<int>();
  EXPECT_EQ(first, 10);
  EXPECT_EQ(second, 11);
  EXPECT_EQ(counter.switch_to().get<int>(), 12);
  EXPECT_TRUE(counter.switch_to().empty());
  EXPECT_TRUE(counter.dead());
}

TEST_F(RawGreenletTest, CarriesWhatCanOnlyBeMoved) {
  RawGreenlet g([](std::unique_ptr<int> p) {
    for (;;) {
      ++*p;
      p = getcurrent().parent().switch_to(std::move(p)).take<std::unique_ptr<int>>();
    }
  });
  auto p = g.switch_to(std::make_unique<int>(1)).take<std::unique_ptr<int>>();
  p = g.switch_to(std::move(p)).take<std::unique_ptr<int>>();
  EXPECT_EQ(*p, 3);
}

TEST_F(RawGreenletTest, OwnsItsFunctionUntilItHasEnded) {
  auto owned = std::make_shared<int>(9);
  std::weak_ptr<int> watch = owned;
  RawGreenlet g([owned = std::move(owned)] {
    suspend();
    return *owned;
  });
  g.switch_to();
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(g.switch_to().get<int>(), 9);
  EXPECT_TRUE(watch.expired());
}

TEST_F(RawGreenletTest, EndsWithoutHavingRunWhenTheWrongThingIsPassed) {
  auto never = [&](auto... arguments) {
    log("ran");
    return (0 + ... + arguments);
  };
  RawGreenlet one([never](int a) { never(a); });
  EXPECT_THROW(one.switch_to("x"), std::bad_any_cast);
  EXPECT_TRUE(one.dead());
  EXPECT_THROW(RawGreenlet([never](int a) { never(a); }).switch_to(), std::bad_any_cast);
  EXPECT_THROW(RawGreenlet([never](int a) { never(a); }).switch_to(1, 2), std::bad_any_cast);
  EXPECT_THROW(RawGreenlet([never](int a, int b) { never(a, b); }).switch_to(1), std::bad_any_cast);
  EXPECT_THROW(RawGreenlet([never] { never(); }).switch_to(1), std::bad_any_cast);
  EXPECT_EQ(text, "");
}

TEST_F(RawGreenletTest, AllocatesNothingToSwitch) {
  RawGreenlet g([](int n) {
    auto main = getcurrent().parent();
    for (;;) n = main.switch_to(n + 1).take<int>();
  });
  g.switch_to(0);
  auto before = fern::testing::heap_allocations();
  int n = 0;
  for (int i = 0; i < 100; ++i) n = g.switch_to(n).take<int>();
  EXPECT_EQ(fern::testing::heap_allocations(), before);
  EXPECT_EQ(n, 100);
}

TEST_F(RawGreenletTest, HasANameAndAStackOfTheSizeAskedFor) {
  may_keep_heap("sizes of stacks are kept");
  RawGreenlet g(fern::SpawnOptions{.name = "counter", .stack_size = 1 << 20}, [] {
    volatile char deep[700'000];
    deep[0] = 1;
    return deep[0] == 1;
  });
  EXPECT_EQ(g.name(), "counter");
  EXPECT_TRUE(g.switch_to().get<bool>());
}

// ---- with the hub -----------------------------------------------------------------------------

TEST_F(RawGreenletTest, ParksLikeAnyOtherWhileWhoSwitchedToItStaysSuspended) {
  RawGreenlet g([&] {
    log("sleeps");
    fern::sleep(1ms);
    log("wakes");
    return 5;
  });
  auto other = fern::spawn([&] { log("other"); });
  EXPECT_EQ(g.switch_to().get<int>(), 5);
  log("main");
  EXPECT_EQ(text, "sleeps other wakes main ");
  other.join();
}

TEST_F(RawGreenletTest, ServesGreenletsOfTheHubEachWithItsOwn) {
  fern::Event ready;
  auto worker = [&](int from) {
    RawGreenlet numbers([from, &ready] {
      auto consumer = getcurrent().parent();
      for (int i = 0; i < 3; ++i) {
        ready.wait();
        consumer.switch_to(from + i);
      }
    });
    int sum = 0;
    for (;;) {
      auto next = numbers.switch_to();
      if (next.empty()) return sum;
      sum += next.get<int>();
      fern::yield();
    }
  };
  auto a = fern::spawn(worker, 1);
  auto b = fern::spawn(worker, 10);
  fern::yield();
  EXPECT_TRUE(says(dumped(), "suspended in switch_to()"));
  ready.set();
  EXPECT_EQ(a.get(), 1 + 2 + 3);
  EXPECT_EQ(b.get(), 10 + 11 + 12);
}

TEST_F(RawGreenletTest, YieldsToOthersThatAreReady) {
  auto other = fern::spawn([&] { log("other"); });
  RawGreenlet g([&] {
    fern::yield();
    log("raw");
  });
  g.switch_to();
  EXPECT_EQ(text, "other raw ");
  other.join();
}

TEST_F(RawGreenletTest, RefusesToResumeWhatTheHubWillResume) {
  fern::Event event;
  RawGreenlet waiter;
  auto greenlet = fern::spawn([&] {
    waiter = getcurrent();
    event.wait();
    fern::yield();
    log("waited");
  });
  fern::yield();
  RawGreenlet g([&] {
    for (auto* when : {"parked", "ready", "running"}) {
      EXPECT_THROW(waiter.switch_to(1), GreenletError) << when;
      EXPECT_THROW(waiter.throw_in(error("no")), GreenletError) << when;
      EXPECT_EQ(text, "") << when;
      event.set();
    }
    try {
      getcurrent().parent().throw_in(error("to the parent"));
    } catch (const GreenletError& refused) {
      log("refused");
    }
  });
  EXPECT_THROW(g.switch_to(), std::runtime_error);
  g = {};
  greenlet.join();
  EXPECT_EQ(text, "waited ");
}

TEST_F(RawGreenletTest, GreenletsOfSpawnCanBeSwitchedToWhileTheyAreSuspendedByHand) {
  RawGreenlet scheduled;
  RawGreenlet parks([&] {
    fern::sleep(1ms);
    log("parked one ends");
  });
  auto greenlet = fern::spawn([&] {
    scheduled = getcurrent();
    EXPECT_EQ(scheduled.parent().name(), "main");
    EXPECT_THROW(scheduled.set_parent(parks), GreenletError);
    return parks.switch_to().get<int>();
  });
  fern::yield();
  // The value is dropped: whoever wanted it waits for something else.
  RawGreenlet([&] { scheduled.switch_to(7); }).switch_to();
  EXPECT_EQ(greenlet.get(), 7);
  EXPECT_TRUE(scheduled.dead());
  parks.join();
  EXPECT_EQ(text, "parked one ends ");
}

TEST_F(RawGreenletTest, AnExceptionWhoseParentWaitsForSomethingElseIsPrinted) {
  ::testing::internal::CaptureStderr();
  RawGreenlet parks(fern::SpawnOptions{.name = "thrower"}, [] {
    fern::sleep(1ms);
    throw std::runtime_error("nobody listens");
  });
  EXPECT_FALSE(fern::with_timeout_silent(1ns, [&] { parks.switch_to(); }));
  EXPECT_TRUE(parks.join());
  auto said = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(says(said, "thrower") && says(said, "nobody listens")) << said;
}

TEST_F(RawGreenletTest, ATimeoutScopeOfTheCallersLimitsTheSwitch) {
  RawGreenlet g([&] {
    fern::sleep(2ms);
    log("goes on alone");
    return 1;
  });
  EXPECT_EQ(fern::with_timeout(1us, [&] { return g.switch_to().get<int>(); }, -1), -1);
  EXPECT_FALSE(g.dead());
  EXPECT_TRUE(g.join());
  EXPECT_EQ(text, "goes on alone ");
}

TEST_F(RawGreenletTest, ATimeoutThatIsCancelledBeforeItsTurnIsNotThrown) {
  fern::Event go;
  fern::Timeout* scope = nullptr;
  auto limited = fern::spawn([&] {
    RawGreenlet waits([&] {
      go.wait();
      return 3;
    });
    fern::Timeout timeout(1ms);
    scope = &timeout;
    return waits.switch_to().get<int>();
  });
  auto canceller = fern::spawn([&] {
    while (scope == nullptr || !scope->expired()) fern::yield();
    scope->cancel();
  });
  canceller.join();
  fern::yield();
  fern::yield();
  EXPECT_FALSE(limited.ready());
  go.set();
  EXPECT_EQ(limited.get(), 3);
}

TEST_F(RawGreenletTest, AKillUnwindsTheCallerAndLeavesTheOtherToTheHub) {
  RawGreenlet g([&] {
    fern::sleep(1ms);
    log("ends");
  });
  auto caller = fern::spawn([&] {
    OnExit unwound{[&] { log("unwound"); }};
    g.switch_to();
  });
  fern::yield();
  EXPECT_TRUE(caller.kill());
  EXPECT_TRUE(caller.killed());
  EXPECT_FALSE(g.dead());
  g.join();
  EXPECT_EQ(text, "unwound ends ");
}

TEST_F(RawGreenletTest, AKillOfOneThatIsSuspendedUnwindsItAndGoesToItsParent) {
  RawGreenlet g([&] {
    OnExit unwound{[&] { log("unwound"); }};
    suspend();
  });
  g.switch_to();
  EXPECT_TRUE(g.kill());
  EXPECT_TRUE(g.killed());
  EXPECT_EQ(text, "unwound ");
  RawGreenlet never([&] { log("never"); });
  EXPECT_TRUE(never.kill());
  EXPECT_TRUE(never.killed());
  EXPECT_FALSE(never.active());
  EXPECT_EQ(text, "unwound ");
}

TEST_F(RawGreenletTest, AKillThatIsPendingIsThrownBeforeTheSwitch) {
  RawGreenlet g([&] { log("never"); });
  auto caller = fern::spawn([&] {
    auto me = fern::current_greenlet();
    {
      fern::ShieldKill shield;
      me.kill({.block = false});
      RawGreenlet([&] { log("shielded"); }).switch_to();
    }
    g.switch_to();
  });
  caller.join();
  EXPECT_TRUE(caller.killed());
  EXPECT_EQ(text, "shielded ");
}

TEST_F(RawGreenletTest, LoopExitIsThrownFromTheSwitchWhenNobodyCanWakeAnybody) {
  fern::Event never;
  RawGreenlet g([&] { never.wait(); });
  try {
    g.switch_to();
    FAIL();
  } catch (const fern::LoopExit& exit) {
    EXPECT_TRUE(says(exit.what(), "main (id 0): suspended in switch_to()")) << exit.what();
  }
  EXPECT_TRUE(g.kill());
}

TEST_F(RawGreenletTest, LoopExitListsACallerWhoseResultWentElsewhere) {
  // The parent, main, waits in join(): the value is dropped, and the caller waits for ever.
  RawGreenlet g([] { return 5; });
  auto caller = fern::spawn(fern::SpawnOptions{.name = "stuck"}, [&] { g.switch_to(); });
  try {
    caller.join();
    FAIL();
  } catch (const fern::LoopExit& exit) {
    EXPECT_TRUE(says(exit.what(), "stuck")) << exit.what();
    EXPECT_TRUE(says(exit.what(), "suspended in switch_to()")) << exit.what();
  }
  EXPECT_TRUE(g.dead());
  caller.kill();
}

TEST_F(RawGreenletTest, CannotBeUsedOnTheHubsOwnStack) {
  RawGreenlet g([&] { log("ran"); });
  RawGreenlet suspended(suspend);
  suspended.switch_to();
  fern::Event done;
  fern::Hub::current().post([&] {
    EXPECT_THROW(g.switch_to(), fern::BlockingInHub);
    EXPECT_THROW(g.throw_in(), fern::BlockingInHub);
    EXPECT_THROW(suspended.switch_to(), fern::BlockingInHub);
    EXPECT_EQ(getcurrent().name(), "main");
    EXPECT_EQ(RawGreenlet([] {}).parent().name(), "main");
    done.set();
  });
  done.wait();
  EXPECT_EQ(text, "");
  g.switch_to();
  EXPECT_EQ(text, "ran ");
}

TEST_F(RawGreenletTest, CanBeJoinedAndLinkedLikeAnyGreenlet) {
  RawGreenlet g([] { fern::sleep(1ms); });
  RawGreenlet fails([] { throw std::runtime_error("failed"); });
  g.link([&](fern::AnyGreenlet ended) { log(ended == g ? "linked" : "?"); });
  auto starter = fern::spawn([&] { g.switch_to(); });
  EXPECT_EQ(fern::joinall({g}).size(), 1u);
  EXPECT_TRUE(g.successful());
  fern::yield();
  EXPECT_EQ(text, "linked ");
  // Its parent, main, was waiting for it in joinall(), not in a switch.
  EXPECT_FALSE(starter.ready());
  starter.kill();
  EXPECT_THROW(fails.switch_to(), std::runtime_error);
  EXPECT_THROW(fails.get(), std::runtime_error);
}

// ---- exceptions -------------------------------------------------------------------------------

TEST_F(RawGreenletTest, SwitchesInsideACatchWithoutMixingExceptions) {
  RawGreenlet g([&] {
    auto main = getcurrent().parent();
    try {
      throw std::runtime_error("inner");
    } catch (...) {
      main.switch_to();
      try {
        throw;
      } catch (const std::exception& error) {
        log(error.what());
      }
    }
  });
  try {
    throw std::runtime_error("outer");
  } catch (...) {
    g.switch_to();
    try {
      throw;
    } catch (const std::exception& error) {
      log(error.what());
    }
    g.switch_to();
  }
  EXPECT_EQ(text, "outer inner ");
}

TEST_F(RawGreenletTest, IsUnwoundBySomebodyWhoUnwindsHimself) {
  EXPECT_THROW(
      {
        RawGreenlet g([&] {
          OnExit unwound{[&] { log(std::to_string(std::uncaught_exceptions())); }};
          suspend();
        });
        g.switch_to();
        throw std::runtime_error("leaving");
      },
      std::runtime_error);
  EXPECT_EQ(text, "1 ");
  EXPECT_EQ(std::uncaught_exceptions(), 0);
}

// ---- tracing ----------------------------------------------------------------------------------

TEST_F(RawGreenletTest, TracesEveryStepOfAnEndThatGoesUp) {
  std::vector<std::pair<RawGreenlet, std::string>> names{{getcurrent(), "main"}};
  auto name = [&](const RawGreenlet& greenlet) {
    for (auto& [handle, text] : names) {
      if (handle == greenlet) return text;
    }
    return std::string("?");
  };
  RawGreenlet p([] {});
  RawGreenlet c([] { throw std::runtime_error("boom"); }, p);
  names.emplace_back(p, "p");
  names.emplace_back(c, "c");
  fern::settrace([&](fern::TraceEvent event, const RawGreenlet& from, const RawGreenlet& to) {
    log((event == fern::TraceEvent::Throw ? "!" : "") + name(from) + ">" + name(to));
  });
  EXPECT_THROW(c.switch_to(), std::runtime_error);
  getcurrent().switch_to(1);
  c.throw_in();
  RawGreenlet unnamed([] {});
  EXPECT_THROW(unnamed.throw_in(error("x")), std::runtime_error);
  fern::settrace({});
  getcurrent().switch_to();
  EXPECT_EQ(text, "main>c !c>p !p>main main>main main>main !main>? !?>main ");
}

TEST_F(RawGreenletTest, ATracedValueArrives) {
  RawGreenlet g([](int n) {
    auto main = getcurrent().parent();
    for (;;) n = main.switch_to(n + 1).take<int>();
  });
  int calls = 0;
  fern::settrace([&](auto...) {
    ++calls;
    RawGreenlet([] {}).switch_to();  // it may switch itself, which is traced as well
    if (calls > 20) fern::settrace({});
  });
  fern::settrace([&](auto...) { ++calls; });
  EXPECT_EQ(g.switch_to(1).get<int>(), 2);
  EXPECT_EQ(g.switch_to(5).get<int>(), 6);
  EXPECT_EQ(calls, 4);
  fern::settrace({});
}

TEST_F(RawGreenletTest, AnExceptionOfTheTraceTakesTheValuesPlace) {
  RawGreenlet g([&] {
    auto main = getcurrent().parent();
    try {
      main.switch_to(1);
    } catch (const std::runtime_error& error) {
      log(error.what());
    }
    return 2;
  });
  g.switch_to();
  fern::settrace([](auto...) { throw std::runtime_error("traced"); });
  EXPECT_EQ(g.switch_to(5).get<int>(), 2);
  EXPECT_FALSE(fern::gettrace());
  EXPECT_EQ(text, "traced ");
}
