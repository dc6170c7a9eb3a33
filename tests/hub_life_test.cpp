// How a hub ends with its thread, and what is left of it.
#include <pthread.h>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "children.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using fern::testing::in_thread;

namespace {

// A hub of another thread stays for the next thread that wants one.
class HubEnd : public FernTest {
 protected:
  HubEnd() { may_keep_heap("hubs are kept"); }
};

struct Raise {
  std::atomic<int>& count;
  explicit Raise(std::atomic<int>& count) : count(count) {}
  Raise(const Raise&) = delete;
  ~Raise() { ++count; }
};

}  // namespace

TEST_F(HubEnd, CancelsWhatNeverStarted) {
  std::atomic<int> ran{0};
  std::atomic<int> destroyed{0};
  fern::AnyGreenlet kept;
  in_thread([&] {
    auto captured = std::make_unique<Raise>(destroyed);
    kept = fern::spawn([&ran, captured = std::move(captured)] { ++ran; });
    fern::spawn_later(1h, [&] { ++ran; });
  });
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(destroyed, 1);
  EXPECT_TRUE(kept.killed());
}

TEST_F(HubEnd, UnwindsWhatWaits) {
  std::atomic<int> unwound{0};
  std::vector<fern::AnyGreenlet> kept;
  in_thread([&] {
    for (int i = 0; i < 10; ++i) {
      kept.push_back(fern::spawn([&] {
        Raise raise(unwound);
        fern::sleep(1h);
      }));
    }
    fern::yield();
  });
  EXPECT_EQ(unwound, 10);
  for (auto& greenlet : kept) EXPECT_TRUE(greenlet.join());
}

TEST_F(HubEnd, LetsUnwindingGreenletsWaitForEachOther) {
  std::atomic<int> unwound{0};
  in_thread([&] {
    auto last = fern::spawn([&] {
      Raise raise(unwound);
      try {
        fern::sleep(1h);
      } catch (const fern::GreenletExit&) {
        fern::ShieldKill shield;
        fern::sleep(5ms);
        throw;
      }
    });
    fern::spawn_raw([&, last] {
      try {
        fern::sleep(1h);
      } catch (const fern::GreenletExit&) {
        last.join();
        unwound += 10;
        throw;
      }
    });
    fern::yield();
  });
  EXPECT_EQ(unwound, 11);
}

TEST_F(HubEnd, NamesThoseThatRefuseAndGivesThemUp) {
  // What they hold is never freed, so they hold nothing.
  fern::AnyGreenlet kept;
  auto began = std::chrono::steady_clock::now();
  ::testing::internal::CaptureStderr();
  in_thread([&] {
    fern::Hub::current().set_exit_limit(20ms);
    kept = fern::spawn(fern::SpawnOptions{.name = "stubborn"}, [] {
      for (;;) {
        try {
          fern::sleep(1h);
        } catch (...) {
        }
      }
    });
    fern::yield();
  });
  auto said = ::testing::internal::GetCapturedStderr();
  EXPECT_GE(std::chrono::steady_clock::now() - began, 20ms);
  EXPECT_NE(said.find("1 greenlet(s) did not end"), std::string::npos) << said;
  EXPECT_NE(said.find("stubborn"), std::string::npos) << said;
  EXPECT_TRUE(kept.ready());
  EXPECT_TRUE(kept.join());
}

TEST_F(HubEnd, KillsWhatIsSpawnedWhileItUnwinds) {
  std::atomic<int> began{0};
  std::atomic<int> ended{0};
  in_thread([&] {
    fern::Hub::current().set_exit_limit(1h);
    fern::spawn_raw([&] {
      try {
        fern::sleep(1h);
      } catch (const fern::GreenletExit&) {
        fern::spawn_later(1h, [&] { began += 100; });
        fern::spawn_raw([&] {
          ++began;
          Raise raise(ended);
          fern::sleep(1h);
        });
        throw;
      }
    });
    fern::yield();
  });
  EXPECT_EQ(began, 1);
  EXPECT_EQ(ended, 1);
}

TEST_F(HubEnd, LeavesResultsToHandlesThatOutliveIt) {
  fern::Greenlet<std::string> value;
  fern::AnyGreenlet failed;
  in_thread([&] {
    value = fern::spawn([] { return std::string(1000, 'x'); });
    failed = fern::spawn([] { throw std::runtime_error("gone wrong"); });
    value.join();
  });
  EXPECT_EQ(value.get().size(), 1000u);
  EXPECT_THROW(failed.get(), std::runtime_error);
  EXPECT_EQ(value.name().substr(0, 9), "Greenlet-");
  EXPECT_TRUE(value.kill());
}

TEST_F(HubEnd, HandsItsHubToTheNextThread) {
  fern::Hub* first = nullptr;
  fern::Hub* second = nullptr;
  in_thread([&] { first = &fern::Hub::current(); });
  in_thread([&] {
    second = &fern::Hub::current();
    EXPECT_EQ(second->greenlets(), 0u);
    EXPECT_EQ(fern::current_greenlet().name(), "main");
    EXPECT_EQ(fern::spawn([] { return 5; }).get(), 5);
  });
  EXPECT_EQ(first, second);
}

TEST_F(HubEnd, TellsThoseWhoJoinItsMainFromOtherThreads) {
  fern::AnyGreenlet main_of_other;
  std::atomic<bool> ready{false};
  std::thread thread([&] {
    main_of_other = fern::current_greenlet();
    main_of_other.set_name("other main");
    ready = true;
    fern::sleep(20ms);
  });
  while (!ready) std::this_thread::yield();
  EXPECT_TRUE(main_of_other.join());
  thread.join();
  EXPECT_TRUE(main_of_other.ready());
  EXPECT_TRUE(main_of_other.join());
  EXPECT_TRUE(main_of_other.kill());
  // While the handle lives, nobody else gets that hub.
  in_thread([&] { EXPECT_NE(fern::current_greenlet(), main_of_other); });
  main_of_other = {};
}

TEST_F(HubEnd, DropsWhatIsPostedToAHubWithoutAThread) {
  fern::Hub* gone = nullptr;
  in_thread([&] { gone = &fern::Hub::current(); });
  auto captured = std::make_shared<int>(1);
  bool ran = false;
  gone->post([captured, &ran] { ran = true; });
  fern::yield();
  EXPECT_FALSE(ran);
  EXPECT_EQ(captured.use_count(), 1);
}

TEST_F(HubEnd, RunsWhatWasPostedBeforeTheEnd) {
  std::atomic<int> ran{0};
  in_thread([&] {
    fern::Hub& hub = fern::Hub::current();
    fern::spawn_raw([] { fern::sleep(1h); });
    fern::yield();
    hub.post([&ran] { ++ran; });
  });
  EXPECT_EQ(ran, 1);
}

namespace {

// A thread_local made before the hub is destroyed after it.
struct Waits {
  std::atomic<int>* done = nullptr;
  ~Waits() {
    if (done == nullptr) return;
    fern::sleep(1ms);
    fern::spawn([this] { ++*done; }).join();
    fern::spawn_raw([this] {
      Raise raise(*done);
      fern::sleep(1h);
    });
    fern::yield();
  }
};
thread_local Waits waits;

}  // namespace

TEST_F(HubEnd, LetsAThreadLocalsDestructorWaitAfterwards) {
  std::atomic<int> done{0};
  in_thread([&] {
    waits.done = &done;
    fern::sleep(1ms);
  });
  EXPECT_EQ(done, 2);
  // That thread's second hub has ended as well: nobody is left who could wake us.
  EXPECT_THROW(fern::sleep(fern::Deadline::never()), fern::LoopExit);
}

TEST_F(HubEnd, AThreadLeftByPthreadExitInMainUnwindsItsGreenlets) {
  std::atomic<int> unwound{0};
  in_thread([&] {
    fern::spawn_raw([&] {
      Raise raise(unwound);
      fern::sleep(1h);
    });
    fern::yield();
    ::pthread_exit(nullptr);
  });
  EXPECT_EQ(unwound, 1);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
// The sanitizers lose track of the stack when the thread is left from another one than its own.
TEST_F(HubEnd, AThreadLeftByPthreadExitInAGreenletUnwindsOnlyThat) {
  std::atomic<int> unwound{0};
  std::atomic<int> others{0};
  fern::AnyGreenlet leaver;
  fern::AnyGreenlet other;
  std::atomic<bool> ready{false};
  auto body = [&] {
    other = fern::spawn([&] {
      Raise raise(others);
      fern::sleep(1h);
    });
    leaver = fern::spawn([&] {
      Raise raise(unwound);
      ready = true;
      fern::sleep(20ms);
      ::pthread_exit(nullptr);
    });
    leaver.join(1h);
    others += 100;
  };
  // No std::thread: it keeps heap on the very stack that pthread_exit leaves behind.
  pthread_t thread;
  auto run = [](void* work) -> void* {
    (*static_cast<decltype(body)*>(work))();
    return nullptr;
  };
  ASSERT_EQ(::pthread_create(&thread, nullptr, run, &body), 0);
  while (!ready) std::this_thread::yield();
  EXPECT_TRUE(other.join());
  ::pthread_join(thread, nullptr);
  EXPECT_EQ(unwound, 1);
  EXPECT_EQ(others, 0);
  EXPECT_TRUE(leaver.join());
  in_thread([] { EXPECT_EQ(fern::spawn([] { return 1; }).get(), 1); });
  EXPECT_THROW(fern::sleep(fern::Deadline::never()), fern::LoopExit);
}
#endif

TEST_F(HubEnd, ManyThreadsEndWhileOthersJoinKillAndPost) {
  // Handles cross threads while the hubs behind them end.
  const int rounds = fern::testing::under_valgrind() ? 5 : 50;
  for (int round = 0; round < rounds; ++round) {
    fern::AnyGreenlet sleeper;
    fern::AnyGreenlet brief;
    fern::Hub* hub = nullptr;
    std::atomic<bool> ready{false};
    std::thread owner([&] {
      hub = &fern::Hub::current();
      sleeper = fern::spawn([] { fern::sleep(1h); });
      brief = fern::spawn([] { return std::string("brief"); });
      fern::yield();
      ready = true;
      for (int i = 0; i < round % 5; ++i) fern::yield();
    });
    while (!ready) std::this_thread::yield();
    std::thread joiner([&] { EXPECT_TRUE(fern::AnyGreenlet(sleeper).join()); });
    std::thread killer([&] {
      hub->post([] {});
      fern::AnyGreenlet(sleeper).kill();
      hub->post([] {});
    });
    fern::AnyGreenlet(brief).join();
    brief = {};
    joiner.join();
    killer.join();
    owner.join();
    sleeper = {};
  }
}
