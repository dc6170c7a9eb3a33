// What does it cost to run somebody else? A greenlet's yield and switch beside the limit, which is
// the raw jump between two stacks. Every row counts what it did in the greenlets themselves, and
// fails if the count is not what it must be.
#include <benchmark/benchmark.h>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/raw_greenlet.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "limits.hpp"

namespace {

// So many greenlets yield in turn.
void yield(benchmark::State& state) {
  const auto count = state.range(0);
  std::int64_t items = 0;
  std::int64_t wrong = 0;
  std::vector<fern::Greenlet<void>> greenlets;
  for (auto _ : state) {
    rows::Turns turns(count);
    for (std::int64_t i = 0; i < count; ++i) {
      greenlets.push_back(fern::spawn([&] { turns.take([] { fern::yield(); }); }));
    }
    for (auto& greenlet : greenlets) greenlet.join();
    greenlets.clear();
    wrong += !turns.tell(state, items);
  }
  rows::conclude(state, items, wrong, 0);
}
BENCHMARK(yield)->Arg(2)->RangeMultiplier(10)->Range(1, 1'000'000)->UseManualTime();

// The same with each greenlet's place in the ready queue drawn by lot, so that neighbours in time
// are not neighbours in memory: each waits at its gate, and the gates open in that order.
void yield_random(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  std::int64_t items = 0;
  std::int64_t wrong = 0;
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), std::minstd_rand(1));
  std::vector<fern::Greenlet<void>> greenlets;
  for (auto _ : state) {
    rows::Turns turns(state.range(0));
    const auto gates = std::make_unique<fern::Event[]>(count);
    for (std::size_t i = 0; i < count; ++i) {
      greenlets.push_back(fern::spawn([&turns, &gate = gates[i]] {
        gate.wait();
        turns.take([] { fern::yield(); });
      }));
    }
    fern::yield();
    for (const std::size_t next : order) gates[next].set();
    for (auto& greenlet : greenlets) greenlet.join();
    greenlets.clear();
    wrong += !turns.tell(state, items);
  }
  rows::conclude(state, items, wrong, 0);
}
BENCHMARK(yield_random)->Arg(10'000)->Arg(100'000)->UseManualTime();

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
  rows::conclude(state, rounds * 2, seen, rounds);
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
  rows::conclude(state, rounds * 2, counted, rounds);
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
  rows::conclude(state, rounds * 2, counted, rounds);
}
BENCHMARK(raw_switch_value);

}  // namespace

BENCHMARK(limits::jump)->Name("jump");

int main(int argc, char** argv) { return rows::run_on_one_processor(argc, argv); }
