#include "support.hpp"

#include <fern/debug.hpp>
#include <fern/greenlet.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <sstream>
#include <string>

using namespace std::chrono_literals;

namespace {

class DumpTest : public FernTest {};

__attribute__((noinline)) void wait_here() { fern::sleep(10s); }

std::string dumped() {
  std::ostringstream out;
  fern::dump(out);
  return out.str();
}

TEST_F(DumpTest, NamesEveryGreenletItsStateAndWhatItWaitsOn) {
  auto sleeper = fern::spawn(fern::SpawnOptions{.name = "sleeper"}, wait_here);
  auto joiner = fern::spawn(fern::SpawnOptions{.name = "joiner"}, [&] { sleeper.join(); });
  fern::yield();
  auto fresh = fern::spawn(fern::SpawnOptions{.name = "fresh"}, [] {});
  std::string text = dumped();
  EXPECT_TRUE(says(text, "main (id 0): running")) << text;
  EXPECT_TRUE(says(text, "sleeper (id")) << text;
  EXPECT_TRUE(says(text, "waits in sleep()")) << text;
  EXPECT_TRUE(says(text, "waits in join() on " + std::to_string(sleeper.id()))) << text;
  EXPECT_TRUE(says(text, "fresh (id " + std::to_string(fresh.id()) + "): not started")) << text;
  fern::killall({sleeper, joiner, fresh});
}

TEST_F(DumpTest, ShowsTheFunctionsOnAParkedStack) {
  auto sleeper = fern::spawn(wait_here);
  fern::yield();
  std::string text = dumped();
  EXPECT_TRUE(says(text, "fern::sleep(fern::Deadline)")) << text;
  sleeper.kill();
}

TEST_F(DumpTest, LeavesParkedAndReadyGreenletsAsTheyWere) {
  int rounds = 0;
  auto ready = fern::spawn([&] {
    for (int i = 0; i < 10; ++i) {
      ++rounds;
      fern::yield();
    }
  });
  auto parked = fern::spawn([] {
    try {
      fern::sleep(10s);
    } catch (const fern::GreenletExit&) {
      return 7;
    }
    return 0;
  });
  for (int i = 0; i < 5; ++i) {
    fern::yield();
    dumped();
  }
  ready.join();
  parked.kill();
  EXPECT_EQ(rounds, 10);
  EXPECT_EQ(parked.get(), 7);
}

TEST_F(DumpTest, WorksFromInsideAGreenletAndInACatchBlock) {
  std::string text;
  auto inner = fern::spawn([&] {
    try {
      throw 1;
    } catch (int) {
      text = dumped();
    }
  });
  inner.get();
  EXPECT_TRUE(says(text, "main (id 0): waits in join()")) << text;
}

TEST_F(DumpTest, StatsCountWhatIsAliveAndWhatIsOnlyHeld) {
  fern::Stats before = fern::stats();
  auto alive = fern::spawn([] { fern::sleep(10s); });
  auto held = fern::spawn([] { return 1; });
  fern::yield();
  fern::Stats during = fern::stats();
  EXPECT_EQ(during.greenlets, before.greenlets + 1);
  EXPECT_EQ(during.kept, before.kept + 1);
  EXPECT_GE(during.switches, before.switches + 2);
  alive.kill();
}

}  // namespace
