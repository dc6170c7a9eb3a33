// What eventlet's GreenPool, its imap and its tpool do.

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/pool.hpp>
#include <fern/thread_pool.hpp>

#include <chrono>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "journal.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using fern::GreenPool;

namespace {

class EventletPool : public FernTest {
 protected:
  // Lets whatever is ready come to rest.
  static void settle() {
    for (int turn = 0; turn < 30; ++turn) fern::yield();
  }

  // The lines as one.
  std::string told() const {
    std::string text;
    for (const auto& line : journal.lines()) text += (text.empty() ? "" : " ") + line;
    return text;
  }

  Journal journal;
};

// E16
TEST_F(EventletPool, SpawnWaitsWhileThePoolIsFull) {
  GreenPool pool(2);
  std::vector<fern::Event> gates(4);
  auto work = [&](std::size_t i) {
    journal.say("start", i);
    gates[i].wait();
    journal.say("end", i);
  };
  auto opener = fern::spawn([&] {
    for (auto& gate : gates) {
      settle();
      gate.set();
    }
  });
  for (std::size_t i = 0; i < 4; ++i) {
    journal.say("spawning", i, "free", pool.free(), "running", pool.running(), "waiting",
                pool.waiting());
    pool.spawn(work, i);
  }
  EXPECT_TRUE(pool.waitall());
  opener.join();
  EXPECT_EQ(journal.lines(),
            (Lines{"spawning 0 free 2 running 0 waiting 0", "spawning 1 free 1 running 1 waiting 0",
                   "spawning 2 free 0 running 2 waiting 0", "start 0", "start 1", "end 0",
                   "spawning 3 free 0 running 2 waiting 0", "start 2", "end 1", "start 3", "end 2",
                   "end 3"}));
  EXPECT_EQ(pool.free(), 2u);
  EXPECT_EQ(pool.running(), 0u);
}

// E16
TEST_F(EventletPool, ResizeChangesTheSizeAndThePlacesThatAreFree) {
  GreenPool pool(2);
  pool.resize(5);
  EXPECT_EQ(pool.size(), 5u);
  EXPECT_EQ(pool.free(), 5u);
  pool.resize(1);
  EXPECT_EQ(pool.free(), 1u);
}

// E17
TEST_F(EventletPool, ImapReadsOneMoreThanItsSizeAheadOfTheConsumer) {
  const std::vector<std::pair<std::string, std::string>> expected{
      {"R0 R1 S0 S1", "C0 R2 S2 C1 R3 S3 C2 R4 S4 C3 R5 S5 C4 R6 S6 C5 C6"},
      {"R0 R1 R2 S0 S1 S2", "C0 R3 S3 C1 R4 S4 C2 R5 S5 C3 R6 S6 C4 C5 C6"},
      {"R0 R1 R2 R3 S0 S1 S2 S3", "C0 R4 S4 C1 R5 S5 C2 R6 S6 C3 C4 C5 C6"}};
  for (int size = 1; size <= 3; ++size) {
    GreenPool pool(size);
    auto say = [this](char what, int i) {
      journal.say(what + std::to_string(i));
      return i;
    };
    journal.clear();
    auto results = pool.imap(
        [&](int i) { return say('S', i); },
        std::views::iota(0, 7) | std::views::transform([&](int i) { return say('R', i); }));
    EXPECT_EQ(told(), "");
    settle();
    EXPECT_EQ(told(), expected[static_cast<std::size_t>(size - 1)].first);
    journal.clear();
    for (int& i : results) {
      say('C', i);
      settle();
    }
    EXPECT_EQ(told(), expected[static_cast<std::size_t>(size - 1)].second);
  }
}

// E19. eventlet blocks for ever where the input failed; here it fails there, and has ended.
TEST_F(EventletPool, WhatTheInputOfImapThrowsIsTheLastThatItGives) {
  GreenPool pool(2);
  auto input = std::views::iota(1) | std::views::transform([](int i) {
                 if (i == 2) throw std::out_of_range("the input");
                 return i;
               });
  auto results = pool.imap([](int i) { return 10 * i; }, input);
  EXPECT_EQ(*results.next(), 10);
  EXPECT_THROW(results.next(), std::out_of_range);
  EXPECT_EQ(results.next(), nullptr);
}

// E21
TEST_F(EventletPool, AMemberOfAFullPoolRunsWhatItSpawnsAtOnce) {
  GreenPool pool(1);
  pool.spawn_raw([&] {
    journal.say("outer");
    pool.spawn_raw([&] { journal.say("inner", pool.running()); });
    journal.say("outer ends");
  });
  EXPECT_TRUE(pool.waitall());
  auto member = pool.spawn([&] {
    auto inner = pool.spawn([&] {
      journal.say("inner again");
      return 7;
    });
    journal.say(inner.ready() ? "ready" : "not ready");
    return inner.get();
  });
  EXPECT_EQ(member.get(), 7);
  EXPECT_EQ(journal.lines(), (Lines{"outer", "inner 1", "outer ends", "inner again", "ready"}));
}

// F01
TEST_F(EventletPool, ImapLeavesThePlacesOfThePoolFree) {
  GreenPool pool(1);
  pool.spawn_raw([] { fern::sleep(1h); });
  std::vector<int> got;
  for (int& i : pool.imap([](int i) { return i; }, std::vector{1, 2})) got.push_back(i);
  EXPECT_EQ(got, (std::vector{1, 2}));
  EXPECT_EQ(pool.running(), 1u);
  pool.kill();
}

// E29. There is no Proxy: a lambda is called in a thread.
TEST_F(EventletPool, ABlockingCallGoesToAThreadWhileGreenletsRun) {
  may_keep_heap("idle threads keep their pool");
  fern::Event looped;
  fern::spawn_raw([&] {
    journal.say("greenlet");
    looped.set();
  });
  std::vector<int> list{1, 2};
  journal.say(fern::in_thread([&] {
    while (!looped.is_set()) std::this_thread::sleep_for(1ms);
    return list.size();
  }));
  EXPECT_THROW(fern::in_thread([&] { return list.at(2); }), std::out_of_range);
  EXPECT_EQ(journal.lines(), (Lines{"greenlet", "2"}));
}

}  // namespace
