// Letting go of raw greenlets, and what becomes of them at the end of a thread and in a fork.
#include <pthread.h>
#include <unistd.h>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/raw_greenlet.hpp>
#include <fern/timeout.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "children.hpp"
#include "raw_greenlets.hpp"

using namespace std::chrono_literals;
using fern::getcurrent;
using fern::GreenletError;
using fern::GreenletExit;
using fern::RawGreenlet;
using fern::Value;
using fern::testing::in_thread;

namespace {

using RawGreenletEnd = RawGreenletTest;

}  // namespace

// ---- letting go -------------------------------------------------------------------------------

TEST_F(RawGreenletEnd, WaitsInItsUnwindingWhileItsDropperWaits) {
  RawGreenlet g([&] {
    try {
      suspend();
    } catch (const GreenletExit&) {
      fern::sleep(1ms);
      log("unwound");
    }
  });
  g.switch_to();
  auto other = fern::spawn([&] { log("other"); });
  g = {};
  log("dropped");
  EXPECT_EQ(text, "other unwound dropped ");
  other.join();
}

TEST_F(RawGreenletEnd, LivesOnWithoutHandlesWhileTheHubWillResumeIt) {
  fern::Event go;
  fern::Event done;
  RawGreenlet g([&] {
    go.wait();
    log("goes on");
  });
  auto ended = fern::AnyGreenlet(g);
  fern::with_timeout_silent(1us, [&] { g.switch_to(); });
  g = {};
  ended.link([&](fern::AnyGreenlet) { done.set(); });
  ended = {};
  log("dropped");
  go.set();
  done.wait();
  EXPECT_EQ(text, "dropped goes on ");
}

TEST_F(RawGreenletEnd, IsUnwoundWhenItSwitchesAwayAndNobodyHoldsIt) {
  RawGreenlet g;
  g = RawGreenlet([&] {
    OnExit unwound{[&] { log("unwound"); }};
    g = {};
    log("let go");
    getcurrent().parent().switch_to(4);
    log("never");
  });
  auto got = g.switch_to();
  log(std::to_string(got.get<int>()));
  EXPECT_EQ(text, "let go unwound 4 ");
}

TEST_F(RawGreenletEnd, StaysIfSomebodyTakesAHandleBeforeItSwitchesAway) {
  RawGreenlet g;
  RawGreenlet again;
  g = RawGreenlet([&] {
    g = {};
    again = getcurrent();
    suspend();
    log("resumed");
  });
  g.switch_to();
  again.switch_to();
  EXPECT_EQ(text, "resumed ");
}

TEST_F(RawGreenletEnd, ThatSurvivesItsUnwindingOutOfReachIsReportedAndLeftToTheThreadsEnd) {
  may_keep_heap("hubs are kept");
  std::string said;
  in_thread([&] {
    ::testing::internal::CaptureStderr();
    RawGreenlet g(fern::SpawnOptions{.name = "survivor"}, [&] {
      auto main = getcurrent().parent();
      for (int i = 0; i < 2; ++i) {
        try {
          main.switch_to();
        } catch (const GreenletExit&) {
          log("refused");
        }
      }
      log("ended");
    });
    g.switch_to();
    g = {};
    said = ::testing::internal::GetCapturedStderr();
    log("dropped");
  });
  EXPECT_TRUE(says(said, "survivor")) << said;
  EXPECT_EQ(text, "refused dropped refused ended ");
}

TEST_F(RawGreenletEnd, ADropperGoesOnWhenWhatItUnwindsEndsElsewhere) {
  RawGreenlet elsewhere([&] {
    suspend();
    log("elsewhere");
  });
  elsewhere.switch_to();
  RawGreenlet g([&] {
    try {
      suspend();
    } catch (const GreenletExit&) {
      getcurrent().set_parent(elsewhere);
      log("unwound");
    }
  });
  g.switch_to();
  g = {};
  log("dropped");
  EXPECT_EQ(text, "unwound elsewhere dropped ");
}

TEST_F(RawGreenletEnd, ADropperIsTheParentOnlyWhileItUnwinds) {
  RawGreenlet parent([] {});
  RawGreenlet kept;
  RawGreenlet g(
      [&] {
        try {
          kept.switch_to();
        } catch (const GreenletExit&) {
          kept = getcurrent();
          log(getcurrent().parent().name());
        }
      },
      parent);
  kept = getcurrent();
  g.switch_to();
  g = {};
  EXPECT_EQ(text, "main ");
  EXPECT_TRUE(kept.dead());
  EXPECT_EQ(kept.parent(), parent);
}

TEST_F(RawGreenletEnd, EverybodyWhoDroppedItGoesOnWhenItHasEnded) {
  RawGreenlet again;
  RawGreenlet second([&] {
    again = {};
    log("second");
  });
  RawGreenlet g([&] {
    try {
      suspend();
    } catch (const GreenletExit&) {
      again = getcurrent();
      try {
        second.switch_to();  // and the first dropper waits
      } catch (const GreenletExit&) {
        log("unwound");
      }
    }
  });
  g.switch_to();
  RawGreenlet first([&] {
    g = {};
    log("first");
  });
  first.switch_to();
  fern::yield();
  EXPECT_EQ(text, "unwound second first ");
  EXPECT_TRUE(first.dead() && second.dead());
}

TEST_F(RawGreenletEnd, WhatIsThrownAtADropperIsPrinted) {
  RawGreenlet kept;
  RawGreenlet g([&] {
    auto main = getcurrent().parent();
    try {
      main.switch_to();
    } catch (const GreenletExit&) {
      kept = getcurrent();
      main.throw_in(std::make_exception_ptr(std::runtime_error("into the dropper")));
    }
  });
  g.switch_to();
  ::testing::internal::CaptureStderr();
  g = {};
  auto said = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(says(said, "into the dropper")) << said;
  EXPECT_TRUE(kept.switch_to().empty());
  EXPECT_TRUE(kept.dead());
}

TEST_F(RawGreenletEnd, DroppedOnTheHubsOwnStackUnwindsAtTheNextTurn) {
  RawGreenlet g([&] {
    OnExit unwound{[&] { log("unwound"); }};
    suspend();
  });
  g.switch_to();
  fern::Event done;
  fern::Hub::current().post([&] {
    g = {};
    log("dropped");
    done.set();
  });
  done.wait();
  fern::yield();
  EXPECT_EQ(text, "dropped unwound ");
}

TEST_F(RawGreenletEnd, DroppedByALinkUnwindsAtTheNextTurn) {
  RawGreenlet g([&] {
    OnExit unwound{[&] { log("unwound"); }};
    suspend();
  });
  g.switch_to();
  auto greenlet = fern::spawn([] {});
  // A callback that is not called is destroyed on the stack of the greenlet that ended.
  greenlet.link_exception([g = std::move(g)](fern::AnyGreenlet) {});
  greenlet.join();
  log("joined");
  EXPECT_EQ(text, "unwound joined ");
}

TEST_F(RawGreenletEnd, ChildrenHoldTheirParents) {
  RawGreenlet child;
  {
    RawGreenlet parent([&](Value value) {
      log("parent got " + std::to_string(value.get<int>()));
      return value.get<int>() + 1;
    });
    child = RawGreenlet([] { return 1; }, parent);
  }
  EXPECT_EQ(child.switch_to().get<int>(), 2);
  EXPECT_EQ(text, "parent got 1 ");
  EXPECT_TRUE(child.parent().dead());
}

TEST_F(RawGreenletEnd, ALongLineOfParentsPassesAResultOnAndGoesInOne) {
  const int count = std::min(fern::testing::many, 10000);
  RawGreenlet last([](int n) { return n + 1; });
  for (int i = 1; i < count; ++i) last = RawGreenlet([](int n) { return n + 1; }, last);
  EXPECT_EQ(last.switch_to(0).get<int>(), count);
  last = {};
  for (int i = 0; i < count; ++i)
    last = last.valid() ? RawGreenlet([] {}, last) : RawGreenlet([] {});
  last = {};
}

TEST_F(RawGreenletEnd, ManyAreDroppedInOtherThreadsWhileTheirOwnSwitches) {
  may_keep_heap("hubs are kept");
  const int count = std::min(fern::testing::many, 2000);
  int unwound = 0;
  std::vector<RawGreenlet> greenlets;
  for (int i = 0; i < count; ++i) {
    greenlets.emplace_back([&] {
      OnExit counted{[&] { ++unwound; }};
      suspend();
    });
    if (i % 10 != 0) greenlets.back().switch_to();
  }
  std::atomic<bool> done{false};
  std::thread dropper([&, copies = greenlets]() mutable {
    for (auto& copy : copies) copy = {};
    done = true;
  });
  for (auto& greenlet : greenlets) greenlet = {};
  RawGreenlet idles([&] {
    for (;;) suspend();
  });
  while (!done) idles.switch_to();
  dropper.join();
  idles = RawGreenlet([] {});
  fern::yield();
  EXPECT_EQ(unwound, count - (count + 9) / 10);
}

TEST_F(RawGreenletEnd, DroppedInAnotherThreadUnwindsWhileItsOwnWaits) {
  may_keep_heap("hubs are kept");
  fern::Event unwound;
  RawGreenlet g([&] {
    OnExit tell{[&] { unwound.set(); }};
    suspend();
  });
  g.switch_to();
  std::thread other([g = std::move(g)]() mutable { g = {}; });
  unwound.wait();
  other.join();
}

// ---- the ends ---------------------------------------------------------------------------------

TEST_F(RawGreenletEnd, AThreadsEndUnwindsWhatIsSuspendedAndCancelsWhatNeverBegan) {
  may_keep_heap("hubs are kept");
  std::vector<RawGreenlet> kept;
  in_thread([&] {
    kept.emplace_back([&] {
      OnExit unwound{[&] { log("unwound"); }};
      suspend();
    });
    kept[0].switch_to();
    kept.emplace_back([&] { log("never"); });
    kept.emplace_back([&] {
      OnExit unwound{[&] { log("parked"); }};
      fern::sleep(1h);
    });
    fern::with_timeout_silent(1us, [&] { kept[2].switch_to(); });
    // A greenlet that has a handle of itself is left to the end, too.
    RawGreenlet([&] {
      auto me = getcurrent();
      OnExit unwound{[&] { log("selfish"); }};
      me.parent().switch_to();
    }).switch_to();
  });
  std::vector<std::string> words;
  std::istringstream in(text);
  for (std::string word; in >> word;) words.push_back(word);
  std::sort(words.begin(), words.end());
  EXPECT_EQ(words, (std::vector<std::string>{"parked", "selfish", "unwound"}));
  for (auto& greenlet : kept) {
    EXPECT_TRUE(greenlet.dead());
    EXPECT_FALSE(greenlet.active());
    EXPECT_TRUE(greenlet.killed());
    EXPECT_THROW(greenlet.switch_to(), GreenletError);
    EXPECT_THROW(greenlet.parent(), GreenletError);
  }
  // The next thread gets the hub, and these are still not its own.
  in_thread([&] {
    for (auto& greenlet : kept) EXPECT_THROW(greenlet.switch_to(), GreenletError);
  });
}

TEST_F(RawGreenletEnd, WhatIsMadeWhileAThreadEndsNeverBegins) {
  may_keep_heap("hubs are kept");
  RawGreenlet late;
  in_thread([&] {
    fern::Hub::current().set_exit_limit(1h);
    RawGreenlet([&] {
      auto me = getcurrent();
      OnExit unwound{[&] {
        late = RawGreenlet([&] { log("never"); });
        log(late.dead() ? "dead" : "alive");
      }};
      me.parent().switch_to();
    }).switch_to();
  });
  EXPECT_EQ(text, "dead ");
}

TEST_F(RawGreenletEnd, AThreadsEndStopsTracingFirst) {
  may_keep_heap("hubs are kept");
  in_thread([&] {
    auto counter = std::make_shared<int>();
    RawGreenlet g([] {
      auto me = getcurrent();
      me.parent().switch_to();
    });
    g.switch_to();
    fern::settrace([&, counter](auto...) { log("traced"); });
  });
  EXPECT_EQ(text, "");
}

TEST_F(RawGreenletEnd, AnExceptionFromUnwindingAtTheThreadsEndIsPrinted) {
  may_keep_heap("hubs are kept");
  ::testing::internal::CaptureStderr();
  in_thread([&] {
    RawGreenlet([&] {
      auto me = getcurrent();
      try {
        me.parent().switch_to();
      } catch (const GreenletExit&) {
        throw std::runtime_error("not now");
      }
    }).switch_to();
  });
  auto said = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(says(said, "not now")) << said;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
// The sanitizers lose track of the stack when the thread is left from another one than its own.
TEST_F(RawGreenletEnd, AThreadMayExitInsideOfOne) {
  may_keep_heap("hubs are kept");
  RawGreenlet kept;
  auto body = [&] {
    kept = RawGreenlet([&] {
      OnExit unwound{[&] { log("unwound"); }};
      ::pthread_exit(nullptr);
    });
    kept.switch_to();
  };
  pthread_t thread;
  auto run = [](void* work) -> void* {
    (*static_cast<decltype(body)*>(work))();
    return nullptr;
  };
  ASSERT_EQ(::pthread_create(&thread, nullptr, run, &body), 0);
  ::pthread_join(thread, nullptr);
  EXPECT_EQ(text, "unwound ");
  EXPECT_TRUE(kept.dead());
  EXPECT_THROW(kept.switch_to(), GreenletError);
}
#endif

TEST_F(RawGreenletEnd, AChildOfAForkGoesOnByHand) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow";
  int finished = 0;
  RawGreenlet waiting([&] {
    suspend();
    ++finished;
    return 20;
  });
  waiting.switch_to();
  RawGreenlet unstarted([] { return 300; });
  auto parked = fern::spawn([] { fern::sleep(1h); });
  fern::yield();
  pid_t before = ::getpid();
  RawGreenlet forks([&] {
    pid_t child = ::fork();
    return child;
  });
  pid_t child = forks.switch_to().get<pid_t>();
  if (child == 0) {
    ::alarm(50);
    // Both the one that forked and main went on; who waited for the hub is gone.
    if (::getpid() == before || !forks.dead() || !parked.dead()) fern::testing::end_child(1);
    if (waiting.switch_to().get<int>() != 20 || finished != 1) fern::testing::end_child(2);
    if (unstarted.switch_to().get<int>() != 300) fern::testing::end_child(3);
    fern::sleep(1ms);
    fern::testing::end_child(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(fern::testing::succeeded(status));
  EXPECT_EQ(waiting.switch_to().get<int>(), 20);
  parked.kill();
}
