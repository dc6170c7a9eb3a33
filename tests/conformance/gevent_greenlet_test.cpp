#include "../support.hpp"
#include "journal.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::AnyGreenlet;
using fern::Event;
using fern::GreenletExit;
using fern::spawn;
using fern::spawn_raw;
using fern::yield;

class GeventGreenlet : public FernTest {};

// ---- join and get ----------------------------------------------------------------------------

// V30
TEST_F(GeventGreenlet, JoinersResumeInTheirOrderAndALateOneLeavesWithFalse) {
  Journal log;
  Event gate;
  auto greenlet = spawn([&] { gate.wait(); });
  std::vector<AnyGreenlet> joiners;
  for (int i = 0; i < 3; ++i) {
    joiners.push_back(spawn([&, i] {
      greenlet.join();
      log("joined ", i);
    }));
  }
  log("in time ", greenlet.join(1ms), ", ready ", greenlet.ready());
  gate.set();
  fern::joinall(joiners);
  log("again ", greenlet.join());
  EXPECT_EQ(log.lines(), (Lines{"in time false, ready false", "joined 0", "joined 1", "joined 2",
                                "again true"}));
}

// V36
TEST_F(GeventGreenlet, GetThrowsTheVeryObjectThatEndedTheGreenlet) {
  auto greenlet = spawn([]() -> int { throw std::range_error("x"); });
  const void* seen[2] = {nullptr, nullptr};
  for (auto& address : seen) {
    try {
      greenlet.get();
    } catch (const std::range_error& error) {
      address = &error;
    }
  }
  EXPECT_NE(seen[0], nullptr);
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_FALSE(greenlet.successful());
  EXPECT_EQ(greenlet.value(), nullptr);
}

// V55: there is no greenlet that was made and not started, and no function that cannot be called.
TEST_F(GeventGreenlet, AHandleTellsEachStageOfALife) {
  Event gate;
  auto greenlet = spawn([&] {
    gate.wait();
    return 3;
  });
  auto stage = [&] {
    Journal log;
    log(greenlet.started(), " ", greenlet.ready(), " ", greenlet.dead(), " ", greenlet.successful(),
        " ", greenlet.value() == nullptr ? 0 : *greenlet.value());
    return log.lines()[0];
  };
  EXPECT_EQ(stage(), "true false false false 0");
  yield();
  EXPECT_EQ(stage(), "true false false false 0");
  EXPECT_THROW(greenlet.get(1ms), fern::TimeoutError);
  EXPECT_THROW(greenlet.get(0s), fern::TimeoutError);
  gate.set();
  greenlet.join();
  EXPECT_EQ(stage(), "false true true true 3");
  EXPECT_EQ(greenlet.get(), 3);
}

// V58: freed numbers are used again, the one that came free last before others.
TEST_F(GeventGreenlet, NamesCarryANumberThatIsFreeAgainAfterTheEnd) {
  auto first = spawn([] {});
  auto second = spawn([] {});
  auto number = second.id();
  EXPECT_NE(first.id(), number);
  EXPECT_EQ(second.name(), "Greenlet-" + std::to_string(number));
  second.set_name("worker");
  EXPECT_EQ(second.name(), "worker");
  fern::joinall(first, second);
  second = {};
  auto third = spawn([] {});
  EXPECT_EQ(third.id(), number);
  EXPECT_EQ(third.name(), "Greenlet-" + std::to_string(number));
  third.join();
}

// W08
TEST_F(GeventGreenlet, AJoinerResumesAfterWhatWasReadyBeforeTheEnd) {
  Journal log;
  auto greenlet = spawn([&] { log("ends"); });
  spawn_raw([&] { log("next"); });
  greenlet.join();
  log("joined");
  EXPECT_EQ(log.lines(), (Lines{"ends", "next", "joined"}));
}

// W09
TEST_F(GeventGreenlet, AJoinerResumesAfterWhatTheGreenletItselfSpawned) {
  Journal log;
  auto greenlet = spawn([&] {
    spawn_raw([&] {
      log("spawned");
      spawn_raw([&] { log("spawned by that"); });
    });
    log("ends");
  });
  greenlet.join();
  log("joined");
  yield();
  EXPECT_EQ(log.lines(), (Lines{"ends", "spawned", "joined", "spawned by that"}));
}

// V70
TEST_F(GeventGreenlet, AGreenletExitOfTheUsersIsSuccess) {
  auto greenlet = spawn([] { throw GreenletExit("why"); });
  greenlet.join();
  EXPECT_TRUE(greenlet.successful());
  EXPECT_TRUE(greenlet.exception() == nullptr);
  EXPECT_TRUE(greenlet.killed());
  EXPECT_THROW(greenlet.get(), fern::GreenletKilled);
}

// ---- links -----------------------------------------------------------------------------------

// V37: all links run in greenlets of their own; there is none that runs on the hub's stack.
TEST_F(GeventGreenlet, LinksRunInTheirOrderThoseOfTheOtherOutcomeNot) {
  Journal log;
  auto greenlet = spawn([] { return 1; });
  greenlet.link([&](AnyGreenlet) { log("first"); });
  greenlet.link([&](AnyGreenlet) { log("second"); });
  greenlet.link_value([&](AnyGreenlet ended) { log("value, ready ", ended.ready()); });
  greenlet.link_exception([&](AnyGreenlet) { log("exception"); });
  greenlet.link([&](AnyGreenlet) { log("last"); });
  yield();
  yield();
  greenlet.link([&](AnyGreenlet) { log("late"); });
  log("linked late");
  yield();
  EXPECT_EQ(log.lines(),
            (Lines{"first", "second", "value, ready true", "last", "linked late", "late"}));
}

// V37
TEST_F(GeventGreenlet, LinksAndJoinersOfOneGreenletComeInOneOrder) {
  Journal log;
  Event gate;
  auto greenlet = spawn([&] { gate.wait(); });
  auto joiner = [&](std::string name) {
    greenlet.join();
    log(name);
  };
  greenlet.link([&](AnyGreenlet) { log("link 1"); });
  auto one = spawn(joiner, "joiner 1");
  yield();
  greenlet.link([&](AnyGreenlet) { log("link 2"); });
  auto two = spawn(joiner, "joiner 2");
  yield();
  gate.set();
  fern::joinall(one, two);
  EXPECT_EQ(log.lines(), (Lines{"link 1", "joiner 1", "link 2", "joiner 2"}));
}

// V37
TEST_F(GeventGreenlet, AFailingLinkIsPrintedAndTheOthersAreCalled) {
  testing::internal::CaptureStderr();
  Journal log;
  auto greenlet = spawn([] { return 1; });
  greenlet.link([](AnyGreenlet) { throw std::runtime_error("in a link"); });
  greenlet.link([&](AnyGreenlet) { log("still called"); });
  greenlet.join();
  yield();
  std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_NE(printed.find("in a link"), std::string::npos) << printed;
  EXPECT_EQ(log.lines(), Lines{"still called"});
}

// V37
TEST_F(GeventGreenlet, ALinkOfAFailureSeesTheException) {
  Journal log;
  auto greenlet = spawn([] { throw std::range_error("out"); });
  greenlet.link_value([&](AnyGreenlet) { log("value"); });
  greenlet.link_exception([&](AnyGreenlet ended) {
    try {
      std::rethrow_exception(ended.exception());
    } catch (const std::range_error& error) {
      log("exception ", error.what());
    }
  });
  yield();
  yield();
  EXPECT_EQ(log.lines(), Lines{"exception out"});
}

// V37
TEST_F(GeventGreenlet, AnUnlinkedCallbackIsNotCalled) {
  Journal log;
  auto greenlet = spawn([] { return 1; });
  auto link = greenlet.link([&](AnyGreenlet) { log("called"); });
  EXPECT_TRUE(greenlet.unlink(link));
  greenlet.join();
  yield();
  EXPECT_EQ(log.lines(), Lines{});
  EXPECT_FALSE(greenlet.unlink(link));
}

}  // namespace
