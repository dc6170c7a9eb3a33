#include "fern/scoped_greenlet.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "children.hpp"
#include "fern/errors.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/timeout.hpp"
#include "support.hpp"

namespace {

using namespace std::chrono_literals;
using fern::ScopedGreenlet;
using fern::spawn;

class ScopedGreenletTest : public FernTest {
 protected:
  // Waits until it is killed, then cleans up for a while.
  auto worker(std::string name = "worker") {
    return [this, name] {
      struct CleanUp {
        std::string& log;
        std::string name;
        ~CleanUp() {
          fern::ShieldKill shield;
          fern::yield();
          log += name + " ended ";
        }
      } clean_up{log, name};
      fern::sleep(1h);
    };
  }

  std::string log;
};

TEST_F(ScopedGreenletTest, IsKilledAndHasEndedWhenItsScopeEnds) {
  {
    ScopedGreenlet scoped(worker());
    fern::yield();
    log += "scope ";
  }
  EXPECT_EQ(log, "scope worker ended ");
}

TEST_F(ScopedGreenletTest, EndsTooWhenTheScopeIsLeftByAnException) {
  try {
    ScopedGreenlet scoped(worker());
    fern::yield();
    throw std::runtime_error("out");
  } catch (const std::runtime_error&) {
    log += "caught";
  }
  EXPECT_EQ(log, "worker ended caught");
}

TEST_F(ScopedGreenletTest, EndsTooWhenItsOwnerIsKilled) {
  auto owner = spawn([&] {
    ScopedGreenlet scoped(worker());
    fern::sleep(1h);
  });
  fern::yield();
  fern::yield();
  owner.kill();
  EXPECT_EQ(log, "worker ended ");
}

// A kill that arrives while the destructor waits is delivered at the next wait.
TEST_F(ScopedGreenletTest, AKillOfTheOwnerDoesNotCutTheWaitShort) {
  fern::Event ending;
  fern::Event go_on;
  auto owner = spawn([&] {
    {
      ScopedGreenlet scoped([&] {
        try {
          fern::sleep(1h);
        } catch (const fern::GreenletExit&) {
          fern::ShieldKill shield;
          ending.set();
          go_on.wait();
          log += "ended ";
          throw;
        }
      });
      fern::yield();
    }
    log += "after ";
    fern::yield();
    log += "never";
  });
  ending.wait();
  owner.kill({.block = false});
  fern::yield();
  go_on.set();
  owner.join();
  EXPECT_EQ(log, "ended after ");
}

TEST_F(ScopedGreenletTest, OneThatNeverStartedDoesNotRun) {
  {
    ScopedGreenlet scoped([&] { log += "ran"; });
  }
  EXPECT_EQ(log, "");
}

TEST_F(ScopedGreenletTest, GivesTheResultAndTheHandle) {
  ScopedGreenlet scoped(
      fern::SpawnOptions{.name = "adder"},
      [](int a, std::unique_ptr<int> b) { return std::make_unique<int>(a + *b); }, 3,
      std::make_unique<int>(4));
  static_assert(std::is_same_v<decltype(scoped), ScopedGreenlet<std::unique_ptr<int>>>);
  EXPECT_EQ(scoped.greenlet().name(), "adder");
  EXPECT_TRUE(scoped.join());
  EXPECT_EQ(*scoped.get(), 7);
  EXPECT_EQ(*std::move(scoped).get(), 7);
}

TEST_F(ScopedGreenletTest, ItsFailureIsThrownByGetAndOtherwisePrinted) {
  ScopedGreenlet failing([] { throw std::runtime_error("no"); });
  EXPECT_THROW(failing.get(), std::runtime_error);
  ::testing::internal::CaptureStderr();
  {
    ScopedGreenlet unread([] { throw std::runtime_error("nobody asked"); });
    unread.join();
  }
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("nobody asked"), std::string::npos);
}

TEST_F(ScopedGreenletTest, TakesAGreenletThatExists) {
  auto handle = spawn([] {
    fern::sleep(1h);
    return 1;
  });
  {
    ScopedGreenlet scoped(handle);
    static_assert(std::is_same_v<decltype(scoped), ScopedGreenlet<int>>);
    fern::yield();
  }
  EXPECT_TRUE(handle.killed());
}

TEST_F(ScopedGreenletTest, MovesWithItsScope) {
  static_assert(!std::is_copy_constructible_v<ScopedGreenlet<void>>);
  ScopedGreenlet<void> outer;
  {
    ScopedGreenlet inner(worker());
    fern::yield();
    outer = std::move(inner);
  }
  EXPECT_EQ(log, "");
  ScopedGreenlet other(worker("other"));
  fern::yield();
  outer = std::move(other);
  EXPECT_EQ(log, "worker ended ");
  ScopedGreenlet last(std::move(outer));
  EXPECT_FALSE(outer.greenlet().valid());  // NOLINT: a moved-from one is empty
  EXPECT_TRUE(last.kill());
  EXPECT_EQ(log, "worker ended other ended ");
}

TEST_F(ScopedGreenletTest, AReleasedOneGoesOn) {
  fern::Event go_on;
  fern::Greenlet<int> released;
  {
    ScopedGreenlet scoped([&] {
      go_on.wait();
      return 5;
    });
    fern::yield();
    released = scoped.release();
  }
  go_on.set();
  EXPECT_EQ(released.get(), 5);
}

TEST_F(ScopedGreenletTest, WithALimitARefusalIsReported) {
  ::testing::internal::CaptureStderr();
  fern::Event go_on;
  fern::Greenlet<void> stubborn;
  {
    ScopedGreenlet scoped(fern::SpawnOptions{.name = "stubborn"}, [&] {
      fern::ShieldKill shield;
      go_on.wait();
    });
    scoped.set_limit(2ms);
    stubborn = scoped.greenlet();
    fern::yield();
  }
  std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("stubborn"), std::string::npos) << text;
  EXPECT_NE(text.find("did not end with its scope"), std::string::npos) << text;
  EXPECT_FALSE(stubborn.ready());
  go_on.set();
  EXPECT_TRUE(stubborn.join(20s));
}

TEST_F(ScopedGreenletTest, AGreenletThatDropsItsOwnScopeEndsAtItsNextWait) {
  ::testing::internal::CaptureStderr();
  std::optional<ScopedGreenlet<void>> scoped;
  scoped.emplace([&] {
    scoped.reset();
    log += "dropped ";
    fern::yield();
    log += "never";
  });
  auto handle = scoped->greenlet();
  handle.join();
  EXPECT_EQ(log, "dropped ");
  EXPECT_TRUE(handle.killed());
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("did not end"), std::string::npos);
}

TEST_F(ScopedGreenletTest, InTheHubItKillsButDoesNotWait) {
  ::testing::internal::CaptureStderr();
  std::optional<ScopedGreenlet<void>> scoped;
  scoped.emplace(worker());
  auto handle = scoped->greenlet();
  fern::yield();
  fern::Hub::current().post([&] { scoped.reset(); });
  handle.join();
  EXPECT_TRUE(handle.killed());
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("did not end"), std::string::npos);
}

TEST_F(ScopedGreenletTest, MayEndInAnotherThread) {
  may_keep_heap("hubs are kept for later threads");
  ScopedGreenlet scoped(worker());
  fern::yield();
  fern::Event done;
  std::thread other([&done, scoped = std::move(scoped)]() mutable {
    {
      ScopedGreenlet here = std::move(scoped);
    }
    done.set();
  });
  done.wait();
  EXPECT_EQ(log, "worker ended ");
  other.join();
}

class WithGreenletTest : public ScopedGreenletTest {};

// gevent, V73.
TEST_F(WithGreenletTest, WaitsForItsEndWhenTheBodyReturns) {
  int result = fern::with_greenlet(spawn([&] {
                                     fern::sleep(1ms);
                                     log += "child done ";
                                   }),
                                   [&](const fern::Greenlet<void>& child) {
                                     EXPECT_FALSE(child.ready());
                                     log += "body ";
                                     return 3;
                                   });
  EXPECT_EQ(result, 3);
  EXPECT_EQ(log, "body child done ");
}

TEST_F(WithGreenletTest, KillsItByTheExceptionThatTheBodyThrows) {
  auto child = spawn([] {
    fern::sleep(1h);
    return 1;
  });
  EXPECT_THROW(fern::with_greenlet(child,
                                   [] {
                                     fern::yield();
                                     throw std::out_of_range("x");
                                   }),
               std::out_of_range);
  EXPECT_TRUE(child.dead());
  EXPECT_THROW(child.get(), std::out_of_range);
}

TEST_F(WithGreenletTest, AKillOrATimeoutOfTheWaitKillsIt) {
  auto child = spawn(worker());
  auto owner = spawn([&] { fern::with_greenlet(child, [] {}); });
  fern::yield();
  fern::yield();
  owner.kill();
  EXPECT_EQ(log, "worker ended ");
  EXPECT_TRUE(child.killed());
  auto second = spawn(worker("second"));
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] { fern::with_greenlet(second, [] {}); }));
  EXPECT_EQ(log, "worker ended second ended ");
  EXPECT_THROW(second.get(), fern::TimeoutError);
}

TEST_F(WithGreenletTest, GivesWhateverTheBodyReturns) {
  auto idle = [] { return spawn([] {}); };
  int number = 0;
  static_assert(
      std::is_same_v<decltype(fern::with_greenlet(idle(), [&]() -> int& { return number; })),
                     int&>);
  EXPECT_EQ(&fern::with_greenlet(idle(), [&]() -> int& { return number; }), &number);
  auto owned = fern::with_greenlet(idle(), [] { return std::make_unique<int>(2); });
  EXPECT_EQ(*owned, 2);
  static_assert(std::is_void_v<decltype(fern::with_greenlet(idle(), [] {}))>);
}

TEST_F(WithGreenletTest, ItsFailureStaysItsOwn) {
  auto child = spawn([] { throw std::runtime_error("mine"); });
  EXPECT_EQ(fern::with_greenlet(child, [] { return 1; }), 1);
  EXPECT_THROW(child.get(), std::runtime_error);
}

}  // namespace
