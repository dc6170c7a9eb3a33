#include "support.hpp"

#include <fern/async_result.hpp>
#include <fern/channel.hpp>
#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/queue.hpp>
#include <fern/select.hpp>
#include <fern/semaphore.hpp>
#include <fern/wait.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <latch>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using fern::Channel;
using fern::Greenlet;
using fern::on;
using fern::on_get;
using fern::on_put;
using fern::Queue;
using fern::select;
using fern::spawn;

class SelectThreadsTest : public FernTest {
 protected:
  SelectThreadsTest() { may_keep_heap("hubs are kept for later threads"); }
};

TEST_F(SelectThreadsTest, APlainThreadSelects) {
  Channel<int> channel;
  Queue<int> queue;
  fern::Event done;
  std::jthread thread([&] {
    int sum = 0;
    bool more = true;
    auto add = [&](int value) { sum += value; };
    while (more) select(on_get(channel, add), on_get(queue, add), on(done, [&] { more = false; }));
    EXPECT_EQ(sum, 3);
  });
  channel.put(1);
  queue.put(2);
  while (!queue.empty()) fern::yield();
  done.set();
}

// put A or get B in one thread, get A or put B in the other: each time both have done the same.
TEST_F(SelectThreadsTest, TwoSelectsInTwoThreadsMeetEachOther) {
  constexpr int rounds = 3000;
  Channel<int> a;
  Channel<int> b;
  auto run = [&](bool first) {
    std::vector<std::size_t> chosen;
    for (int i = 0; i < rounds; ++i) {
      auto check = [&](int value) { EXPECT_EQ(value, i); };
      chosen.push_back(first ? select(on_put(a, i), on_get(b, check))
                             : select(on_get(a, check), on_put(b, i)));
    }
    return chosen;
  };
  std::vector<std::size_t> theirs;
  std::jthread other([&] { theirs = run(false); });
  std::vector<std::size_t> ours = run(true);
  other.join();
  EXPECT_EQ(ours, theirs);
}

// Each side puts and gets in the same channel; nobody meets himself.
TEST_F(SelectThreadsTest, SelectsThatPutAndGetInOneChannelPairUp) {
  constexpr int rounds = 3000;
  Channel<int> channel;
  std::atomic<int> put{0};
  std::atomic<int> got{0};
  auto run = [&](int self) {
    for (int i = 0; i < rounds; ++i) {
      select(on_put(channel, self, [&] { ++put; }), on_get(channel, [&](int other) {
               EXPECT_NE(other, self);
               ++got;
             }));
    }
  };
  std::jthread other(run, 1);
  run(2);
  other.join();
  EXPECT_EQ(put, rounds);
  EXPECT_EQ(got, rounds);
}

TEST_F(SelectThreadsTest, AnEventThatIsSetAndClearedFromAnotherThreadIsNotMissed) {
  Queue<int> queue;
  fern::Event pulse;
  fern::Semaphore waiting(0);
  std::jthread other([&] {
    for (int i = 0; i < 300; ++i) {
      waiting.acquire();
      queue.put(i);
      pulse.set();
      pulse.clear();
    }
  });
  // This greenlet has waited from before the pulse, for the release comes from behind it.
  for (int i = 0; i < 300; ++i) {
    auto release = spawn([&] { waiting.release(); });
    int taken = -1;
    std::size_t first = select(on_get(queue, [&](int value) { taken = value; }), on(pulse));
    if (first == 1) taken = queue.get();
    EXPECT_EQ(taken, i);
    release.join();
  }
}

TEST_F(SelectThreadsTest, TheEndOfAnotherHubsGreenletIsACase) {
  fern::Event go;
  fern::AsyncResult<Greenlet<int>> handle;
  std::jthread other([&] {
    auto greenlet = spawn([&] {
      go.wait();
      return 5;
    });
    handle.set(greenlet);
    greenlet.join();
  });
  Queue<int> queue;
  auto greenlet = handle.get();
  EXPECT_THROW(select(1ms, on_get(queue, [](int) {}), on(greenlet)), fern::TimeoutError);
  auto killed = spawn([&] { select(on_get(queue, [](int) {}), on(greenlet)); });
  fern::yield();
  killed.kill({.block = false});
  go.set();
  int value = 0;
  EXPECT_EQ(select(on_get(queue, [](int) {}), on(greenlet, [&](int& result) { value = result; })),
            1U);
  EXPECT_EQ(value, 5);
  killed.join();
}

// The seeded storm. In two threads, greenlets select puts and gets over channels and queues with
// other cases among them, are killed and come late. Every value has its own number: those that were
// put are those that were got, plus what is left in the queues at the end; nothing comes twice, and
// what a failed select was to put was not put.
class Storm {
 public:
  explicit Storm(std::uint64_t seed) : seed_(seed) {}

  void run() {
    std::latch both(2);
    {
      std::jthread other([&] { hub(1, both); });
      hub(0, both);
    }
    auto leave = [&](Queue<int>& queue) {
      while (auto value = queue.try_get()) ++got_[*value];
    };
    for (auto& queue : queues_) leave(queue);
    std::int64_t met = 0;
    for (std::size_t value = 0; value < put_.size(); ++value) {
      ASSERT_LE(put_[value], 1) << value << ", seed " << seed_;
      ASSERT_EQ(got_[value], put_[value]) << value << ", seed " << seed_;
      met += put_[value];
    }
    EXPECT_GT(met, 0);
    for (auto& channel : channels_) EXPECT_EQ(channel.balance(), 0);
  }

 private:
  static constexpr int rounds = 120;
  static constexpr int each = 24;

  void hub(int side, std::latch& both) {
    std::minstd_rand random(static_cast<unsigned>(2 * seed_) + static_cast<unsigned>(side));
    both.arrive_and_wait();
    for (int round = 0; round < rounds; ++round) {
      std::vector<Greenlet<void>> all;
      for (int i = 0; i < each; ++i) {
        int value = (side * rounds + round) * each + i;
        auto shape = static_cast<unsigned>(random() >> 3);
        all.push_back(spawn([this, value, shape] { once(value, shape); }));
      }
      for (auto turns = random() % 3; turns > 0; --turns) fern::yield();
      for (auto& greenlet : all) {
        if (random() % 4 == 0) greenlet.kill({.block = false});
      }
      if (random() % 2 == 0) {
        pulse_.set();
        pulse_.clear();
      }
      permits_.release();
      for (auto& greenlet : fern::joinall(all)) EXPECT_EQ(greenlet.exception(), nullptr);
      permits_.try_acquire();
    }
  }

  // One select, or one plain call, of a shape.
  void once(int value, unsigned shape) {
    Channel<int>& a = channels_[shape / 8 % 3];
    Channel<int>& b = channels_[shape / 32 % 3];
    Queue<int>& queue = queues_[shape / 128 % 2];
    fern::Deadline limit = shape / 256 % 4 == 0 ? 20us : 500us;
    auto got = [this](int other) { ++got_[other]; };
    auto put = [this, value] { ++put_[value]; };
    try {
      switch (shape % 8) {
        case 0:
          select(limit, on_put(a, value, put), on_get(b, got));
          break;
        case 1:
          select(limit, on_get(a, got), on_put(b, value, put), on_get(queue, got));
          break;
        case 2:
          select(limit, on_put(a, value, put), on_put(b, value, put), on_put(queue, value, put));
          break;
        case 3:
          select(limit, on_get(a, got), on_get(b, got), on(pulse_));
          break;
        case 4:
          select(limit, on_get(queue, got), on_put(a, value, put), on(permits_));
          break;
        case 5:
          fern::try_select(on_get(a, got), on_put(b, value, put), on_get(queue, got));
          break;
        case 6:
          a.put(value, limit);
          put();
          break;
        case 7:
          got(shape / 8 % 2 == 0 ? b.get(limit) : queue.get(limit));
          break;
      }
    } catch (const fern::TimeoutError&) {
    }
  }

  const std::uint64_t seed_;
  Channel<int> channels_[3];
  Queue<int> queues_[2] = {Queue<int>(1), Queue<int>(3)};
  fern::Event pulse_;
  fern::Semaphore permits_{0};
  std::vector<std::atomic<int>> put_ = std::vector<std::atomic<int>>(2 * rounds * each);
  std::vector<std::atomic<int>> got_ = std::vector<std::atomic<int>>(2 * rounds * each);
};

TEST_F(SelectThreadsTest, NothingIsLostOrDoubledInAStorm) {
  // FERN_SEED repeats one run, FERN_SEEDS does more of them.
  const char* one = std::getenv("FERN_SEED");
  const char* many = std::getenv("FERN_SEEDS");
  std::uint64_t first = one == nullptr ? 1 : std::strtoull(one, nullptr, 10);
  std::uint64_t count = one != nullptr    ? 1
                        : many == nullptr ? 16
                                          : std::strtoull(many, nullptr, 10);
  for (std::uint64_t seed = first; seed < first + count && !HasFailure(); ++seed) Storm(seed).run();
}

}  // namespace
