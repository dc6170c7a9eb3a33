// Everything at once, killed and timed out at random, across two hubs.
//
// FERN_STORM_SECONDS says for how long (60), FERN_STORM_SEED from which seed: the seed of a failure
// is in its message. A storm is not exactly repeatable, since two threads take part.
#include <fern/debug.hpp>
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "stress/storm.hpp"
#include "support.hpp"

using namespace std::chrono_literals;

namespace storm {
namespace {

constexpr int hubs = 2;
constexpr int greenlets_a_hub = 500;

std::int64_t setting(const char* name, std::int64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::atoll(value);
}

// Thrown by a kill that is no GreenletExit.
struct Struck {};

// Roster has the handles of everybody, so that each hub's killer can reach into the other.
class Roster {
 public:
  explicit Roster(int places) : places_(static_cast<std::size_t>(places)) {}
  fern::AnyGreenlet at(int place) {
    std::lock_guard guard(mutex_);
    return places_[static_cast<std::size_t>(place)];
  }
  void put(int place, fern::AnyGreenlet greenlet) {
    std::unique_lock guard(mutex_);
    std::swap(places_[static_cast<std::size_t>(place)], greenlet);
    guard.unlock();  // the old handle goes without it
  }

 private:
  std::mutex mutex_;
  std::vector<fern::AnyGreenlet> places_;
};

class Storm {
 public:
  Storm(std::uint64_t seed, std::chrono::nanoseconds length)
      : seed_(seed), end_(std::chrono::steady_clock::now() + length) {
    add_locks(troubles_);
    add_signals(troubles_);
    add_queues(troubles_);
    add_world(troubles_);
  }

  // One hub's part, in its thread: its greenlets, and whoever kills and replaces them.
  void rage(int hub) {
    int first = hub * greenlets_a_hub;
    Dice dice(seed_ + static_cast<std::uint64_t>(hub) + 1);
    for (int i = 0; i < greenlets_a_hub; ++i) replace(first + i);
    while (std::chrono::steady_clock::now() < end_) {
      for (int i = 0; i < 20; ++i) strike(dice);
      for (int i = 0; i < greenlets_a_hub; ++i) {
        if (roster_.at(first + i).ready()) replace(first + i);
      }
      fern::sleep(std::chrono::microseconds(dice.below(500)));
    }
    over_ = true;
    if (hub == 0) {
      for (auto& trouble : troubles_) trouble->open();
    }
    for (int i = 0; i < greenlets_a_hub; ++i) leave(first + i);
  }

  std::string check() {
    std::string wrong;
    for (auto& trouble : troubles_) {
      std::string each = trouble->check();
      if (!each.empty()) wrong += trouble->name + ": " + each + "; ";
    }
    return wrong;
  }

  std::int64_t kills() const { return kills_; }
  std::int64_t touches() const { return touches_; }

 private:
  void replace(int place) {
    std::uint64_t seed = seed_ + static_cast<std::uint64_t>(++born_) * 7919;
    roster_.at(place).exception();  // read: whoever was struck need not say so on stderr
    roster_.put(place, fern::spawn([this, seed] { live(Dice(seed)); }));
  }

  void live(Dice dice) {
    while (!over_) {
      auto& trouble =
          *troubles_[static_cast<std::size_t>(dice.below(static_cast<int>(troubles_.size())))];
      try {
        if (dice.one_in(4)) {
          fern::Timeout scope{std::chrono::microseconds(dice.below(3000))};
          trouble.touch(dice);
        } else {
          trouble.touch(dice);
        }
      } catch (const fern::TimeoutError&) {
      }
      ++touches_;
      fern::yield();
    }
  }

  void strike(Dice& dice) {
    fern::AnyGreenlet victim = roster_.at(dice.below(hubs * greenlets_a_hub));
    if (!victim.valid()) return;
    fern::KillOptions options{.block = dice.one_in(8), .deadline = dice.deadline()};
    if (dice.one_in(3)) options.exception = std::make_exception_ptr(Struck());
    victim.kill(options);
    ++kills_;
  }

  // At the end everybody leaves by himself: who cannot has lost what he waits for.
  void leave(int place) {
    fern::AnyGreenlet last = roster_.at(place);
    roster_.put(place, {});
    if (last.join(20s * setting("FERN_TESTS_PATIENCE", 1))) {
      last.exception();
      return;
    }
    fern::dump(std::cerr);
    std::cerr << "a greenlet of the storm hangs; seed " << seed_ << '\n';
    std::abort();
  }

  std::uint64_t seed_;
  std::chrono::steady_clock::time_point end_;
  Troubles troubles_;
  Roster roster_{hubs * greenlets_a_hub};
  std::atomic<bool> over_{false};
  Tally born_{0};
  Tally kills_{0};
  Tally touches_{0};
};

class KillStorm : public FernTest {
 protected:
  KillStorm() { may_keep_heap("the pools of stacks, and the threads of in_thread"); }
};

}  // namespace
}  // namespace storm

using storm::KillStorm;

TEST_F(KillStorm, LosesNoPermitItemByteLockOrStack) {
  auto seed = static_cast<std::uint64_t>(
      storm::setting("FERN_STORM_SEED", std::random_device()() & 0x7fffffff));
  auto length = std::chrono::seconds(storm::setting("FERN_STORM_SECONDS", 60));
  watch_longer(length);
  SCOPED_TRACE("seed " + std::to_string(seed));
  {
    storm::Storm storm(seed, length);
    std::thread other([&] {
      storm.rage(1);
      EXPECT_EQ(fern::stats().greenlets, 0u);
    });
    storm.rage(0);
    other.join();
    EXPECT_EQ(storm.check(), "");
    std::cout << storm.touches() << " uses, " << storm.kills() << " kills, seed " << seed << '\n';
    EXPECT_GT(storm.kills(), 0);
  }
  fern::yield();
  fern::Stats after = fern::stats();
  EXPECT_EQ(after.stacks, after.free_stacks);
  EXPECT_EQ(after.kept, 0u);
}
