// What does it cost to run somebody else? A greenlet's yield and spawn beside the limit, which is
// the raw jump between two stacks, and beside what OS threads pay for the same.
//
// The process is bound to one processor, so that no row gains by a second one. Every row counts
// what it did in the greenlets or threads themselves, and fails if the count is not what it must
// be.
#include <benchmark/benchmark.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <fern/greenlet.hpp>
#include <fern/raw_greenlet.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "limits.hpp"

namespace {

// An item is one switch from one task to the next, unless said.
using limits::conclude;

BENCHMARK(limits::raw_jump)->Name("raw_jump");

// ---- greenlets ----------------------------------------------------------------------------------

// So many greenlets yield in turn, each so often that starting them does not count.
void yield(benchmark::State& state) {
  constexpr std::int64_t turns = 2'000;
  const auto count = state.range(0);
  std::int64_t counted = 0;
  std::vector<fern::Greenlet<void>> greenlets;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < count; ++i) {
      greenlets.push_back(fern::spawn([&] {
        for (std::int64_t turn = 0; turn < turns; ++turn) {
          ++counted;
          fern::yield();
        }
      }));
    }
    for (auto& greenlet : greenlets) {
      greenlet.join();
    }
    greenlets.clear();
  }
  const auto yields = static_cast<std::int64_t>(state.iterations()) * count * turns;
  conclude(state, yields, counted, yields);
}
BENCHMARK(yield)->Arg(2)->Arg(1000);

// Two that yield at different places in the code. The processor expects each return to go where the
// last call came from, which was the other one's place: who comes back by a return pays for a wrong
// guess.
void yield_elsewhere(benchmark::State& state) {
  std::int64_t counted = 0;
  bool stop = false;
  const auto other = fern::spawn([&] {
    while (!stop) {
      ++counted;
      fern::yield();
    }
  });
  for (auto _ : state) {
    fern::yield();
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  const auto seen = counted;
  stop = true;
  other.join();
  conclude(state, rounds * 2, seen, rounds);
}
BENCHMARK(yield_elsewhere);

// Two that switch by hand: to and fro is two switches.
void raw_switch(benchmark::State& state) {
  std::int64_t counted = 0;
  {
    const fern::RawGreenlet other([&] {
      const auto main = fern::getcurrent().parent();
      for (;;) {
        ++counted;
        main.switch_to();
      }
    });
    for (auto _ : state) {
      other.switch_to();
    }
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds * 2, counted, rounds);
}
BENCHMARK(raw_switch);

// The same with a number each way; the count is the sum of what came back.
void raw_switch_value(benchmark::State& state) {
  std::int64_t counted = 0;
  {
    const fern::RawGreenlet other([&](std::int64_t step) {
      const auto main = fern::getcurrent().parent();
      for (;;) {
        step = main.switch_to(step).take<std::int64_t>();
      }
    });
    for (auto _ : state) {
      counted += other.switch_to(std::int64_t{1}).take<std::int64_t>();
    }
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds * 2, counted, rounds);
}
BENCHMARK(raw_switch_value);

// An item is one greenlet: spawned, run to its end and joined.
void spawn_join(benchmark::State& state) {
  std::int64_t counted = 0;
  for (auto _ : state) {
    fern::spawn([&] { ++counted; }).join();
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds, counted, rounds);
}
BENCHMARK(spawn_join);

// ---- OS threads
// -----------------------------------------------------------------------------------

// Two threads that wake each other in turn: the ball says whose turn it is, and -1 ends the game.
class CondvarBall {
 public:
  void pass(int to) {
    const std::lock_guard lock(mutex_);
    turn_ = to;
    changed_.notify_one();
  }
  bool wait(int me) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return turn_ == me || turn_ < 0; });
    return turn_ == me;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int turn_ = 0;
};

class FutexBall {
 public:
  void pass(int to) {
    turn_.store(to, std::memory_order_release);
    call(FUTEX_WAKE_PRIVATE, 1);
  }
  bool wait(int me) {
    for (;;) {
      const int turn = turn_.load(std::memory_order_acquire);
      if (turn == me || turn < 0) {
        return turn == me;
      }
      call(FUTEX_WAIT_PRIVATE, turn);
    }
  }

 private:
  void call(int operation, int value) {
    static_assert(sizeof turn_ == sizeof(int));
    ::syscall(SYS_futex, &turn_, operation, value, nullptr, nullptr, 0);
  }
  std::atomic<int> turn_{0};
};

class PipeBall {
 public:
  PipeBall() {
    if (::pipe(ends_[0]) != 0 || ::pipe(ends_[1]) != 0) {
      throw std::bad_alloc();
    }
  }
  PipeBall(const PipeBall&) = delete;
  PipeBall& operator=(const PipeBall&) = delete;
  ~PipeBall() {
    for (auto& pipe : ends_) {
      ::close(pipe[0]);
      ::close(pipe[1]);
    }
  }
  void pass(int to) {
    const char byte = to < 0 ? 'q' : 'b';
    if (::write(ends_[to < 0 ? 1 : to][1], &byte, 1) != 1) {
      std::abort();
    }
  }
  bool wait(int me) {
    char byte = 'q';
    return ::read(ends_[me][0], &byte, 1) == 1 && byte == 'b';
  }

 private:
  int ends_[2][2] = {};
};

template <class Ball>
void ping_pong(benchmark::State& state) {
  Ball ball;
  std::int64_t counted = 0;
  std::thread other([&] {
    while (ball.wait(1)) {
      ++counted;
      ball.pass(0);
    }
  });
  for (auto _ : state) {
    ball.pass(1);
    ball.wait(0);
  }
  ball.pass(-1);
  other.join();
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds * 2, counted, rounds);
}
BENCHMARK(ping_pong<CondvarBall>)->Name("thread_condvar")->UseRealTime();
BENCHMARK(ping_pong<FutexBall>)->Name("thread_futex")->UseRealTime();
BENCHMARK(ping_pong<PipeBall>)->Name("thread_pipe")->UseRealTime();

void thread_create_join(benchmark::State& state) {
  std::int64_t counted = 0;
  for (auto _ : state) {
    std::thread([&] { ++counted; }).join();
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds, counted, rounds);
}
BENCHMARK(thread_create_join)->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  limits::bind_to_one_processor();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 2;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
