#include "fern/callback.hpp"

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fern/errors.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/thread_pool.hpp"
#include "fern/timeout.hpp"
#include "support.hpp"

namespace {

using namespace std::chrono_literals;
using fern::await_callback;
using fern::Callback;
using fern::spawn;

class CallbackTest : public FernTest {
 protected:
  // Starts something that calls `done` later, in this thread.
  template <class F>
  static void later(F f) {
    fern::spawn_raw([f = std::move(f)]() mutable {
      fern::yield();
      f();
    });
  }
};

TEST_F(CallbackTest, ReturnsWhatItIsCalledWith) {
  EXPECT_EQ(await_callback<int>([](auto done) { later([done] { done(7); }); }), 7);
}

TEST_F(CallbackTest, WhatIsDoneAtOnceCostsNoSwitch) {
  auto switches = fern::Hub::current().switches();
  EXPECT_EQ(await_callback<std::string>([](auto done) { done("now"); }), "now");
  await_callback([](auto done) { done(); });
  EXPECT_EQ(fern::Hub::current().switches(), switches);
}

TEST_F(CallbackTest, CarriesNothingAndWhatOnlyMoves) {
  bool called = false;
  await_callback([&](Callback<void> done) {
    later([&called, done] {
      called = true;
      done();
    });
  });
  EXPECT_TRUE(called);
  auto owned = await_callback<std::unique_ptr<int>>(
      [](auto done) { later([done] { done(std::make_unique<int>(5)); }); });
  EXPECT_EQ(*owned, 5);
}

TEST_F(CallbackTest, ThrowsWhatItFailsBy) {
  EXPECT_THROW(
      await_callback<int>([](auto done) { later([done] { done.fail(std::out_of_range("x")); }); }),
      std::out_of_range);
  EXPECT_THROW(await_callback([](auto done) {
                 try {
                   throw 3;
                 } catch (...) {
                   done.fail(std::current_exception());
                 }
               }),
               int);
  EXPECT_THROW(await_callback([](auto done) { done.fail(nullptr); }), std::invalid_argument);
}

TEST_F(CallbackTest, ThrowsWhatTheStartThrows) {
  std::vector<Callback<int>> kept;
  EXPECT_THROW(await_callback<int>([&](auto done) {
                 kept.push_back(done);
                 throw std::runtime_error("cannot start");
               }),
               std::runtime_error);
  EXPECT_TRUE(kept.front()(1));  // nobody waits: nothing happens
}

// A C library: a function, a void*, and the library's own thread.
extern "C" {
using c_callback = void (*)(void*, int);
void c_api_start(c_callback callback, void* context, std::jthread* thread) {
  *thread = std::jthread([=] { callback(context, 42); });
}
}

TEST_F(CallbackTest, ServesACInterfaceThatCallsFromItsOwnThread) {
  std::jthread thread;
  int value = await_callback<int>([&](auto done) {
    using Done = decltype(done);
    c_api_start(
        [](void* context, int value) {
          std::unique_ptr<Done> done(static_cast<Done*>(context));
          (*done)(value);
        },
        new Done(std::move(done)), &thread);
  });
  EXPECT_EQ(value, 42);
}

TEST_F(CallbackTest, FitsIntoAStdFunction) {
  std::function<void(std::string)> on_line;
  later([&] { on_line("hello"); });
  EXPECT_EQ(await_callback<std::string>([&](auto done) { on_line = done; }), "hello");
}

TEST_F(CallbackTest, TheFirstCallCounts) {
  EXPECT_EQ(await_callback<int>([](auto done) {
              EXPECT_TRUE(done(1));
              EXPECT_FALSE(done(2));
              EXPECT_FALSE(done.fail(std::runtime_error("no")));
            }),
            1);
  EXPECT_THROW(await_callback<int>([](auto done) {
                 EXPECT_TRUE(done.fail(std::runtime_error("first")));
                 EXPECT_FALSE(done(2));
               }),
               std::runtime_error);
}

TEST_F(CallbackTest, DroppedWithoutACallItEndsTheWait) {
  EXPECT_THROW(await_callback<int>([](auto) {}), fern::GreenletError);
  EXPECT_THROW(await_callback<int>([](auto done) { later([done] {}); }), fern::GreenletError);
}

// The last copy counts, not the first.
TEST_F(CallbackTest, ACopyIsEnough) {
  EXPECT_EQ(await_callback<int>([](auto done) {
              auto copy = done;
              later([copy] { copy(3); });
            }),
            3);
}

TEST_F(CallbackTest, AfterTheDeadlineACallIsIgnored) {
  std::vector<Callback<std::string>> kept;
  auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(await_callback<std::string>([&](auto done) { kept.push_back(done); }, 3ms),
               fern::TimeoutError);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 3ms);
  EXPECT_THROW(await_callback<std::string>([&](auto) {}, 0s), fern::GreenletError);
  EXPECT_TRUE(kept.front()(std::string(100, 'x')));
  kept.clear();
}

TEST_F(CallbackTest, AfterAKillACallIsIgnored) {
  std::vector<Callback<int>> kept;
  auto waiter = spawn([&] { await_callback<int>([&](auto done) { kept.push_back(done); }); });
  fern::yield();
  waiter.kill();
  EXPECT_TRUE(waiter.killed());
  EXPECT_TRUE(kept.front()(1));
  EXPECT_FALSE(fern::with_timeout_silent(
      1ms, [&] { await_callback<int>([&](auto done) { kept.push_back(done); }); }));
  kept.clear();
}

// Making the value may throw, too: that is the waiter's to know.
TEST_F(CallbackTest, AValueThatCannotBeMadeFailsTheWait) {
  struct Picky {
    explicit Picky(int) { throw std::length_error("too long"); }
  };
  EXPECT_THROW(await_callback<Picky>([](auto done) { EXPECT_TRUE(done(1)); }), std::length_error);
}

TEST_F(CallbackTest, MayBeCalledInTheHub) {
  EXPECT_EQ(await_callback<int>([](auto done) { fern::Hub::current().post([done] { done(9); }); }),
            9);
}

TEST_F(CallbackTest, TheHubItselfMayNotWait) {
  fern::Event tried;
  fern::Hub::current().post([&] {
    std::vector<Callback<int>> kept;
    EXPECT_THROW(await_callback<int>([&](auto done) { kept.push_back(done); }),
                 fern::BlockingInHub);
    tried.set();
  });
  tried.wait();
}

TEST_F(CallbackTest, HeldByNobodyWhoCouldCallItIsADeadlock) {
  std::vector<Callback<int>> kept;
  EXPECT_THROW(await_callback<int>([&](auto done) { kept.push_back(done); }), fern::LoopExit);
  kept.clear();
}

class CallbackThreadsTest : public CallbackTest {
 protected:
  CallbackThreadsTest() { may_keep_heap("hubs and pool threads are kept"); }
};

TEST_F(CallbackThreadsTest, APoolThreadMayCall) {
  fern::ThreadPool pool(2);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(await_callback<int>([&](auto done) { pool.spawn([done, i] { done(i); }); }), i);
  }
  EXPECT_THROW(await_callback<int>([&](auto done) { pool.spawn([done] {}); }), fern::GreenletError);
  pool.waitall();
}

TEST_F(CallbackThreadsTest, AnotherHubMayCall) {
  std::vector<Callback<int>> given;
  fern::Event ready;
  std::jthread other([&] {
    ready.wait();
    fern::sleep(1ms);
    given.front()(11);
    given.clear();
  });
  EXPECT_EQ(await_callback<int>([&](auto done) {
              given.push_back(done);
              ready.set();
            }),
            11);
  other.join();
}

// Calls race with deadlines, kills and each other.
TEST_F(CallbackThreadsTest, WhoeverComesFirstNothingIsLost) {
  for (int round = 0; round < 200; ++round) {
    std::vector<std::jthread> threads;
    auto start = [&](auto done) {
      for (int i = 0; i < 2; ++i) {
        threads.emplace_back([done, i] {
          if (i == 0) {
            done(std::string(40, 'v'));
          } else {
            done.fail(std::runtime_error("failed"));
          }
        });
      }
    };
    auto waiter = spawn([&] {
      try {
        auto limit = round % 3 == 0 ? fern::Deadline(20us) : fern::Deadline::never();
        EXPECT_EQ(await_callback<std::string>(start, limit).size(), 40U);
      } catch (const std::runtime_error&) {  // TimeoutError is one
      }
    });
    fern::yield();
    if (round % 3 == 1) waiter.kill({.block = false});
    waiter.join();
  }
}

}  // namespace
