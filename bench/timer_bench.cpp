// How late does a sleep end on an idle hub, and what does a deadline cost that is never reached?
//
// A row of sleep_late is the median lateness of 51 sleeps; none may be early. The others measure
// the start and the cancelling of a Timeout while so many timers are pending.
#include <benchmark/benchmark.h>
#include <fern/deadline.hpp>
#include <fern/greenlet.hpp>
#include <fern/timeout.hpp>
#include <fern/wait.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

#include "rows.hpp"

namespace {

using Clock = std::chrono::steady_clock;

void sleep_late(benchmark::State& state) {
  const std::chrono::microseconds duration(state.range(0));
  std::array<std::int64_t, 51> late{};
  for (auto _ : state) {
    for (auto& one : late) {
      auto end = Clock::now() + duration;
      fern::sleep(duration);
      one = (Clock::now() - end).count();
    }
    std::sort(late.begin(), late.end());
    if (late.front() < 0) state.SkipWithError("a sleep ended early");
    state.SetIterationTime(static_cast<double>(late[late.size() / 2]) / 1e9);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(sleep_late)->Arg(100)->Arg(1'000)->Arg(7'300)->UseManualTime()->Iterations(3);

void timeout_start_cancel(benchmark::State& state) {
  std::vector<fern::Greenlet<void>> sleepers;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    sleepers.push_back(fern::spawn([i] { fern::sleep(std::chrono::seconds(1000 + i % 1000)); }));
  }
  fern::yield();
  std::int64_t counted = 0;
  const fern::Deadline later = std::chrono::seconds(500);
  for (auto _ : state) {
    fern::Timeout timeout(later);
    benchmark::DoNotOptimize(timeout);
    ++counted;
  }
  rows::conclude(state, counted, counted, static_cast<std::int64_t>(state.iterations()));
  fern::killall(sleepers);
}
BENCHMARK(timeout_start_cancel)->RangeMultiplier(10)->Range(1, 1'000'000);

}  // namespace

int main(int argc, char** argv) { return rows::run_on_one_processor(argc, argv); }
