// What eventlet's GreenThread does: its result, its links, its kill, its cancel.

#include <fern/errors.hpp>
#include <fern/greenlet.hpp>

#include <chrono>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "journal.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using fern::spawn;

namespace {

class EventletGreenlet : public FernTest {
 protected:
  // Sleeps, and says what ends it.
  void sleeper() {
    try {
      fern::sleep(1h);
    } catch (const fern::GreenletExit&) {
      journal.say("in it: GreenletExit");
      throw;
    } catch (const std::exception& error) {
      journal.say("in it:", error.what());
      throw;
    }
  }

  Journal journal;
};

int fail() { throw std::domain_error("division by zero"); }

// E05. eventlet prints what wait() raises as well; Fern only what nobody reads.
TEST_F(EventletGreenlet, GetReturnsOrRethrowsAndOnlyWhatNobodyCanReadIsPrinted) {
  EXPECT_EQ(spawn([] { return 5; }).get(), 5);
  testing::internal::CaptureStderr();
  EXPECT_THROW(spawn(fail).get(), std::domain_error);
  auto held = spawn(fail);
  fern::yield();
  EXPECT_THROW(held.get(), std::domain_error);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  testing::internal::CaptureStderr();
  fern::spawn_raw(fail);
  fern::yield();
  EXPECT_NE(testing::internal::GetCapturedStderr().find("division by zero"), std::string::npos);
}

// E06. eventlet calls links in the greenlet that ends, or in the caller's if it has ended.
TEST_F(EventletGreenlet, LinksAreCalledInOrderInGreenletsOfTheirOwn) {
  auto linked = spawn([] { return 1; });
  auto link = [&](const char* name) {
    linked.link([this, name, linked](const fern::AnyGreenlet&) {
      journal.say(name, fern::current_greenlet() == linked ? "inside" : "outside");
    });
  };
  link("first");
  link("second");
  fern::yield();
  fern::yield();
  link("third");
  journal.say("linked");
  fern::yield();
  EXPECT_EQ(journal.lines(), (Lines{"first outside", "second outside", "linked", "third outside"}));
}

// E07. eventlet's wait() raises GreenletExit itself, and its links run inside of kill().
TEST_F(EventletGreenlet, KilledBeforeItStartsItNeverRunsAndItsLinksAreCalled) {
  auto killed = spawn([&] { journal.say("never"); });
  killed.link([&](const fern::AnyGreenlet&) { journal.say("link"); });
  killed.kill();
  journal.say(killed.dead() ? "dead" : "alive");
  EXPECT_THROW(killed.get(), fern::GreenletKilled);
  fern::yield();
  EXPECT_EQ(journal.lines(), (Lines{"dead", "link"}));
}

// E08. eventlet switches to whom it kills at once; Fern, as gevent, in its turn.
TEST_F(EventletGreenlet, KillThrowsAtTheWaitAfterWhoeverIsReadyAndReturnsAtItsEnd) {
  auto killed = spawn([&] { sleeper(); });
  fern::yield();
  fern::spawn_raw([&] { journal.say("other"); });
  killed.kill();
  journal.say("killed", killed.dead());
  EXPECT_THROW(killed.get(), fern::GreenletKilled);

  auto failed = spawn([&] { sleeper(); });
  fern::yield();
  failed.kill({.exception = std::make_exception_ptr(std::domain_error("mine"))});
  EXPECT_THROW(failed.get(), std::domain_error);
  failed.kill();
  EXPECT_THROW(failed.get(), std::domain_error);
  EXPECT_EQ(journal.lines(), (Lines{"other", "in it: GreenletExit", "killed 1", "in it: mine"}));
}

// E09. eventlet's wait() raises GreenletExit itself.
TEST_F(EventletGreenlet, CancelEndsOnlyWhatHasNotStarted) {
  auto unstarted = spawn([&] { journal.say("never"); });
  EXPECT_TRUE(unstarted.cancel());
  fern::yield();
  EXPECT_THROW(unstarted.get(), fern::GreenletKilled);
  auto running = spawn([] {
    fern::yield();
    return 4;
  });
  fern::yield();
  EXPECT_FALSE(running.cancel());
  EXPECT_EQ(running.get(), 4);
  auto later = fern::spawn_later(1ms, [&] { journal.say("never"); });
  EXPECT_TRUE(later.cancel());
  fern::sleep(2ms);
  EXPECT_EQ(journal.lines(), Lines());
}

// E34. eventlet lets the waiters of one greenlet go on in whatever order.
TEST_F(EventletGreenlet, SeveralMayWaitForOneAndGoOnFirstComeFirst) {
  auto awaited = spawn([] {
    fern::yield();
    return 7;
  });
  std::vector<fern::Greenlet<void>> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.push_back(spawn([&, i] { journal.say(i, awaited.get()); }));
  }
  for (auto& each : waiters) each.get();
  EXPECT_EQ(journal.lines(), (Lines{"0 7", "1 7", "2 7", "3 7", "4 7", "5 7", "6 7", "7 7"}));
}

// E36. There is no DAGPool: a greenlet gets the results of others.
TEST_F(EventletGreenlet, GreenletsThatGetEachOthersResultsAreAGraph) {
  std::map<std::string, fern::Greenlet<int>> graph;
  auto node = [&](const std::string& key, const std::vector<std::string>& needs) {
    graph[key] = spawn([&, key, needs] {
      int sum = 0;
      std::string got;
      for (const auto& need : needs) {
        sum += graph[need].get();
        got += " " + need + "=" + std::to_string(graph[need].get());
      }
      journal.say(key + got);
      return sum + 1;
    });
  };
  node("c", {"a", "b"});
  node("a", {});
  node("b", {"a"});
  EXPECT_EQ(graph["c"].get(), 4);
  EXPECT_EQ(journal.lines(), (Lines{"a", "b a=1", "c a=1 b=2"}));
}

}  // namespace
