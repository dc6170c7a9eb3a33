#include "children.hpp"
#include "support.hpp"

#include <fern/errors.hpp>
#include <fern/hub.hpp>
#include <fern/pool.hpp>
#include <fern/timeout.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using fern::GreenletExit;
using fern::GreenPool;

namespace {

using Log = std::vector<std::string>;

class PoolTest : public FernTest {};

}  // namespace

TEST_F(PoolTest, AMemberOfAPoolWithRoomSpawnsAsEverybody) {
  GreenPool pool(2);
  Log log;
  pool.spawn_raw([&] {
    pool.spawn_raw([&] { log.push_back("inner"); });
    log.push_back("outer end");
  });
  EXPECT_TRUE(pool.waitall());
  EXPECT_EQ(log, (Log{"outer end", "inner"}));
}

TEST_F(PoolTest, WhatRunsAtOnceMayWait) {
  GreenPool pool(1);
  Log log;
  auto member = pool.spawn([&] {
    pool.spawn_raw([&] {
      fern::sleep(1ms);
      pool.spawn_raw([&] { log.push_back("innermost"); });
      log.push_back("inner");
    });
    log.push_back("outer");
  });
  member.get();
  EXPECT_EQ(log, (Log{"innermost", "inner", "outer"}));
}

TEST_F(PoolTest, WhatFailsAtOnceFailsInItsHandle) {
  GreenPool pool(1);
  auto member = pool.spawn([&] {
    auto inner = pool.spawn([]() -> int { throw std::runtime_error("inner"); });
    EXPECT_TRUE(inner.dead());
    EXPECT_FALSE(inner.successful());
    EXPECT_THROW(inner.get(), std::runtime_error);
    auto gone = pool.spawn([] { throw GreenletExit(); });
    EXPECT_TRUE(gone.killed());
    EXPECT_THROW(gone.get(), fern::GreenletKilled);
  });
  member.get();
}

TEST_F(PoolTest, WhatFailsAtOnceWithoutAHandleIsPrinted) {
  GreenPool pool(1);
  bool went_on = false;
  testing::internal::CaptureStderr();
  auto member = pool.spawn([&] {
    pool.spawn_raw([] { throw std::runtime_error("nobody reads this"); });
    went_on = true;
  });
  member.get();
  EXPECT_NE(testing::internal::GetCapturedStderr().find("nobody reads this"), std::string::npos);
  EXPECT_TRUE(went_on);
}

TEST_F(PoolTest, AKillOfTheCallerPassesThroughWhatRunsAtOnce) {
  GreenPool pool(1);
  bool went_on = false;
  auto member = pool.spawn([&] {
    pool.spawn(wait_forever);
    went_on = true;
  });
  fern::yield();
  member.kill();
  EXPECT_TRUE(member.killed());
  EXPECT_FALSE(went_on);
  EXPECT_EQ(pool.running(), 0u);

  auto other = pool.spawn([&] {
    pool.spawn(wait_forever);
    went_on = true;
  });
  fern::yield();
  other.kill({.exception = std::make_exception_ptr(std::out_of_range("stop"))});
  EXPECT_THROW(other.get(), std::out_of_range);
  EXPECT_FALSE(went_on);
}

TEST_F(PoolTest, ATimeoutOfTheCallersPassesThroughWhatRunsAtOnce) {
  GreenPool pool(1);
  Log log;
  auto member = pool.spawn([&] {
    fern::Timeout timeout(2ms);
    try {
      pool.spawn(wait_forever);
      log.push_back("went on");
    } catch (const fern::TimeoutError& error) {
      log.push_back(timeout.owns(error) ? "mine" : "another");
    }
    auto inner = pool.spawn([] {
      fern::Timeout its_own(2ms);
      wait_forever();
    });
    EXPECT_THROW(inner.get(), fern::TimeoutError);
    log.push_back("went on");
  });
  member.get();
  EXPECT_EQ(log, (Log{"mine", "went on"}));
}

TEST_F(PoolTest, WhatRunsAtOnceMayForkAndTheChildGoesOn) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  GreenPool pool(1);
  auto member = pool.spawn([&] {
    pid_t child = -1;
    auto inner = pool.spawn([&] {
      child = ::fork();
      if (child == 0) fern::sleep(1ms);
      return 7;
    });
    if (child == 0) {
      bool fine = inner.join(1s) && inner.get() == 7 && fern::Hub::current().greenlets() == 1;
      inner = {};
      fine = fine && fern::spawn([] { return 8; }).get() == 8;
      fern::testing::end_child(fine ? 0 : 1);
    }
    EXPECT_EQ(inner.get(), 7);
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(fern::testing::succeeded(status));
  });
  member.get();
}

TEST_F(PoolTest, ApplyInsideOfAFullPoolDoesNotHang) {
  GreenPool pool(1);
  EXPECT_EQ(pool.apply([&] { return pool.apply([&] { return pool.apply([] { return 9; }); }); }),
            9);
}
