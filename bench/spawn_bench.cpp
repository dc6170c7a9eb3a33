// What does it cost to begin a greenlet, run it and be told of its end?
//
// One at a time, many in a batch, many alive at once, on warm stacks and on fresh ones; and skynet:
// a tree of a million greenlets in which each node adds up the results of its ten children.
#include <fern/fern.hpp>

#include <array>
#include <vector>

#include "rows.hpp"

namespace {

void spawn_join(benchmark::State& state) {
  std::int64_t counted = 0;
  for (auto _ : state) fern::spawn([&] { ++counted; }).join();
  rows::conclude(state, counted, counted, static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(spawn_join);

// So many in a batch; `warm`: a round before those that count leaves them its stacks.
template <class Body>
void many(benchmark::State& state, bool warm, Body body) {
  const std::int64_t count = state.range(0);
  std::int64_t counted = 0;
  std::vector<fern::Greenlet<void>> all;
  all.reserve(static_cast<std::size_t>(count));
  auto once = [&] {
    for (std::int64_t i = 0; i < count; ++i) {
      all.push_back(fern::spawn([&] {
        body();
        ++counted;
      }));
    }
    for (auto& each : all) each.join();
    all.clear();
  };
  if (warm) once();
  for (auto _ : state) once();
  const std::int64_t items = static_cast<std::int64_t>(state.iterations()) * count;
  rows::conclude(state, items, counted, items + (warm ? count : 0));
}

void spawn_batch(benchmark::State& state) {
  many(state, true, [] {});
}
BENCHMARK(spawn_batch)->RangeMultiplier(10)->Range(1, 1'000'000);

// All alive at once: none ends before the last has begun.
void alive(benchmark::State& state) {
  many(state, true, [] { fern::yield(); });
}
BENCHMARK(alive)->Arg(100'000);

// The same on stacks that nobody has used: one round, which must be the process's first.
void alive_cold(benchmark::State& state) {
  many(state, false, [] { fern::yield(); });
}
BENCHMARK(alive_cold)->Arg(100'000)->Iterations(1);

std::int64_t skynet_node(std::int64_t number, std::int64_t size) {
  if (size == 1) return number;
  const std::int64_t each = size / 10;
  std::array<fern::Greenlet<std::int64_t>, 10> children;
  for (auto& child : children) {
    child = fern::spawn([number, each] { return skynet_node(number, each); });
    number += each;
  }
  std::int64_t sum = 0;
  for (auto& child : children) sum += child.get();
  return sum;
}

// Per leaf; a round before the one that counts warms the stacks.
void skynet(benchmark::State& state) {
  auto once = [] {
    return fern::spawn([] { return skynet_node(0, rows::skynet_leaves); }).get() ==
           rows::skynet_sum;
  };
  std::int64_t right = once();
  for (auto _ : state) right += once();
  auto rounds = static_cast<std::int64_t>(state.iterations());
  rows::conclude(state, rounds * rows::skynet_leaves, right, rounds + 1);
}
BENCHMARK(skynet)->Iterations(1);

}  // namespace

int main(int argc, char** argv) { return rows::run_on_one_processor(argc, argv); }
