// Functions under a time limit. The scope itself: timeout_test.cpp.
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/timeout.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include "support.hpp"

using namespace std::chrono_literals;
using fern::Timeout;
using fern::TimeoutError;

namespace {

using WithTimeout = FernTest;

}  // namespace

TEST_F(WithTimeout, GivesTheFunctionsResultOrThrows) {
  EXPECT_EQ(fern::with_timeout(1h, [] { return 3; }), 3);
  int target = 5;
  int& reference = fern::with_timeout(1h, [&]() -> int& { return target; });
  EXPECT_EQ(&reference, &target);
  EXPECT_EQ(*fern::with_timeout(1h, [] { return std::make_unique<int>(6); }), 6);
  fern::with_timeout(1h, [&] { target = 7; });
  EXPECT_EQ(target, 7);
  EXPECT_THROW(fern::with_timeout(1ms, [] { fern::sleep(1h); }), TimeoutError);
  EXPECT_THROW(fern::with_timeout(1h, [] { throw std::out_of_range("its own"); }),
               std::out_of_range);
  fern::sleep(2ms);
}

TEST_F(WithTimeout, FallsBackForItsOwnErrorOnly) {
  auto slow = [] {
    fern::sleep(1h);
    return std::string("slow");
  };
  EXPECT_EQ(fern::with_timeout(1ms, slow, "fallback"), "fallback");
  EXPECT_EQ(fern::with_timeout(1h, [] { return std::string("quick"); }, "fallback"), "quick");
  auto waiting = fern::spawn([] {
    fern::sleep(1h);
    return std::string();
  });
  auto strangers = [&] { return waiting.get(1ms); };
  EXPECT_THROW(fern::with_timeout(1h, strangers, "fallback"), TimeoutError);
  waiting.kill();
  Timeout outer(1ms);
  EXPECT_THROW(fern::with_timeout(1h, slow, "fallback"), TimeoutError);
}

TEST_F(WithTimeout, SilentlyTellsWhetherTheFunctionRanToItsEnd) {
  bool ended = false;
  EXPECT_TRUE(fern::with_timeout_silent(1h, [&] { ended = true; }));
  EXPECT_TRUE(ended);
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [] { fern::sleep(1h); }));
  EXPECT_THROW(fern::with_timeout_silent(1h, [] { throw TimeoutError("its own"); }), TimeoutError);
  Timeout outer(1ms);
  EXPECT_THROW(fern::with_timeout_silent(1h, [] { fern::sleep(1h); }), TimeoutError);
}
