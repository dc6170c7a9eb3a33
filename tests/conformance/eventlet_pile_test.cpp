// What eventlet's GreenPile does.

#include <fern/event.hpp>
#include <fern/pile.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include "journal.hpp"
#include "support.hpp"

using fern::GreenPile;
using fern::GreenPool;

namespace {

class EventletPile : public FernTest {
 protected:
  Journal journal;
};

// E20
TEST_F(EventletPile, ResultsComeInTheOrderInWhichTheyWereSpawned) {
  GreenPile<int> pile(2);
  for (int i = 0; i < 4; ++i) {
    pile.spawn([i] {
      for (int turn = i; turn < 4; ++turn) fern::yield();
      return i;
    });
  }
  std::vector<int> out;
  for (int& i : pile) out.push_back(i);
  EXPECT_EQ(out, (std::vector{0, 1, 2, 3}));
}

// E20
TEST_F(EventletPile, NothingSpawnedIsTheEnd) {
  GreenPile<int> pile;
  EXPECT_TRUE(pile.begin() == pile.end());
  EXPECT_EQ(pile.next(), nullptr);
}

// E20
TEST_F(EventletPile, AFailureComesInItsPlace) {
  GreenPool pool(10);
  GreenPile<int> pile(pool);
  pile.spawn([] { return 1; });
  pile.spawn([]() -> int { throw std::domain_error("division by zero"); });
  pile.spawn([] { return 3; });
  for (auto it = pile.begin(); it != pile.end(); ++it) {
    try {
      journal.say(*it);
    } catch (const std::domain_error& error) {
      journal.say(error.what());
    }
  }
  EXPECT_EQ(journal.lines(), (Lines{"1", "division by zero", "3"}));
}

// F03
TEST_F(EventletPile, SpawnWaitsForThePoolThatItSharesAndTheSlowOneStillComesFirst) {
  GreenPool pool(2);
  GreenPile<std::string> pile(pool);
  fern::Event spawned;
  pile.spawn([&] {
    spawned.wait();
    journal.say("slow ends");
    return "slow";
  });
  pile.spawn([] { return std::string("fast"); });
  EXPECT_EQ(pool.free(), 0u);
  pile.spawn([] { return "third"; });
  journal.say("third is spawned");
  spawned.set();
  for (auto& word : pile) journal.say(word);
  EXPECT_EQ(journal.lines(), (Lines{"third is spawned", "slow ends", "slow", "fast", "third"}));
}

}  // namespace
