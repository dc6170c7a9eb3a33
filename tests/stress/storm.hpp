#pragma once

// A storm: hundreds of greenlets of two hubs use every kind of meeting point and socket while they
// are killed and timed out at random. A Trouble is one kind; it counts what it gives and takes, so
// that afterwards it can tell whether a permit, an item, a byte or a lock was lost or doubled.

#include <fern/deadline.hpp>
#include <fern/timeout.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace storm {

// Dice throws what the storm does next; each greenlet has its own, made from the storm's seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed)
      : engine_(static_cast<std::uint_fast32_t>(seed % 2147483646 + 1)) {}

  int below(int n) { return static_cast<int>(engine_() % static_cast<std::uint_fast32_t>(n)); }
  bool one_in(int n) { return below(n) == 0; }

  // deadline() is none, one that has passed, or one within the next 2 ms.
  fern::Deadline deadline() {
    switch (below(4)) {
      case 0:
        return {};
      case 1:
        return fern::Deadline::past();
      default:
        return std::chrono::microseconds(below(2000));
    }
  }

 private:
  std::minstd_rand engine_;
};

struct Trouble {
  explicit Trouble(std::string name) : name(std::move(name)) {}
  Trouble(const Trouble&) = delete;
  Trouble& operator=(const Trouble&) = delete;
  virtual ~Trouble() = default;

  // touch() is one use, from any hub. It may be killed or timed out wherever it waits.
  virtual void touch(Dice& dice) = 0;

  // open() lets go those who wait for what nobody will bring any more. It must not hand out what
  // waiters get by right: one that lost its permit has to be found waiting.
  virtual void open() {}

  // check() says what is wrong, "" if nothing, once everybody has left.
  virtual std::string check() = 0;

  const std::string name;
};

// Tally is what several threads count.
using Tally = std::atomic<std::int64_t>;

// differ() says so when two counts that must agree do not.
inline std::string differ(const char* what, std::int64_t a, const char* from, std::int64_t b) {
  if (a == b) return {};
  return std::string(what) + " " + std::to_string(a) + ", " + from + " " + std::to_string(b);
}

using Troubles = std::vector<std::unique_ptr<Trouble>>;
void add_locks(Troubles& troubles);
void add_signals(Troubles& troubles);
void add_queues(Troubles& troubles);
void add_world(Troubles& troubles);

}  // namespace storm
