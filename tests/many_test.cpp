// As many greenlets as fit, at once.
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/wait.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <vector>

#include "core/hub.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using fern::testing::many;

namespace {

[[maybe_unused]] std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  return static_cast<std::size_t>(
      std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n'));
}

class Many : public FernTest {
 protected:
  Many() { may_keep_heap("the pools of stacks"); }
};

}  // namespace

TEST_F(Many, SleepAtOnceEachGuardedInAFewMappingsAndAllWake) {
  [[maybe_unused]] fern::core::Hub& hub = fern::core::Hub::current();
  [[maybe_unused]] std::size_t before = mappings();
  int asleep = 0;
  int woken = 0;
  bool go = false;
  for (int i = 0; i < many; ++i) {
    fern::spawn_raw([&] {
      ++asleep;
      while (!go) fern::sleep(200ms);
      ++woken;
    });
  }
  fern::yield();
  EXPECT_EQ(asleep, many);
  EXPECT_EQ(fern::Hub::current().greenlets(), static_cast<std::size_t>(many));
#if !defined(FERN_ASAN) && !defined(FERN_TSAN)
  // A sanitizer maps memory of its own, and guards by mprotect take two mappings each.
  if (fern::core::guard_kind() == fern::core::Guard::Install) {
    EXPECT_LE(mappings(), before + 24);
    EXPECT_EQ(hub.stacks().stats().unguarded, 0u);
  }
#endif
  go = true;
  while (woken < many) fern::sleep(10ms);
}

TEST_F(Many, AreKilledInOneGo) {
  std::vector<fern::AnyGreenlet> all;
  all.reserve(static_cast<std::size_t>(many));
  int unwound = 0;
  struct Count {
    int& unwound;
    ~Count() { ++unwound; }
  };
  for (int i = 0; i < many; ++i) {
    all.push_back(fern::spawn([&] {
      Count count{unwound};
      fern::sleep(1h);
    }));
  }
  fern::yield();
  fern::killall(all);
  EXPECT_EQ(unwound, many);
}

TEST_F(Many, JoinEachOtherInAChain) {
  fern::AnyGreenlet last;
  int order = 0;
  bool ordered = true;
  for (int i = 0; i < many; ++i) {
    last = fern::spawn([&, i, before = std::move(last)]() mutable {
      if (before.valid()) before.join();
      before = {};
      if (order++ != i) ordered = false;
    });
  }
  last.join();
  EXPECT_EQ(order, many);
  EXPECT_TRUE(ordered);
}

TEST_F(Many, EndAndBeginAgainOnTheSameStacks) {
  fern::core::Hub& hub = fern::core::Hub::current();
  for (int round = 0; round < 3; ++round) {
    std::vector<fern::AnyGreenlet> all;
    for (int i = 0; i < many; ++i) all.push_back(fern::spawn([] { fern::yield(); }));
    fern::joinall(all);
  }
  EXPECT_LE(hub.stacks().stats().made, static_cast<std::size_t>(many) + 1000);
}
