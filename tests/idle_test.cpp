// Waiting for the hub to have nothing to do: idle() for a moment, wait() at all.
#include <unistd.h>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/selector.hpp>
#include <fern/socket.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "children.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using fern::testing::in_child;
using fern::testing::succeeded;

namespace {

using Idle = FernTest;
using WaitForAll = FernTest;

}  // namespace

// --- idle() -----------------------------------------------------------------------------------

TEST_F(Idle, GoesOnWhenNothingElseIsReady) {
  std::string log;
  auto worker = fern::spawn([&] {
    for (int i = 0; i < 3; ++i) {
      log += std::to_string(i) + ' ';
      fern::yield();
    }
  });
  auto idler = fern::spawn([&] {
    fern::idle();
    log += "idle ";
  });
  fern::joinall({worker, idler});
  EXPECT_EQ(log, "0 1 2 idle ");
}

TEST_F(Idle, LetsThoseGoFirstWhoseTimeHasComeButNotThoseWhoStillSleep) {
  std::string log;
  fern::Event end;
  fern::spawn_raw([&] {
    fern::sleep(100us);
    log += "due ";
  });
  fern::spawn_raw([&] {
    end.wait(1h);
    log += "asleep ";
  });
  fern::yield();
  for (auto later = std::chrono::steady_clock::now() + 1ms;
       std::chrono::steady_clock::now() < later;) {
  }
  fern::Hub::current().post([&] { log += "posted "; });
  fern::idle();
  log += "idle ";
  end.set();
  fern::idle();
  EXPECT_EQ(log, "posted due idle asleep ");
}

TEST_F(Idle, AllWhoAreIdleGoOnTogetherInTheirOrder) {
  std::string log;
  std::vector<fern::AnyGreenlet> all;
  for (const char* name : {"a", "b", "c"}) {
    all.push_back(fern::spawn([&log, name] {
      for (int i = 0; i < 2; ++i) {
        fern::idle();
        log += name;
      }
    }));
  }
  fern::joinall(all);
  EXPECT_EQ(log, "abcabc");
}

TEST_F(Idle, OfTheOnlyOneIsALookAtTheLoop) {
  auto polls = fern::Hub::current().polls();
  auto allocations = fern::testing::heap_allocations();
  fern::idle();
  EXPECT_GT(fern::Hub::current().polls(), polls);
  EXPECT_EQ(fern::testing::heap_allocations(), allocations);
}

TEST_F(Idle, WorkAPieceAtATimeIsInNobodysWay) {
  int pieces = 0;
  auto worker = fern::spawn([&] {
    for (;;) {
      fern::idle();
      ++pieces;
    }
  });
  auto began = std::chrono::steady_clock::now();
  fern::sleep(2ms);
  EXPECT_GE(std::chrono::steady_clock::now() - began, 2ms);
  EXPECT_GT(pieces, 1);
  worker.kill();
  EXPECT_TRUE(worker.killed());
}

TEST_F(Idle, IsNoDeadlock) {
  fern::Event event;
  auto idler = fern::spawn([&] {
    fern::idle();
    event.set();
  });
  EXPECT_TRUE(event.wait());
  idler.join();
}

TEST_F(Idle, WaitsAsLongAsSomebodyIsBusyAndIsCutShortLikeAnyWait) {
  auto busy = fern::spawn([] {
    for (;;) fern::yield();
  });
  auto killed = fern::spawn([] { fern::idle(); });
  fern::yield();
  killed.kill();
  EXPECT_TRUE(killed.killed());
  fern::Timeout timeout(1ms);
  EXPECT_THROW(fern::idle(), fern::TimeoutError);
  busy.kill();
  fern::idle();
}

TEST_F(Idle, OnTheHubsOwnStackIsRefused) {
  bool refused = false;
  fern::Hub::current().post([&] {
    EXPECT_THROW(fern::idle(), fern::BlockingInHub);
    EXPECT_THROW(fern::wait(), fern::BlockingInHub);
    refused = true;
  });
  fern::sleep(1us);
  EXPECT_TRUE(refused);
}

TEST_F(Idle, ThoseWhoWereIdleBeforeAForkAreGoneInTheChild) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  auto busy = fern::spawn([] {
    for (;;) fern::yield();
  });
  auto idler = fern::spawn([] { fern::idle(); });
  fern::yield();
  EXPECT_TRUE(succeeded(in_child([] {
    // As long as somebody is idle there is no deadlock.
    try {
      fern::sleep(fern::Deadline::never());
    } catch (const fern::LoopExit&) {
      return 0;
    }
    return 1;
  })));
  busy.kill();
  idler.join();
}

// --- wait() -----------------------------------------------------------------------------------

TEST_F(WaitForAll, IsTrueWhenEverythingHasRunAndFalseWhenTheDeadlinePasses) {
  bool ran = false;
  fern::spawn_later(5ms, [&] { ran = true; });
  EXPECT_FALSE(fern::wait(1ms));
  EXPECT_FALSE(ran);
  EXPECT_TRUE(fern::wait());
  EXPECT_TRUE(ran);
  EXPECT_TRUE(fern::wait());
  EXPECT_TRUE(fern::wait(1h));
}

TEST_F(WaitForAll, WithoutTimeOnlyLooks) {
  auto switches = fern::Hub::current().switches();
  EXPECT_TRUE(fern::wait(0s));
  auto ready = fern::spawn([] {});
  EXPECT_FALSE(fern::wait(0s));
  EXPECT_EQ(fern::Hub::current().switches(), switches);
  ready.join();
  auto later = fern::spawn_later(1h, [] {});
  EXPECT_FALSE(fern::wait(-1s));
  later.cancel();
  EXPECT_TRUE(fern::wait(0s));
}

TEST_F(WaitForAll, CoversWhateverCanBringAGreenletBack) {
  int done = 0;
  auto [here, there] = fern::socketpair();
  fern::spawn_raw([&] {
    EXPECT_EQ(here.recv(1), "x");
    ++done;
  });
  std::thread sender([fd = there.fd()] {
    std::this_thread::sleep_for(5ms);
    EXPECT_EQ(::write(fd, "x", 1), 1);
  });
  fern::spawn_raw([&] {
    for (int i = 0; i < 3; ++i) fern::yield();
    fern::idle();
    fern::sleep(100us);
    fern::Hub::current().post([&] { fern::spawn_raw([&] { ++done; }); });
  });
  EXPECT_TRUE(fern::wait());
  EXPECT_EQ(done, 2);
  sender.join();
  // Though the loop still watches the socket for nobody.
  EXPECT_TRUE(fern::wait());
}

TEST_F(WaitForAll, LeavesThoseWaitingWhomNobodyHereCanWake) {
  fern::Event event;
  auto waiter = fern::spawn([&] { event.wait(); });
  EXPECT_TRUE(fern::wait());
  EXPECT_FALSE(waiter.ready());
  event.set();
  waiter.join();
}

TEST_F(WaitForAll, DoesNotWaitForItsOwnTimeout) {
  {
    fern::Timeout outer(1h);
    fern::Timeout inner(1h);
    EXPECT_TRUE(fern::wait());
    EXPECT_TRUE(fern::wait(1h));
    EXPECT_TRUE(fern::wait(0s));
  }
  auto sleeper = fern::spawn([] {
    fern::Timeout timeout(1h);
    fern::sleep(1h);
  });
  fern::Timeout timeout(1ms);
  EXPECT_THROW(fern::wait(), fern::TimeoutError);
  EXPECT_FALSE(fern::wait(100us));
  sleeper.kill();
}

TEST_F(WaitForAll, IsForMainOnly) {
  auto greenlet = fern::spawn([] { fern::wait(); });
  EXPECT_THROW(greenlet.get(), fern::GreenletError);
  auto looks = fern::spawn([] { fern::wait(0s); });
  EXPECT_THROW(looks.get(), fern::GreenletError);
}

TEST_F(WaitForAll, MayBeCutShortByAKill) {
  auto main = fern::current_greenlet();
  fern::spawn_raw([main] {
    fern::yield();
    main.kill({.block = false});
    fern::sleep(1ms);
  });
  try {
    fern::wait();
    ADD_FAILURE() << "not killed";
  } catch (const fern::GreenletExit& exit) {
    exit.dismiss();
  }
  EXPECT_TRUE(fern::wait());
}

TEST_F(WaitForAll, IsOfItsThreadOnly) {
  may_keep_heap("hubs are kept");
  auto sleeper = fern::spawn([] { fern::sleep(1h); });
  fern::yield();
  std::thread([] {
    bool ran = false;
    fern::spawn_later(1ms, [&] { ran = true; });
    EXPECT_TRUE(fern::wait());
    EXPECT_TRUE(ran);
  }).join();
  sleeper.kill();
}
