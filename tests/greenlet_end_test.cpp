// How greenlets end: joiners, exceptions, links, and what is said about those that nobody reads.
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;

namespace {

struct Log {
  std::string text;
  void operator()(const std::string& what) { text += what + ' '; }
};

// A test that says on stderr what it wants to.
class GreenletEnd : public FernTest {
 protected:
  static std::string said_during(const std::function<void()>& f) {
    ::testing::internal::CaptureStderr();
    f();
    return ::testing::internal::GetCapturedStderr();
  }
};

struct Custom : std::runtime_error {
  using std::runtime_error::runtime_error;
  int code = 17;
};

[[noreturn]] void fail() { throw std::runtime_error("gone wrong"); }

}  // namespace

TEST_F(GreenletEnd, JoinersGoOnInTheOrderInWhichTheyCame) {
  Log log;
  auto target = fern::spawn([] { fern::sleep(3ms); });
  std::vector<fern::AnyGreenlet> joiners;
  for (const char* name : {"0", "1", "2"}) {
    joiners.push_back(fern::spawn([&log, target, name] {
      target.join();
      log(name);
    }));
  }
  EXPECT_FALSE(target.join(100us));
  EXPECT_FALSE(target.ready());
  fern::joinall(joiners);
  EXPECT_EQ(log.text, "0 1 2 ");
  EXPECT_TRUE(target.join());
}

TEST_F(GreenletEnd, AJoinWithoutTimeNeverParks) {
  auto target = fern::spawn([] { fern::sleep(1ms); });
  auto switches = fern::Hub::current().switches();
  EXPECT_FALSE(target.join(0s));
  EXPECT_FALSE(target.join(-5s));
  EXPECT_THROW(target.get(0s), fern::TimeoutError);
  EXPECT_EQ(fern::Hub::current().switches(), switches);
  EXPECT_TRUE(target.join());
}

TEST_F(GreenletEnd, AJoinerThatGivesUpOrIsKilledIsNotWokenAnyMore) {
  fern::Event end;
  auto target = fern::spawn([&] { end.wait(); });
  auto killed = fern::spawn([&] { target.join(); });
  fern::yield();
  killed.kill();
  EXPECT_FALSE(target.join(1ms));
  end.set();
  EXPECT_TRUE(target.join());
}

TEST_F(GreenletEnd, TellsItsStateAllItsLife) {
  auto states = [](const fern::Greenlet<int>& greenlet) {
    return std::string(greenlet.started() ? "started " : "") + (greenlet.ready() ? "ready " : "") +
           (greenlet.dead() ? "dead " : "") + (greenlet.successful() ? "successful " : "") +
           (greenlet.value() != nullptr ? std::to_string(*greenlet.value()) : "");
  };
  fern::Event end;
  auto greenlet = fern::spawn([&] {
    end.wait();
    return 3;
  });
  EXPECT_EQ(states(greenlet), "started ");
  fern::yield();
  EXPECT_EQ(states(greenlet), "started ");
  EXPECT_THROW(greenlet.get(100us), fern::TimeoutError);
  end.set();
  greenlet.join();
  EXPECT_EQ(states(greenlet), "ready dead successful 3");
  auto later = fern::spawn_later(1h, [] { return 1; });
  EXPECT_EQ(states(later), "started ");
  later.cancel();
}

TEST_F(GreenletEnd, GetRethrowsTheVeryExceptionToEveryJoiner) {
  auto source = fern::spawn([]() -> int { throw Custom("mine"); });
  std::vector<fern::Greenlet<int>> readers;
  for (int i = 0; i < 3; ++i) {
    readers.push_back(fern::spawn([source] {
      try {
        source.get();
      } catch (const Custom& error) {
        return error.code;
      }
      return 0;
    }));
  }
  for (auto& reader : readers) EXPECT_EQ(reader.get(), 17);
  EXPECT_FALSE(source.successful());
  EXPECT_EQ(source.value(), nullptr);
  EXPECT_THROW(std::rethrow_exception(source.exception()), Custom);
  EXPECT_NO_THROW(source.join());
}

TEST_F(GreenletEnd, ExceptionsNeedNotBeStandardOnes) {
  auto number = fern::spawn([] { throw 5; });
  EXPECT_THROW(number.get(), int);
  auto said = said_during([] {
    fern::spawn([] { throw 5; });
    fern::yield();
  });
  EXPECT_NE(said.find("failed with int"), std::string::npos) << said;
}

TEST_F(GreenletEnd, AGreenletExitOfTheUsersIsASuccessWithoutAValue) {
  auto left = fern::spawn([]() -> int { throw fern::GreenletExit("why"); });
  left.join();
  EXPECT_TRUE(left.successful());
  EXPECT_TRUE(left.killed());
  EXPECT_EQ(left.value(), nullptr);
  EXPECT_EQ(left.exception(), nullptr);
  EXPECT_THROW(left.get(), fern::GreenletKilled);
}

TEST_F(GreenletEnd, AnExceptionIsPrintedOnceAtTheEndIfNobodyHoldsAHandle) {
  auto said = said_during([] {
    fern::spawn(fern::SpawnOptions{.name = "lonely"}, fail);
    fern::yield();
  });
  EXPECT_EQ(count_of(said, "lonely"), 1u) << said;
  EXPECT_EQ(count_of(said, "std::runtime_error: gone wrong"), 1u) << said;
}

TEST_F(GreenletEnd, AnExceptionIsPrintedWhenTheLastHandleGoesUnread) {
  fern::AnyGreenlet kept;
  auto early = said_during([&] {
    kept = fern::spawn(fail);
    kept.join();
    fern::AnyGreenlet copy = kept;
  });
  EXPECT_EQ(early, "");
  auto late = said_during([&] { kept = {}; });
  EXPECT_EQ(count_of(late, "gone wrong"), 1u) << late;
}

TEST_F(GreenletEnd, AnExceptionThatWasReadIsNotPrinted) {
  auto said = said_during([] {
    auto got = fern::spawn(fail);
    EXPECT_THROW(got.get(), std::runtime_error);
    auto looked = fern::spawn(fail);
    looked.join();
    EXPECT_NE(looked.exception(), nullptr);
    auto raised = fern::spawn(fail);
    EXPECT_THROW(fern::joinall({raised}, {.raise_error = true}), std::runtime_error);
  });
  EXPECT_EQ(said, "");
}

TEST_F(GreenletEnd, ARawGreenletsExceptionIsPrintedAtOnceAndStopsNobody) {
  bool others = false;
  auto said = said_during([&] {
    fern::spawn_raw(fail);
    fern::spawn_raw([&] { others = true; });
    fern::yield();
  });
  EXPECT_TRUE(others);
  EXPECT_EQ(count_of(said, "gone wrong"), 1u) << said;
}

TEST_F(GreenletEnd, LinksAreCalledInOrderInGreenletsOfTheirOwn) {
  Log log;
  auto greenlet = fern::spawn([] { return 1; });
  auto self = fern::current_greenlet();
  greenlet.link([&](fern::AnyGreenlet ended) {
    log(ended == greenlet && fern::current_greenlet() != self ? "link" : "wrong");
  });
  greenlet.link_value([&](fern::AnyGreenlet) { log("value"); });
  greenlet.link_exception([&](fern::AnyGreenlet) { log("exception"); });
  greenlet.link([&](fern::AnyGreenlet) {
    fern::sleep(1ms);  // it may wait
    log("slow");
  });
  greenlet.join();
  log("joined");
  fern::sleep(5ms);
  EXPECT_EQ(log.text, "link value joined slow ");
  log.text.clear();
  greenlet.link([&](fern::AnyGreenlet) { log("late"); });
  log("after");
  fern::yield();
  EXPECT_EQ(log.text, "after late ");
}

TEST_F(GreenletEnd, LinkExceptionGetsTheFailureAndReadsIt) {
  std::string what;
  auto said = said_during([&] {
    auto greenlet = fern::spawn(fail);
    greenlet.link_value([&](fern::AnyGreenlet) { what += "value"; });
    greenlet.link_exception([&](fern::AnyGreenlet ended) {
      try {
        ended.get();
      } catch (const std::exception& error) {
        what += error.what();
      }
    });
    greenlet = {};
    fern::sleep(1ms);
  });
  EXPECT_EQ(what, "gone wrong");
  EXPECT_EQ(said, "");
}

TEST_F(GreenletEnd, ALinkThatFailsIsReportedAndTheOthersAreCalled) {
  int called = 0;
  auto said = said_during([&] {
    auto greenlet = fern::spawn([] {});
    greenlet.link([](fern::AnyGreenlet) { throw std::runtime_error("in a link"); });
    greenlet.link([&](fern::AnyGreenlet) { ++called; });
    greenlet.join();
    fern::yield();
  });
  EXPECT_EQ(called, 1);
  EXPECT_EQ(count_of(said, "in a link"), 1u) << said;
}

TEST_F(GreenletEnd, UnlinkKeepsACallbackFromBeingCalled) {
  int called = 0;
  auto held = std::make_shared<int>(0);
  auto greenlet = fern::spawn([] {});
  auto first = greenlet.link([&](fern::AnyGreenlet) { called += 1; });
  auto second = greenlet.link([&, held](fern::AnyGreenlet) { called += 10; });
  EXPECT_NE(first, second);
  EXPECT_TRUE(greenlet.unlink(second));
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(greenlet.unlink(second));
  EXPECT_FALSE(greenlet.unlink(0));
  greenlet.join();
  fern::yield();
  EXPECT_EQ(called, 1);
  EXPECT_FALSE(greenlet.unlink(first));
}

TEST_F(GreenletEnd, ACallbackMayHoldTheLastHandle) {
  int called = 0;
  {
    auto greenlet = fern::spawn([] {});
    greenlet.link_exception([greenlet](fern::AnyGreenlet) {});
    greenlet.link([&, greenlet](fern::AnyGreenlet) { ++called; });
    greenlet.link_exception([greenlet](fern::AnyGreenlet) {});
    greenlet.link([&](fern::AnyGreenlet) { ++called; });
  }
  fern::sleep(1ms);
  EXPECT_EQ(called, 2);
  // Its stack serves the next ones, once each.
  std::vector<fern::AnyGreenlet> next;
  for (int i = 0; i < 10; ++i) next.push_back(fern::spawn([] {}));
  for (std::size_t i = 1; i < next.size(); ++i) EXPECT_NE(next[i - 1], next[i]);
  fern::joinall(next);
}

TEST_F(GreenletEnd, LinkingFromAnotherThreadIsMisuse) {
  may_keep_heap("hubs are kept");
  auto greenlet = fern::spawn([] {});
  std::thread([&] {
    EXPECT_THROW(greenlet.link([](fern::AnyGreenlet) {}), fern::GreenletError);
    EXPECT_FALSE(greenlet.unlink(1));
  }).join();
  greenlet.join();
}

TEST_F(GreenletEnd, TheLastHandleMayGoInAnotherThread) {
  may_keep_heap("hubs are kept");
  auto held = std::make_shared<int>(3);
  for (int i = 0; i < 50; ++i) {
    auto greenlet = fern::spawn([held] { return held; });
    greenlet.join();
    std::thread([last = std::move(greenlet)]() mutable { last = {}; }).join();
    EXPECT_EQ(held.use_count(), 1);
    fern::spawn([] {}).join();
  }
  fern::sleep(1ms);
}
