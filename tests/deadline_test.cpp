// What times a Deadline can be made of, and what it makes of them.
#include <fern/deadline.hpp>
#include <fern/greenlet.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

#include "support.hpp"

using namespace std::chrono_literals;
using fern::Deadline;
using std::chrono::duration;
using std::chrono::steady_clock;

namespace {

using DeadlineTest = FernTest;

template <class Rep, class Period = std::ratio<1>>
using Span = duration<Rep, Period>;

// The wall clock jumps: it does not compile.
static_assert(!std::is_constructible_v<Deadline, std::chrono::system_clock::time_point>);
static_assert(!std::is_constructible_v<Deadline, std::chrono::sys_days>);
static_assert(!std::is_constructible_v<Deadline, std::chrono::local_seconds>);
static_assert(std::is_convertible_v<steady_clock::time_point, Deadline>);
static_assert(std::is_convertible_v<std::chrono::seconds, Deadline>);
static_assert(std::is_convertible_v<Span<float>, Deadline>);
// A bare number has no unit.
static_assert(!std::is_constructible_v<Deadline, int>);
static_assert(!std::is_constructible_v<Deadline, double>);

// Waits are passed one by value.
static_assert(sizeof(Deadline) == 8 && std::is_trivially_copyable_v<Deadline>);
static_assert(Deadline().is_never() && Deadline::never() == Deadline());
static_assert(Deadline::from_ns(5).ns() == 5 && !Deadline::past().is_never());
static_assert(Deadline(steady_clock::time_point(7ns)).ns() == 7);

// The point that a duration comes to, which the two looks at the clock enclose.
template <class Duration>
::testing::AssertionResult is_after(Duration timeout, std::chrono::nanoseconds expected) {
  auto before = steady_clock::now();
  Deadline deadline = timeout;
  auto after = steady_clock::now();
  if (deadline >= Deadline(before + expected) && deadline <= Deadline(after + expected)) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure()
         << "it is " << (deadline.ns() - Deadline(before).ns()) << " ns from now";
}

}  // namespace

TEST_F(DeadlineTest, ADurationCountsFromNow) {
  EXPECT_TRUE(is_after(3s, 3s));
  EXPECT_TRUE(is_after(1ns, 1ns));
  EXPECT_TRUE(is_after(24h, 24h));
}

TEST_F(DeadlineTest, ADurationMayHaveAnyRepresentation) {
  EXPECT_TRUE(is_after(Span<std::int8_t>(100), 100s));
  EXPECT_TRUE(is_after(Span<std::uint8_t, std::ratio<60>>(200), 200min));
  EXPECT_TRUE(is_after(Span<unsigned>(4'000'000'000U), 4'000'000'000s));
  EXPECT_TRUE(is_after(Span<float>(0.5F), 500ms));
  EXPECT_TRUE(is_after(Span<double, std::milli>(1.25), 1250us));
  EXPECT_TRUE(is_after(Span<long double, std::nano>(3.0L), 3ns));
  EXPECT_TRUE(is_after(Span<double, std::ratio<3600>>(2), 2h));
}

TEST_F(DeadlineTest, ADurationIsRoundedUpToTheNanosecond) {
  EXPECT_TRUE(is_after(Span<std::int64_t, std::pico>(1), 1ns));
  EXPECT_TRUE(is_after(Span<std::int64_t, std::pico>(2001), 3ns));
  EXPECT_TRUE(is_after(Span<double, std::nano>(0.1), 1ns));
  EXPECT_TRUE(is_after(Span<double, std::nano>(2.5), 3ns));
  EXPECT_TRUE(is_after(Span<std::int64_t, std::ratio<1, 3>>(1), 333'333'334ns));
  EXPECT_EQ(Deadline(steady_clock::time_point(1us) + Span<std::int64_t, std::pico>(1)).ns(), 1001);
}

TEST_F(DeadlineTest, WhatIsNotPositiveHasPassed) {
  EXPECT_EQ(Deadline(0s), Deadline::past());
  EXPECT_EQ(Deadline(-1ns), Deadline::past());
  EXPECT_EQ(Deadline(-0.0s), Deadline::past());
  EXPECT_EQ(Deadline(std::chrono::nanoseconds::min()), Deadline::past());
  EXPECT_EQ(Deadline(std::chrono::hours::min()), Deadline::past());
  EXPECT_EQ(Deadline(Span<double>(-std::numeric_limits<double>::infinity())), Deadline::past());
  EXPECT_EQ(Deadline(steady_clock::time_point(-1ns)), Deadline::past());
  EXPECT_EQ(Deadline(steady_clock::time_point::min()), Deadline::past());
  EXPECT_TRUE(Deadline::past().expired());
  EXPECT_EQ(Deadline::past().remaining(), 0ns);
}

TEST_F(DeadlineTest, WhatIsTooLargeIsNever) {
  EXPECT_TRUE(Deadline(std::chrono::nanoseconds::max()).is_never());
  EXPECT_TRUE(Deadline(std::chrono::nanoseconds::max() - 1ns).is_never());
  EXPECT_TRUE(Deadline(std::chrono::microseconds::max()).is_never());
  EXPECT_TRUE(Deadline(std::chrono::hours::max()).is_never());
  EXPECT_TRUE(Deadline(std::chrono::years(400)).is_never());
  EXPECT_TRUE(Deadline(Span<std::uint64_t>(~std::uint64_t{0})).is_never());
  EXPECT_TRUE(Deadline(Span<float>(std::numeric_limits<float>::max())).is_never());
  EXPECT_TRUE(Deadline(Span<double>(std::numeric_limits<double>::infinity())).is_never());
  EXPECT_TRUE(Deadline(steady_clock::time_point::max()).is_never());
  using Coarse = std::chrono::time_point<steady_clock, std::chrono::hours>;
  EXPECT_TRUE(Deadline(Coarse::max()).is_never());
  EXPECT_EQ(Deadline(Coarse::min()), Deadline::past());
  EXPECT_FALSE(Deadline(std::chrono::years(200)).is_never());
}

TEST_F(DeadlineTest, NeverDoesNotExpireAndLeavesTheLargestTime) {
  EXPECT_FALSE(Deadline::never().expired());
  EXPECT_EQ(Deadline::never().remaining(), std::chrono::nanoseconds::max());
  EXPECT_GT(Deadline::never(), Deadline(24h));
}

TEST_F(DeadlineTest, ExpiresWhenItsPointHasPassedAndNotBefore) {
  Deadline soon = 2ms;
  Deadline later = 1h;
  EXPECT_LT(soon, later);
  EXPECT_FALSE(later.expired());
  EXPECT_LE(later.remaining(), 1h);
  EXPECT_GT(later.remaining(), 0ns);
  while (!soon.expired()) EXPECT_LE(soon.remaining(), 2ms);
  EXPECT_GE(steady_clock::now().time_since_epoch().count(), soon.ns());
  EXPECT_EQ(soon.remaining(), 0ns);
}

TEST_F(DeadlineTest, OneObjectIsOneBudgetForSeveralCalls) {
  auto began = steady_clock::now();
  Deadline budget = 4ms;
  auto sleeper = fern::spawn([] { fern::sleep(1h); });
  EXPECT_FALSE(sleeper.join(budget));
  EXPECT_GE(steady_clock::now() - began, 4ms);
  EXPECT_TRUE(budget.expired());
  EXPECT_FALSE(sleeper.join(budget));
  fern::sleep(budget);
  Deadline copy = budget;
  EXPECT_EQ(copy, budget);
  sleeper.kill();
}
