// What a killed greenlet does with its GreenletExit. Who is killed when: greenlet_kill_test.cpp.
#include <fcntl.h>
#include <unistd.h>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/selector.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include "support.hpp"

using namespace std::chrono_literals;
using fern::GreenletExit;

namespace {

class Exit : public FernTest {
 protected:
  // Kills a greenlet in its first wait, and lets it go on to its end. Gives what it says meanwhile.
  std::string said_by(std::function<void()> body, fern::KillOptions options = {}) {
    options.block = false;
    ::testing::internal::CaptureStderr();
    auto greenlet = fern::spawn(fern::SpawnOptions{.name = "deaf"}, std::move(body));
    fern::yield();
    greenlet.kill(options);
    options = {};
    greenlet.join();
    killed = greenlet.killed();
    failed = greenlet.exception() != nullptr;
    id = greenlet.id();
    greenlet = {};
    return ::testing::internal::GetCapturedStderr();
  }

  std::string report() const {
    return "fern: greenlet deaf (id " + std::to_string(id) +
           ") swallowed a GreenletExit and goes on\n";
  }

  // How the last one ended.
  bool killed = false;
  bool failed = false;
  std::uint64_t id = 0;
};

// What killed greenlets do, and must not.
void swallow_all() {
  try {
    fern::sleep(1h);
  } catch (...) {
  }
}

}  // namespace

// --- swallowed --------------------------------------------------------------------------------

TEST_F(Exit, SwallowedByCatchAllIsReportedOnceAtTheNextWait) {
  std::string before;
  auto said = said_by([&] {
    swallow_all();
    ::testing::internal::GetCapturedStderr().swap(before);
    ::testing::internal::CaptureStderr();
    fern::sleep(1us);
    fern::sleep(1us);
    fern::yield();
  });
  EXPECT_EQ(before, "");
  EXPECT_EQ(said, report());
  EXPECT_FALSE(killed || failed);
}

TEST_F(Exit, SwallowedByItsTypeIsReportedToo) {
  auto said = said_by([] {
    try {
      fern::sleep(1h);
    } catch (const GreenletExit&) {
    }
    fern::yield();
  });
  EXPECT_EQ(said, report());
}

TEST_F(Exit, IsReportedForEachKillThatIsSwallowed) {
  auto said = said_by([] {
    swallow_all();
    fern::current_greenlet().kill({.block = false});
    swallow_all();
    fern::yield();
  });
  EXPECT_EQ(said, report() + report());
}

TEST_F(Exit, SwallowedBeforeAWaitForADescriptorIsReported) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  auto said = said_by([&] {
    swallow_all();
    fern::wait_readable(ends[0], 1us);
  });
  EXPECT_EQ(said, report());
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(Exit, SwallowedWhereAnotherErrorIsHandledIsReportedAfterwards) {
  auto said = said_by([] {
    try {
      throw std::runtime_error("before the kill");
    } catch (const std::runtime_error&) {
      swallow_all();
      fern::yield();
    }
    fern::yield();
  });
  EXPECT_EQ(said, report());
}

TEST_F(Exit, OfMainIsReportedAsWell) {
  auto main = fern::current_greenlet();
  fern::spawn_raw([main] { main.kill({.block = false}); });
  ::testing::internal::CaptureStderr();
  EXPECT_THROW(fern::sleep(1h), GreenletExit);
  fern::yield();
  auto said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(said, "fern: greenlet main (id 0) swallowed a GreenletExit and goes on\n");
}

TEST_F(Exit, GivenByTheKillerIsThrownWithItsReasonAndReportedIfSwallowed) {
  fern::KillOptions options{.exception = std::make_exception_ptr(GreenletExit("the reason"))};
  std::string why;
  auto body = [&] {
    try {
      fern::sleep(1h);
    } catch (const GreenletExit& exit) {
      why = exit.what();
    }
    fern::yield();
  };
  // The killer keeps the exception meanwhile, and uses it again.
  for (int i = 0; i < 2; ++i) {
    auto said = said_by(body, options);
    EXPECT_EQ(said, report());
    EXPECT_EQ(why, "the reason");
  }
}

TEST_F(Exit, TurnedIntoAnErrorThatTheGreenletSurvivesIsReported) {
  auto said = said_by([] {
    try {
      try {
        fern::sleep(1h);
      } catch (const GreenletExit&) {
        throw std::runtime_error("turned");
      }
    } catch (const std::runtime_error&) {
      fern::yield();
    }
    fern::yield();
  });
  EXPECT_EQ(said, report());
}

// --- not swallowed ----------------------------------------------------------------------------

TEST_F(Exit, ThatIsDismissedIsNotReported) {
  auto said = said_by([] {
    try {
      fern::sleep(1h);
    } catch (const GreenletExit& exit) {
      exit.dismiss();
    }
    fern::yield();
    fern::current_greenlet().kill({.block = false});
    try {
      fern::yield();
    } catch (...) {
      try {
        throw;
      } catch (const GreenletExit& exit) {
        GreenletExit copy = exit;
        copy.dismiss();
      }
    }
    fern::yield();
  });
  EXPECT_EQ(said, "");
  EXPECT_FALSE(killed);
  GreenletExit("of nobody's kill").dismiss();
}

TEST_F(Exit, MayBeHandledByWaitsBeforeItIsRethrown) {
  auto said = said_by([] {
    try {
      fern::sleep(1h);
    } catch (...) {
      fern::sleep(1us);
      try {
        throw std::runtime_error("on the way");
      } catch (const std::runtime_error&) {
        fern::yield();
      }
      throw;
    }
  });
  EXPECT_EQ(said, "");
  EXPECT_TRUE(killed);
}

TEST_F(Exit, MayUnwindThroughDestructorsThatWait) {
  std::string log;
  auto said = said_by([&] {
    OnExit outer{[&] {
      fern::sleep(1us);
      log += "outer ";
    }};
    OnExit inner{[&] {
      fern::ShieldKill shield;
      fern::sleep(1us);
      fern::yield();
      log += "inner ";
    }};
    fern::sleep(1h);
  });
  EXPECT_EQ(said, "");
  EXPECT_EQ(log, "inner outer ");
  EXPECT_TRUE(killed);
}

TEST_F(Exit, MayBeKeptForAWhileAndRethrown) {
  auto said = said_by([] {
    std::exception_ptr kept;
    try {
      fern::sleep(1h);
    } catch (...) {
      kept = std::current_exception();
    }
    fern::sleep(1us);
    std::rethrow_exception(kept);
  });
  EXPECT_EQ(said, "");
  EXPECT_TRUE(killed);
}

TEST_F(Exit, SwallowedByAGreenletThatEndsThenIsNoMatter) {
  EXPECT_EQ(said_by(swallow_all), "");
  EXPECT_FALSE(killed);
}

TEST_F(Exit, TurnedIntoAnErrorThatEndsTheGreenletIsNotReported) {
  auto said = said_by([] {
    OnExit waits{[] { fern::yield(); }};
    try {
      fern::sleep(1h);
    } catch (const GreenletExit&) {
      throw std::runtime_error("turned");
    }
  });
  EXPECT_EQ(said, "");
  EXPECT_TRUE(failed);
}

TEST_F(Exit, OfAnotherTypeIsForTheGreenletToHandle) {
  auto said = said_by(
      [] {
        swallow_all();
        fern::yield();
      },
      {.exception = std::make_exception_ptr(std::out_of_range("far"))});
  EXPECT_EQ(said, "");
}

TEST_F(Exit, ThrownByTheGreenletItselfIsItsOwnAffair) {
  ::testing::internal::CaptureStderr();
  fern::spawn([] {
    try {
      throw GreenletExit();
    } catch (const GreenletExit&) {
    }
    fern::yield();
  }).join();
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(Exit, OfADerivedClassIsThrownAsItIs) {
  struct Special : GreenletExit {
    int code = 17;
  };
  int code = 0;
  auto said = said_by(
      [&] {
        try {
          fern::sleep(1h);
        } catch (const Special& special) {
          code = special.code;
          throw;
        }
      },
      {.exception = std::make_exception_ptr(Special())});
  EXPECT_EQ(said, "");
  EXPECT_EQ(code, 17);
  EXPECT_TRUE(killed);
}

// --- while it unwinds -------------------------------------------------------------------------

TEST_F(Exit, ASecondKillWhileItUnwindsIsHeldBackToTheEnd) {
  std::string log;
  fern::Event goes_on;
  auto greenlet = fern::spawn([&] {
    OnExit waits{[&] {
      goes_on.wait();
      log += "whole";
    }};
    fern::sleep(1h);
  });
  fern::yield();
  greenlet.kill({.block = false});
  fern::yield();
  EXPECT_FALSE(greenlet.kill({.deadline = 0s}));
  EXPECT_FALSE(greenlet.kill(
      {.exception = std::make_exception_ptr(std::runtime_error("late")), .deadline = 100us}));
  goes_on.set();
  EXPECT_TRUE(greenlet.kill());
  EXPECT_EQ(log, "whole");
  EXPECT_TRUE(greenlet.killed());
}

TEST_F(Exit, ASecondKillWhileTheFirstIsHandledIsThrownThere) {
  std::string log;
  auto greenlet = fern::spawn([&] {
    try {
      fern::sleep(1h);
    } catch (const GreenletExit&) {
      log += "first ";
      try {
        fern::sleep(1h);
      } catch (const std::out_of_range&) {
        log += "second ";
      }
      throw;
    }
  });
  fern::yield();
  greenlet.kill({.deadline = 100us});
  EXPECT_TRUE(greenlet.kill({.exception = std::make_exception_ptr(std::out_of_range("far"))}));
  EXPECT_EQ(log, "first second ");
  EXPECT_TRUE(greenlet.killed());
}

TEST_F(Exit, ADestructorThatWaitsIsLimitedByItsDeadline) {
  int waits = 0;
  auto never = fern::spawn([] { fern::sleep(1h); });
  auto greenlet = fern::spawn([&] {
    OnExit first{[&] { waits += never.join(1ms) ? 100 : 1; }};
    OnExit second{[&] {
      fern::ShieldKill shield;
      fern::Deadline budget = 1ms;
      while (!never.join(budget)) {
        if (budget.expired()) break;
      }
      ++waits;
    }};
    fern::sleep(1h);
  });
  fern::yield();
  EXPECT_TRUE(greenlet.kill());
  EXPECT_EQ(waits, 2);
  never.kill();
}
