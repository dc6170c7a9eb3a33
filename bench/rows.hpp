#pragma once

// The work of the rows that several libraries do, counted so that a row can tell whether it was
// done. Each program registers the rows it has under the suite's names: see bench/suite.py.

#include <benchmark/benchmark.h>
#include <sched.h>

#include <cstdint>
#include <ctime>

namespace rows {

// Reports the time of one item, and fails the row if what was counted is not what it must be.
inline void conclude(benchmark::State& state, std::int64_t items, std::int64_t counted,
                     std::int64_t expected) {
  state.SetItemsProcessed(items);
  if (counted != expected) state.SkipWithError("the count is wrong");
}

// The CPU time of the process, in seconds: what others do with the machine does not count.
inline double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// Turns is one iteration of a yield row: so many tasks that each yield so many times. It is timed
// from when all have begun until the first has ended, so that neither counts.
class Turns {
 public:
  explicit Turns(std::int64_t tasks) : tasks_(tasks), turns_(tasks >= 10'000 ? 20 : 2'000) {}

  // take() is what each task does; `yield` lets the next one run.
  template <class Yield>
  void take(Yield yield) {
    if (++begun_ == tasks_) begin_ = cpu_seconds();
    while (begun_ < tasks_) yield();
    for (std::int64_t turn = 0; turn < turns_; ++turn) {
      ++counted_;
      yield();
    }
    if (ended_++ > 0) return;
    took_ = cpu_seconds() - begin_;
    timed_ = counted_;
  }

  // tell() is called when all have ended. Adds what was timed to `items`; whether all was done.
  bool tell(benchmark::State& state, std::int64_t& items) const {
    state.SetIterationTime(took_);
    items += timed_;
    return ended_ == tasks_ && counted_ == tasks_ * turns_;
  }

 private:
  std::int64_t tasks_;
  std::int64_t turns_;
  std::int64_t begun_ = 0;
  std::int64_t ended_ = 0;
  std::int64_t counted_ = 0;
  std::int64_t timed_ = 0;  // of those counted
  double begin_ = 0;
  double took_ = 0;
};

// The leaves of the tree of skynet, and their sum.
inline constexpr std::int64_t skynet_leaves = 1'000'000;
inline constexpr std::int64_t skynet_sum = skynet_leaves * (skynet_leaves - 1) / 2;

// Binds the calling thread, and those that it starts, to the first, second ... of the processors
// that the process was started with. Returns false, and changes nothing, where there are fewer.
inline bool bind_to_processor(int which) {
  static const cpu_set_t allowed = [] {
    cpu_set_t own;
    if (::sched_getaffinity(0, sizeof own, &own) != 0) CPU_ZERO(&own);
    return own;
  }();
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (!CPU_ISSET(i, &allowed) || which-- > 0) continue;
    cpu_set_t chosen;
    CPU_ZERO(&chosen);
    CPU_SET(i, &chosen);
    return ::sched_setaffinity(0, sizeof chosen, &chosen) == 0;
  }
  return false;
}

// The main() of a program of rows.
inline int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

// The same, where no row is to gain by a second processor.
inline int run_on_one_processor(int argc, char** argv) {
  bind_to_processor(0);
  return run(argc, argv);
}

}  // namespace rows
