#include "../support.hpp"
#include "journal.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/group.hpp>
#include <fern/pool.hpp>

#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using fern::Event;
using fern::GreenPool;
using fern::Group;
using fern::spawn;
using fern::yield;

class GeventImap : public FernTest {
 protected:
  // Lets whatever is ready come to rest.
  static void settle() {
    for (int turn = 0; turn < 20; ++turn) yield();
  }

  // What the results are, and what was thrown in their places.
  template <class Results>
  static Lines outcomes(Results results) {
    Lines outcomes;
    for (auto at = results.begin(); at != results.end(); ++at) {
      try {
        outcomes.push_back(std::to_string(*at));
      } catch (const std::range_error& error) {
        outcomes.push_back(std::string("error ") + error.what());
      }
    }
    return outcomes;
  }

  // The numbers from 0, each read logged, all of them or up to one where it throws.
  static auto input(Journal& log, int count, int fails = -1) {
    return std::views::iota(0, count) | std::views::transform([&log, fails](int n) {
             if (n == fails) throw std::range_error("input");
             log("read ", n);
             return n;
           });
  }
};

// Waits for its number's gate, then returns the number; 2 is an error.
struct Gated {
  std::vector<Event>& gates;
  Event& zero_ran;
  int operator()(int n) const {
    if (n == 0) zero_ran.set();
    gates[static_cast<std::size_t>(n)].wait();
    if (n == 2) throw std::range_error("2");
    return n;
  }
};

// V51
TEST_F(GeventImap, InOrderOfCompletionAFailureIsThrownInItsPlaceAndIterationGoesOn) {
  GreenPool pool(3);
  std::vector<Event> gates(4);
  Event zero_ran;
  gates[0].set();
  auto opener = spawn([&] {
    gates[1].set();
    zero_ran.wait();
    gates[2].set();
    gates[3].set();
  });
  EXPECT_EQ(outcomes(pool.imap_unordered(Gated{gates, zero_ran}, std::vector{3, 1, 2, 0})),
            (Lines{"1", "0", "error 2", "3"}));
  opener.join();
}

// V51
TEST_F(GeventImap, InOrderOfInputAFailureIsThrownInItsPlaceAndIterationGoesOn) {
  GreenPool pool(3);
  std::vector<Event> gates(4);
  for (auto& gate : gates) gate.set();
  Event zero_ran;
  EXPECT_EQ(outcomes(pool.imap(Gated{gates, zero_ran}, std::vector{3, 1, 2, 0})),
            (Lines{"3", "1", "error 2", "0"}));
}

// V49: a pool reads no further ahead than its size and one more, see V50; a group reads it all.
TEST_F(GeventImap, AGroupReadsItsWholeInputWithoutAConsumer) {
  Journal log;
  Group group;
  auto numbers = input(log, 5);
  auto results = group.imap([](int n) { return n; }, numbers);
  settle();
  EXPECT_EQ(log.lines(), (Lines{"read 0", "read 1", "read 2", "read 3", "read 4"}));
  group.waitall();
}

// V50: the pool's size is what gevent's maxsize is; the one more is read then and begun.
TEST_F(GeventImap, APoolReadsItsSizeAndOneMoreAheadAndThenOneForEachResult) {
  Journal log;
  GreenPool pool(2);
  auto numbers = input(log, 6);
  auto results = pool.imap([](int n) { return n; }, numbers);
  settle();
  log("consumer");
  for (int i = 0; i < 3; ++i) {
    int n = *results.next();
    settle();
    log("got ", n);
  }
  EXPECT_EQ(log.lines(), (Lines{"read 0", "read 1", "read 2", "consumer", "read 3", "got 0",
                                "read 4", "got 1", "read 5", "got 2"}));
}

// V52, W02
TEST_F(GeventImap, SeveralInputsEndWithTheShortest) {
  auto pairs = [](int n, char c) { return std::to_string(n) + c; };
  Lines seen;
  for (auto& pair : Group().imap(pairs, std::vector{1, 2, 3}, std::string("xy"))) {
    seen.push_back(pair);
  }
  for (auto& pair : GreenPool(1).imap_unordered(pairs, std::vector{4}, std::string("xy"))) {
    seen.push_back(pair);
  }
  EXPECT_EQ(seen, (Lines{"1x", "2y", "4x"}));
}

// W01: after the input's failure there is the end, where gevent blocks for ever.
TEST_F(GeventImap, WhatTheInputThrowsComesAfterTheResultsBeforeIt) {
  Journal log;
  GreenPool pool(2);
  auto numbers = input(log, 6, 2);
  EXPECT_EQ(outcomes(pool.imap([](int n) { return (n + 1) * 10; }, numbers)),
            (Lines{"10", "20", "error input"}));
  EXPECT_EQ(outcomes(Group().imap([](int n) { return (n + 1) * 10; }, numbers)),
            (Lines{"10", "20", "error input"}));
}

// X02: a pool's imap has private greenlets, as eventlet's; a group's are its members.
TEST_F(GeventImap, AGroupsWorkersAreMembersAndAPoolsAreNot) {
  Group group;
  GreenPool pool(2);
  Event gate;
  auto wait = [&](int n) {
    gate.wait();
    return n;
  };
  auto grouped = group.imap(wait, std::vector{0, 1});
  auto pooled = pool.imap(wait, std::vector{0, 1});
  settle();
  EXPECT_EQ(group.size(), 2u);
  EXPECT_EQ(pool.free(), 2u);
  gate.set();
  EXPECT_EQ(outcomes(std::move(grouped)), (Lines{"0", "1"}));
  EXPECT_EQ(outcomes(std::move(pooled)), (Lines{"0", "1"}));
}

// X03
TEST_F(GeventImap, AbandonedHalfWayWhatHasStartedRunsOnAndAPoolReadsNoMore) {
  Journal log;
  GreenPool pool(2);
  Event gate;
  auto numbers = input(log, 6);
  {
    auto results = pool.imap(
        [&](int n) {
          if (n > 0) gate.wait();
          log("done ", n);
          return n;
        },
        numbers);
    EXPECT_EQ(*results.next(), 0);
    settle();
  }
  log("abandoned");
  gate.set();
  settle();
  EXPECT_EQ(log.lines(), (Lines{"read 0", "read 1", "read 2", "done 0", "read 3", "abandoned",
                                "done 1", "done 2"}));
}

// X04: it is no greenlet to kill, but ends when it goes.
TEST_F(GeventImap, ItBeginsWhenItsMakerFirstWaits) {
  Journal log;
  GreenPool pool(2);
  auto numbers = input(log, 6);
  auto results = pool.imap([](int n) { return n; }, numbers);
  EXPECT_EQ(log.lines(), Lines{});
  settle();
  EXPECT_EQ(log.lines(), (Lines{"read 0", "read 1", "read 2"}));
  EXPECT_EQ(*results.next(), 0);
}

}  // namespace
