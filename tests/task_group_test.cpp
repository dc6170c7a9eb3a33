#include "fern/task_group.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "children.hpp"
#include "fern/errors.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/timeout.hpp"
#include "support.hpp"

namespace {

using namespace std::chrono_literals;
using fern::spawn;
using fern::TaskGroup;
using fern::TaskGroupError;

std::string what_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return error.what();
  }
}

class TaskGroupTest : public FernTest {
 protected:
  // A member that waits until it is killed, takes a turn to clean up, and logs that.
  auto sleeper(std::string name = "sleeper") {
    return [this, name] {
      try {
        fern::sleep(1h);
      } catch (const fern::GreenletExit&) {
        fern::yield();
        log += name + " ended ";
        throw;
      }
    };
  }

  static void fail(std::string why) { throw std::runtime_error(why); }

  std::string log;
};

TEST_F(TaskGroupTest, JoinWaitsForAll) {
  TaskGroup group;
  for (int i = 3; i > 0; --i) {
    group.spawn([&, i] {
      for (int turn = 0; turn < i; ++turn) fern::yield();
      log += std::to_string(i);
    });
  }
  EXPECT_EQ(group.size(), 3U);
  EXPECT_TRUE(group.join());
  EXPECT_EQ(log, "123");
  EXPECT_EQ(group.size(), 0U);
}

TEST_F(TaskGroupTest, ResultsComeByTheHandles) {
  TaskGroup group;
  auto sum = group.spawn([](int a, int b) { return a + b; }, 2, 3);
  auto owned = group.spawn(
      fern::SpawnOptions{.name = "owner"}, [](std::unique_ptr<int> p) { return p; },
      std::make_unique<int>(4));
  EXPECT_EQ(owned.name(), "owner");
  group.join();
  EXPECT_EQ(sum.get(), 5);
  EXPECT_EQ(*owned.get(), 4);
}

TEST_F(TaskGroupTest, TheFirstFailureEndsTheRestAndIsThrownByJoin) {
  TaskGroup group;
  auto one = group.spawn(sleeper("one"));
  group.spawn(fail, "first");
  auto two = group.spawn(sleeper("two"));
  bool ran = false;
  group.spawn([&] { ran = true; });
  try {
    group.join();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "first");
  }
  EXPECT_EQ(log, "one ended ");
  EXPECT_TRUE(one.killed());
  EXPECT_TRUE(two.killed());  // before it had its first turn
  EXPECT_FALSE(ran);
  EXPECT_THROW(group.join(), std::runtime_error);  // each time
}

TEST_F(TaskGroupTest, SeveralFailuresAreThrownTogetherInTheirOrder) {
  TaskGroup group;
  auto fails_late = [] {
    try {
      fern::sleep(1h);
    } catch (const fern::GreenletExit&) {
      fern::yield();
      fail("while cleaning up");
    }
  };
  group.spawn(fern::SpawnOptions{.name = "late"}, fails_late);
  group.spawn(sleeper());
  group.spawn(fern::SpawnOptions{.name = "early"}, fail, "first");
  try {
    group.join();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const TaskGroupError& error) {
    ASSERT_EQ(error.errors().size(), 2U);
    EXPECT_EQ(what_of(error.errors()[0]), "first");
    EXPECT_EQ(what_of(error.errors()[1]), "while cleaning up");
    EXPECT_STREQ(error.what(),
                 "2 greenlets of a TaskGroup failed: early: first; late: while cleaning up");
    TaskGroupError copy = error;
    EXPECT_EQ(copy.errors().size(), 2U);
  }
  EXPECT_EQ(log, "sleeper ended ");
}

TEST_F(TaskGroupTest, WhatIsNoStdExceptionFailsItToo) {
  TaskGroup group;
  group.spawn(sleeper());
  group.spawn([] { throw 7; });
  EXPECT_THROW(group.join(), int);
}

TEST_F(TaskGroupTest, AMemberThatIsKilledJustLeaves) {
  TaskGroup group;
  auto killed = group.spawn(sleeper("killed"));
  auto other = group.spawn([&] {
    fern::sleep(1ms);
    log += "other";
  });
  fern::yield();
  killed.kill();
  auto unstarted = group.spawn([] { ADD_FAILURE() << "it ran"; });
  unstarted.kill();
  EXPECT_TRUE(group.join());
  EXPECT_EQ(log, "killed ended other");
}

TEST_F(TaskGroupTest, AMemberThatIsKilledByAnErrorFailsIt) {
  for (bool started : {true, false}) {
    TaskGroup group;
    auto victim = group.spawn([] { fern::sleep(1h); });
    auto other = group.spawn([] { fern::sleep(1h); });
    if (started) fern::yield();
    victim.kill({.exception = std::make_exception_ptr(std::runtime_error("from outside"))});
    EXPECT_THROW(group.join(), std::runtime_error);
    EXPECT_TRUE(other.killed());
  }
}

// The killed one's arguments wait in a destructor: it runs where that is possible.
TEST_F(TaskGroupTest, UnstartedMembersMayWaitWhenTheyAreDropped) {
  struct Waits {
    std::string& log;
    ~Waits() {
      fern::ShieldKill shield;
      fern::sleep(1ms);
      log += "dropped ";
    }
  };
  TaskGroup group;
  group.spawn(fail, "first");
  group.spawn([held = std::make_unique<Waits>(log)] {});
  EXPECT_THROW(group.join(), std::runtime_error);
  EXPECT_EQ(log, "dropped ");
}

TEST_F(TaskGroupTest, MembersMaySpawnIntoTheirGroup) {
  TaskGroup group;
  group.spawn([&] {
    log += "parent ";
    group.spawn([&] {
      log += "child ";
      group.spawn([&] { log += "grandchild"; });
    });
  });
  group.join();
  EXPECT_EQ(log, "parent child grandchild");
}

TEST_F(TaskGroupTest, IntoAFailedGroupNothingIsStarted) {
  TaskGroup group;
  group.spawn([&] {
    try {
      fern::sleep(1h);
    } catch (const fern::GreenletExit&) {
      auto late = group.spawn([&] { log += "never"; });
      EXPECT_TRUE(late.killed());
      throw;
    }
  });
  group.spawn(fail, "first");
  EXPECT_THROW(group.join(), std::runtime_error);
  EXPECT_EQ(log, "");
}

TEST_F(TaskGroupTest, IntoAGroupThatHasEndedNobodyMaySpawn) {
  TaskGroup group;
  EXPECT_TRUE(group.join());
  EXPECT_THROW(group.spawn([] {}), fern::GreenletError);
  EXPECT_EQ(group.size(), 0U);
  EXPECT_TRUE(group.join());
}

TEST_F(TaskGroupTest, AnInnerGroupFailsTheOuterOne) {
  TaskGroup outer;
  auto outside = outer.spawn(sleeper("outside"));
  outer.spawn([&] {
    TaskGroup inner;
    inner.spawn(sleeper("inside"));
    inner.spawn(fail, "deep");
    inner.join();
  });
  try {
    outer.join();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "deep");
  }
  EXPECT_EQ(log, "inside ended outside ended ");
}

TEST_F(TaskGroupTest, AJoinerThatIsKilledTakesTheMembersAlong) {
  auto owner = spawn([&] {
    TaskGroup group;
    group.spawn(sleeper("one"));
    group.spawn(sleeper("two"));
    try {
      group.join();
    } catch (const fern::GreenletExit&) {
      EXPECT_EQ(group.size(), 0U);
      log += "owner ended";
      throw;
    }
  });
  fern::yield();
  fern::yield();
  owner.kill();
  EXPECT_EQ(log, "one ended two ended owner ended");
}

TEST_F(TaskGroupTest, ADeadlineLeavesItAsItWas) {
  TaskGroup group;
  fern::Event go_on;
  group.spawn([&] { go_on.wait(); });
  EXPECT_FALSE(group.join(0s));
  EXPECT_FALSE(group.join(1ms));
  EXPECT_EQ(group.size(), 1U);
  group.spawn([&] { log += "still open"; });
  go_on.set();
  EXPECT_TRUE(group.join(20s));
  EXPECT_EQ(log, "still open");
}

TEST_F(TaskGroupTest, ATimeoutScopeEndsTheMembers) {
  EXPECT_FALSE(fern::with_timeout_silent(2ms, [&] {
    TaskGroup group;
    group.spawn(sleeper());
    group.join();
  }));
  EXPECT_EQ(log, "sleeper ended ");
}

TEST_F(TaskGroupTest, AScopeLeftByAnExceptionKillsTheMembersAndWaits) {
  try {
    TaskGroup group;
    group.spawn(sleeper());
    fern::yield();
    fail("body");
  } catch (const std::runtime_error& error) {
    log += error.what();
  }
  EXPECT_EQ(log, "sleeper ended body");
}

TEST_F(TaskGroupTest, AScopeThatEndsWithoutAJoinWaits) {
  {
    TaskGroup group;
    group.spawn([&] {
      fern::sleep(1ms);
      group.spawn([&] { log += "child "; });
      log += "member ";
    });
  }
  EXPECT_EQ(log, "member child ");
}

// A destructor cannot throw: the failure is printed, the rest is ended all the same.
TEST_F(TaskGroupTest, AFailureThatNoJoinThrewIsPrinted) {
  ::testing::internal::CaptureStderr();
  {
    TaskGroup group;
    group.spawn(sleeper());
    fern::yield();
    group.spawn(fern::SpawnOptions{.name = "unlucky"}, fail, "unread");
  }
  std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("greenlet unlucky"), std::string::npos) << text;
  EXPECT_NE(text.find("unread"), std::string::npos) << text;
  EXPECT_EQ(log, "sleeper ended ");
}

TEST_F(TaskGroupTest, AFailureThatJoinThrewIsNotPrinted) {
  ::testing::internal::CaptureStderr();
  {
    TaskGroup group;
    group.spawn(fail, "read");
    EXPECT_THROW(group.join(), std::runtime_error);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(TaskGroupTest, AKillDuringTheDestructorEndsTheMembersAndIsNotLost) {
  auto owner = spawn([&] {
    {
      TaskGroup group;
      group.spawn(sleeper());
    }
    log += "after ";
    fern::yield();
    log += "never";
  });
  fern::yield();
  fern::yield();
  owner.kill();
  EXPECT_EQ(log, "sleeper ended after ");
  EXPECT_TRUE(owner.killed());
}

TEST_F(TaskGroupTest, KillEndsTheMembersAndIsNoFailure) {
  TaskGroup group;
  group.spawn(sleeper("one"));
  group.spawn(sleeper("two"));
  fern::yield();
  EXPECT_TRUE(group.kill());
  EXPECT_EQ(log, "one ended two ended ");
  group.spawn([&] { log += "open"; });
  EXPECT_TRUE(group.join());
  EXPECT_EQ(log, "one ended two ended open");
}

TEST_F(TaskGroupTest, AMemberMayKillItsGroup) {
  TaskGroup group;
  group.spawn(sleeper());
  group.spawn([&] {
    group.kill();
    log += "never";
  });
  EXPECT_TRUE(group.join());
  EXPECT_EQ(log, "sleeper ended ");
}

TEST_F(TaskGroupTest, SeveralMayJoin) {
  TaskGroup group;
  group.spawn([] {
    fern::sleep(1ms);
    fail("all hear of it");
  });
  auto joiner = spawn([&] { group.join(); });
  EXPECT_THROW(group.join(), std::runtime_error);
  EXPECT_THROW(joiner.get(), std::runtime_error);
}

TEST_F(TaskGroupTest, MisuseChangesNothing) {
  TaskGroup group;
  fern::Event go_on;
  auto member = group.spawn([&] {
    EXPECT_THROW(group.join(), fern::GreenletError);
    go_on.wait();
  });
  fern::yield();
  bool refused = false;
  fern::Event posted;
  fern::Hub::current().post([&] {
    try {
      group.join();
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
    posted.set();
  });
  posted.wait();
  EXPECT_TRUE(refused);
  EXPECT_FALSE(member.ready());
  go_on.set();
  group.join();
  EXPECT_TRUE(member.successful());
}

TEST_F(TaskGroupTest, ADeadlockEndsTheMembers) {
  TaskGroup group;
  fern::Event never;
  auto member = group.spawn([&] { never.wait(); });
  EXPECT_THROW(group.join(), fern::LoopExit);
  EXPECT_TRUE(member.killed());
}

TEST_F(TaskGroupTest, BelongsToOneThread) {
  may_keep_heap("hubs are kept for later threads");
  TaskGroup group;
  group.spawn([] {});
  fern::testing::in_thread([&] {
    EXPECT_THROW(group.spawn([] {}), fern::GreenletError);
    EXPECT_THROW(group.join(), fern::GreenletError);
    EXPECT_THROW(group.kill(), fern::GreenletError);
  });
  EXPECT_TRUE(group.join());
}

TEST_F(TaskGroupTest, ATimeoutTakenBackWhileTheScopeWaitsDoesNotEndIt) {
  fern::Event event;
  fern::Timeout* scope = nullptr;
  auto owner = spawn([&] {
    fern::Timeout timeout(1ms);
    scope = &timeout;
    TaskGroup group;
    group.spawn([&] {
      event.wait();
      log += "done";
    });
  });
  while (scope == nullptr || !scope->expired()) fern::yield();
  scope->cancel();  // it has been woken, and has not had its turn
  fern::yield();
  event.set();
  owner.join();
  EXPECT_EQ(log, "done");
}

TEST_F(TaskGroupTest, AForkedChildHasNoneOfTheMembers) {
  TaskGroup group;
  group.spawn([] { fern::sleep(1h); });
  fern::yield();
  EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([&] {
    if (!fern::testing::children_may_switch) return 0;
    return group.join() && group.size() == 0 ? 0 : 1;
  })));
  group.kill();
}

TEST_F(TaskGroupTest, ManyMembersOfWhomManyFail) {
  constexpr int count = 1000;
  TaskGroup group;
  for (int i = 0; i < count; ++i) {
    group.spawn([i] {
      try {
        fern::sleep(i == count - 1 ? 1ms : 1h);
      } catch (const fern::GreenletExit&) {
        if (i % 2 == 0) throw;
      }
      fail("one of many");
    });
  }
  try {
    group.join();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const TaskGroupError& error) {
    EXPECT_EQ(error.errors().size(), count / 2U);
  }
}

}  // namespace
