// The parking lot alone: no wrapper is linked, so TSan sees it as well.
#include "monkey/lot.hpp"

#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/native.hpp"
#include "core/hub.hpp"
#include "monkey/handlers.hpp"
#include "monkey/state.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
namespace lot = fern::monkey::lot;
using lot::End;
using lot::Word;

// What the lot asks of its surroundings: threads are green, and nobody's wait is interrupted.
namespace fern::monkey {
constinit std::atomic<unsigned> patched{static_cast<unsigned>(Part::Threads)};
Interrupts::Interrupts(By by) noexcept : by_(by) {}
Interrupts::~Interrupts() = default;
bool Interrupts::came() const noexcept { return false; }
}  // namespace fern::monkey

namespace {

class LotTest : public FernTest {
 protected:
  LotTest() { may_keep_heap("hubs of threads are kept"); }
  ~LotTest() override { EXPECT_EQ(lot::waiting(), 0U) << "somebody is left in the lot"; }

  // Lets everybody else come to where they wait.
  static void settle() {
    for (int i = 0; i < 5; ++i) fern::yield();
  }
};

int wait(const Word& word, std::uint32_t expected = 0, fern::Deadline limit = {}) {
  return lot::wait(word, expected, "a test", limit);
}

// A thread that waits at the word by itself: natively, or in a hub of its own.
class Waits {
 public:
  enum Where { Native, Hub };

  Waits(Where where, const Word& word) {
    std::size_t before = lot::waiting();
    thread_ = std::thread([this, where, &word] {
      if (where == Hub) {
        result = fern::spawn([&] { return wait(word); }).get();
      } else {
        result = wait(word);
      }
    });
    while (lot::waiting() == before) std::this_thread::yield();
  }
  void join() { thread_.join(); }

  std::atomic<int> result{-1};

 private:
  std::thread thread_;
};

}  // namespace

TEST_F(LotTest, WakesGreenletsFirstComeFirst) {
  Word word{0};
  std::vector<int> order;
  std::vector<fern::Greenlet<void>> waiters;
  for (int i = 0; i < 5; ++i) {
    waiters.push_back(fern::spawn([&, i] {
      EXPECT_EQ(wait(word), 0);
      order.push_back(i);
    }));
  }
  settle();
  EXPECT_EQ(lot::wake(&word, 2), 2);
  settle();
  EXPECT_EQ(order, (std::vector{0, 1}));
  EXPECT_EQ(lot::wake(&word, INT_MAX), 3);
  fern::joinall(waiters);
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
  EXPECT_EQ(lot::wake(&word, INT_MAX), 0);
}

TEST_F(LotTest, AWakeBeforeTheWaitIsSeenByTheValue) {
  Word word{0};
  word = 1;
  EXPECT_EQ(lot::wake(&word, 1), 0);
  EXPECT_EQ(fern::spawn([&] { return wait(word, 0); }).get(), EAGAIN);
  fern::base::NativeScope native;
  EXPECT_EQ(wait(word, 0), EAGAIN);
}

TEST_F(LotTest, OtherAddressesAreNotWoken) {
  Word words[2]{};
  auto waiter = fern::spawn([&] { return wait(words[0]); });
  settle();
  EXPECT_EQ(lot::wake(&words[1], INT_MAX), 0);
  EXPECT_EQ(lot::wake(&words[0], INT_MAX), 1);
  EXPECT_EQ(waiter.get(), 0);
}

TEST_F(LotTest, NativeThreadsAndHubsWaitAtTheSameWord) {
  Word word{0};
  Waits native(Waits::Native, word);
  Waits hub(Waits::Hub, word);
  auto here = fern::spawn([&] { return wait(word); });
  settle();
  EXPECT_EQ(lot::wake(&word, INT_MAX), 3);
  native.join();
  hub.join();
  EXPECT_EQ(native.result, 0);
  EXPECT_EQ(hub.result, 0);
  EXPECT_EQ(here.get(), 0);
}

TEST_F(LotTest, ANativeThreadWakesAGreenlet) {
  Word word{0};
  std::thread waker([&] {
    while (lot::waiting() == 0) std::this_thread::yield();
    EXPECT_EQ(lot::wake(&word, 1), 1);
  });
  EXPECT_EQ(wait(word), 0);  // main, too
  waker.join();
}

TEST_F(LotTest, OnlyABitInCommonWakes) {
  Word word{0};
  auto low = fern::spawn([&] { return lot::wait(word, 0, "low", {}, End::Refuse, 1); });
  auto high = fern::spawn([&] { return lot::wait(word, 0, "high", {}, End::Refuse, 6); });
  settle();
  EXPECT_EQ(lot::wake(&word, INT_MAX, 8), 0);
  EXPECT_EQ(lot::wake(&word, 1, 4), 1);
  EXPECT_EQ(high.get(), 0);
  EXPECT_FALSE(low.dead());
  EXPECT_EQ(lot::wake(&word, 1), 1);
  EXPECT_EQ(low.get(), 0);
}

TEST_F(LotTest, ADeadlineEndsAWait) {
  Word word{0};
  auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(fern::spawn([&] { return wait(word, 0, 5ms); }).get(), ETIMEDOUT);
  {
    fern::base::NativeScope native;
    EXPECT_EQ(wait(word, 0, 5ms), ETIMEDOUT);
    EXPECT_EQ(wait(word, 0, fern::Deadline::past()), ETIMEDOUT);
  }
  EXPECT_GE(std::chrono::steady_clock::now() - began, 10ms);
}

TEST_F(LotTest, ErrnoIsKept) {
  Word word{0};
  errno = 77;
  wait(word, 0, 1ms);
  EXPECT_EQ(errno, 77);
  lot::wake(&word, 1);
  EXPECT_EQ(errno, 77);
}

// --- ends -------------------------------------------------------------------------------------

TEST_F(LotTest, AKillEndsAWaitThatMayBeRefused) {
  Word word{0};
  int refused = -1;
  int ignored = -1;
  auto first = fern::spawn([&] { refused = wait(word); });
  auto second = fern::spawn([&] { ignored = lot::wait(word, 0, "a lock", {}, End::Ignore); });
  settle();
  first.kill({.block = false});
  second.kill({.block = false});
  settle();
  EXPECT_EQ(refused, ECANCELED);
  EXPECT_EQ(ignored, -1);
  EXPECT_EQ(lot::wake(&word, INT_MAX), 1);
  fern::joinall(std::vector<fern::AnyGreenlet>{first, second});
  EXPECT_EQ(ignored, 0);
}

// Who is woken has the wake-up, whatever else is to end it.
TEST_F(LotTest, OneWhoIsKilledWhenItIsWokenKeepsTheWakeUp) {
  Word word{0};
  int results[2] = {-1, -1};
  auto first = fern::spawn([&] { results[0] = wait(word); });
  auto second = fern::spawn([&] { results[1] = wait(word); });
  settle();
  EXPECT_EQ(lot::wake(&word, 1), 1);
  first.kill({.block = false});
  settle();
  EXPECT_EQ(results[0], 0);
  EXPECT_EQ(results[1], -1);
  // The other way round it goes to the second.
  second.kill({.block = false});
  EXPECT_EQ(lot::wake(&word, 1), 1);
  settle();
  EXPECT_EQ(results[1], 0);
}

TEST_F(LotTest, OneWhoIsKilledBeforeItRunsLeavesTheWakeUpToOthers) {
  Word word{0};
  int results[2] = {-1, -1};
  auto first = fern::spawn([&] { results[0] = wait(word); });
  auto second = fern::spawn([&] { results[1] = wait(word); });
  settle();
  first.kill({.block = false});
  settle();
  EXPECT_EQ(lot::wake(&word, 1), 1);
  settle();
  EXPECT_EQ(results[0], ECANCELED);
  EXPECT_EQ(results[1], 0);
  fern::joinall(std::vector<fern::AnyGreenlet>{first, second});
}

TEST_F(LotTest, ATimeoutScopeEndsAWaitAndIsThrownAfterwards) {
  Word word{0};
  auto greenlet = fern::spawn([&] {
    fern::Timeout timeout(2ms);
    EXPECT_EQ(wait(word), ECANCELED);
    EXPECT_THROW(fern::sleep(1h), fern::TimeoutError);
  });
  greenlet.join();
  EXPECT_TRUE(greenlet.successful());
}

// --- moves ------------------------------------------------------------------------------------

TEST_F(LotTest, RequeueWakesSomeAndMovesSome) {
  Word from{0};
  Word to{0};
  std::vector<int> woken;
  std::vector<fern::Greenlet<void>> waiters;
  for (int i = 0; i < 5; ++i) {
    waiters.push_back(fern::spawn([&, i] {
      EXPECT_EQ(wait(from), 0);
      woken.push_back(i);
    }));
  }
  settle();
  EXPECT_EQ(lot::requeue(&from, 1, &to, 2), 3);
  settle();
  EXPECT_EQ(woken, (std::vector{0}));
  EXPECT_EQ(lot::wake(&to, INT_MAX), 2);
  settle();
  EXPECT_EQ(woken, (std::vector{0, 1, 2}));
  EXPECT_EQ(lot::wake(&from, INT_MAX), 2);
  fern::joinall(waiters);
}

TEST_F(LotTest, RequeueLooksAtTheWordWithTheBucketsLocked) {
  Word from{0};
  Word to{0};
  auto waiter = fern::spawn([&] { return wait(from); });
  settle();
  EXPECT_EQ(lot::requeue_if(from, 1, 0, &to, 1), -EAGAIN);
  EXPECT_EQ(lot::requeue_if(from, 0, 0, &to, 1), 1);
  EXPECT_EQ(lot::wake(&to, 1), 1);
  EXPECT_EQ(waiter.get(), 0);
}

// The word changes between the look at it and the move, and somebody waits with the new value.
TEST_F(LotTest, OneThatWaitsWithAnotherValueIsNotMoved) {
  Word from{0};
  Word to{0};
  std::atomic<std::uint32_t> expected{0};
  std::atomic<bool> done{false};
  std::thread waiter([&] {
    for (int i = 0; i < 3000; ++i) {
      expected = from.load() + 1;
      from.fetch_add(1);
      EXPECT_EQ(wait(from, expected), 0);
    }
    done = true;
  });
  for (std::uint32_t i = 0; !done; ++i) {
    std::uint32_t seen = from.load();
    if (lot::requeue_if(from, seen, 0, &to, 1) > 0) {
      EXPECT_EQ(seen, expected);
      EXPECT_EQ(lot::wake(&to, 1), 1);
    }
    if (i % 64 == 0) std::this_thread::yield();
  }
  waiter.join();
}

TEST_F(LotTest, OneThatHasBeenMovedCanStillLeave) {
  Word from{0};
  Word words[40]{};
  std::vector<fern::Greenlet<int>> waiters;
  for (Word& to : words) {
    waiters.push_back(fern::spawn([&] { return wait(from, 0, 20ms); }));
    waiters.push_back(fern::spawn([&] { return wait(from); }));
    settle();
    EXPECT_EQ(lot::requeue(&from, 0, &to, 2), 2);
  }
  for (std::size_t i = 1; i < waiters.size(); i += 2) waiters[i].kill({.block = false});
  for (std::size_t i = 0; i < waiters.size(); i += 2) EXPECT_EQ(waiters[i].get(), ETIMEDOUT);
  for (std::size_t i = 1; i < waiters.size(); i += 2) waiters[i].join();
  for (Word& to : words) EXPECT_EQ(lot::wake(&to, INT_MAX), 0);
}

// --- many -------------------------------------------------------------------------------------

// More addresses than buckets.
TEST_F(LotTest, ManyAddressesShareABucket) {
  constexpr std::size_t count = 4000;
  auto words = std::make_unique<Word[]>(count);
  std::size_t woken = 0;
  std::vector<fern::Greenlet<void>> waiters;
  for (std::size_t i = 0; i < count; ++i) {
    waiters.push_back(fern::spawn([&, i] {
      EXPECT_EQ(wait(words[i]), 0);
      EXPECT_EQ(words[i], 1U);
      ++woken;
    }));
  }
  settle();
  EXPECT_EQ(lot::waiting(), count);
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t k = (i * 1237) % count;
    words[k] = 1;
    EXPECT_EQ(lot::wake(&words[k], INT_MAX), 1);
  }
  fern::joinall(waiters);
  EXPECT_EQ(woken, count);
}

// --- handlers of signals ----------------------------------------------------------------------

namespace {

Word tick{0};
std::atomic<int> ticks{0};
std::atomic<bool> stopped{false};

// As sem_post does, natively.
void on_tick(int) {
  fern::base::NativeScope native;
  int saved = errno;
  tick.fetch_add(1);
  lot::wake(&tick, 1);
  ++ticks;
  errno = saved;
}

struct TickTimer {
  TickTimer() {
    struct sigaction action{};
    action.sa_handler = on_tick;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    sigaction(SIGUSR1, &action, nullptr);
    target = pthread_self();
    // TSan holds signals back until the next blocking call: this one comes at any instruction.
    ticker = std::thread([this] {
      while (!stopped) {
        pthread_kill(target, SIGUSR1);
        std::this_thread::sleep_for(20us);
      }
    });
  }
  TickTimer(const TickTimer&) = delete;
  TickTimer& operator=(const TickTimer&) = delete;
  ~TickTimer() {
    stopped = true;
    ticker.join();
    signal(SIGUSR1, SIG_IGN);
  }
  pthread_t target;
  std::thread ticker;
};

}  // namespace

// The handler comes while its thread is inside of a bucket as often as not, and of the same one.
TEST_F(LotTest, AHandlerOfASignalWakesWhereverItComes) {
  TickTimer timer;
  bool done = false;
  auto busy = fern::spawn([&] {
    while (!done) {
      for (int i = 0; i < 1000; ++i) {
        wait(tick, tick.load() + 1);  // never waits
        lot::requeue(&tick, 0, &tick, INT_MAX);
      }
      fern::yield();
    }
  });
  for (int i = 0; i < 200; ++i) {
    std::uint32_t seen = tick.load();
    while (tick.load() == seen) wait(tick, seen);
  }
  done = true;
  busy.join();
  EXPECT_GE(ticks, 200);
}

// --- the storm --------------------------------------------------------------------------------

namespace {

// A semaphore as the monkey's: the value, and the lot.
struct Permits {
  Word value{0};

  bool try_take() {
    std::uint32_t seen = value.load();
    while (seen > 0) {
      if (value.compare_exchange_weak(seen, seen - 1)) return true;
    }
    return false;
  }
  int take(fern::Deadline limit, End end) {
    while (!try_take()) {
      int error = lot::wait(value, 0, "a permit", limit, end);
      if (error != 0 && error != EAGAIN) return error;
    }
    return 0;
  }
  void give() {
    value.fetch_add(1);
    lot::wake(&value, 1);
  }
};

// What the threads of a storm count together.
struct Tally {
  std::atomic<int> taken{0};
  std::atomic<int> left{0};  // that still want one
};

// A hub's part: greenlets that take a permit, and are killed or run out of time meanwhile.
void storm(Permits& permits, Tally& tally, int count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<fern::Greenlet<void>> greenlets;
  for (int i = 0; i < count; ++i) {
    auto time = std::chrono::microseconds(random() % 20'000);
    bool limited = random() % 3 == 0;
    End end = random() % 4 == 0 ? End::Ignore : End::Refuse;
    greenlets.push_back(fern::spawn([&, time, limited, end] {
      fern::Deadline limit;
      if (limited) limit = time;
      if (permits.take(limit, end) == 0) ++tally.taken;
      --tally.left;
    }));
  }
  fern::yield();  // one that is killed before it has begun wants nothing
  for (int round = 0; round < count; ++round) {
    auto& victim = greenlets[random() % greenlets.size()];
    if (random() % 3 == 0) victim.kill({.block = false});
    if (random() % 7 == 0) fern::yield();
    if (random() % 97 == 0) fern::sleep(std::chrono::microseconds(random() % 300));
  }
  fern::joinall(greenlets);
}

}  // namespace

// Permits are given until nobody wants one: those that are left over then are what was not taken.
// A wake-up that is lost leaves somebody waiting beside a permit for ever, which hangs.
TEST_F(LotTest, AStormOfKillsAndTimeoutsLosesNothing) {
  watch_longer(60s);
  const int each = fern::testing::under_valgrind() ? 100 : 1000;
  constexpr int natives = 4;
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Permits permits;
    Tally tally;
    tally.left = 3 * each + natives * each / 4;
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] { storm(permits, tally, each, seed * 10 + i); });
    }
    for (int i = 0; i < natives; ++i) {
      threads.emplace_back([&] {
        for (int k = 0; k < each / 4; ++k) {
          if (permits.take(k % 2 == 0 ? fern::Deadline(200us) : fern::Deadline(), End::Refuse) == 0)
            ++tally.taken;
          --tally.left;
        }
      });
    }
    int given = 0;
    threads.emplace_back([&] {
      std::mt19937 random(seed);
      while (tally.left > 0) {
        // One at a time at the end, so that each has to reach somebody.
        if (permits.value == 0) {
          permits.give();
          ++given;
        }
        if (random() % 5 == 0) std::this_thread::yield();
      }
    });
    storm(permits, tally, each, seed * 10 + 9);
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(given, tally.taken + static_cast<int>(permits.value.load()));
  }
}
