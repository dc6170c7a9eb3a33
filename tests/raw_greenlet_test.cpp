// Switching by hand, alone and among greenlets of the hub. What Python's greenlet does is in
// conformance/greenlet_test.cpp.
#include <fern/errors.hpp>
#include <fern/raw_greenlet.hpp>

#include <any>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "raw_greenlets.hpp"

using namespace std::chrono_literals;
using fern::getcurrent;
using fern::RawGreenlet;
using fern::Value;

namespace {

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
