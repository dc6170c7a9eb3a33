// What do OS threads pay for what greenlets do: to run somebody else, and to begin and end one?
//
// In rows /1 both threads are bound to one processor, in rows /2 each to its own. Every row counts
// in the other thread what it did.
#include <benchmark/benchmark.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>

#include "rows.hpp"

namespace {

// Whether there are as many processors as the row asks for. Binds the row's first thread.
bool bind(benchmark::State& state) {
  if (rows::bind_to_processor(static_cast<int>(state.range(0)) - 1) && rows::bind_to_processor(0)) {
    return true;
  }
  state.SkipWithError("too few processors");
  return false;
}

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

class YieldBall {
 public:
  void pass(int to) { turn_.store(to, std::memory_order_release); }
  bool wait(int me) {
    for (;;) {
      const int turn = turn_.load(std::memory_order_acquire);
      if (turn == me || turn < 0) {
        return turn == me;
      }
      ::sched_yield();
    }
  }

 private:
  std::atomic<int> turn_{0};
};

// An item is one way: the ball passed, and the other one awake.
template <class Ball>
void ping_pong(benchmark::State& state) {
  if (!bind(state)) return;
  Ball ball;
  std::int64_t counted = 0;
  std::thread other([&] {
    rows::bind_to_processor(static_cast<int>(state.range(0)) - 1);
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
  rows::conclude(state, rounds * 2, counted, rounds);
}
BENCHMARK(ping_pong<CondvarBall>)->Name("thread_condvar")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(ping_pong<FutexBall>)->Name("thread_futex")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(ping_pong<PipeBall>)->Name("thread_pipe")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(ping_pong<YieldBall>)->Name("thread_sched_yield")->Arg(1)->UseRealTime();

// An item is one thread: created, run to its end and joined.
void thread_spawn_join(benchmark::State& state) {
  if (!bind(state)) return;
  std::int64_t counted = 0;
  for (auto _ : state) {
    std::thread([&] { ++counted; }).join();
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  rows::conclude(state, rounds, counted, rounds);
}
BENCHMARK(thread_spawn_join)->Arg(1)->UseRealTime();

}  // namespace

int main(int argc, char** argv) { return rows::run(argc, argv); }
