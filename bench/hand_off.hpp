#pragma once

// What meeting points cost within one hub: the rows of queue_bench, where the process has one
// thread, and of queue_threads_bench, where it has more.

#include <benchmark/benchmark.h>
#include <fern/channel.hpp>
#include <fern/greenlet.hpp>
#include <fern/mutex.hpp>
#include <fern/queue.hpp>
#include <fern/select.hpp>

#include <cstdint>

#include "rows.hpp"

namespace rows {

// Two greenlets, a channel there and one back. An item is one value, one way.
inline void channel(benchmark::State& state) {
  fern::Channel<std::int64_t> there;
  fern::Channel<std::int64_t> back;
  auto other = fern::spawn([&] {
    for (const std::int64_t value : there) back.put(value + 1);
  });
  std::int64_t value = 0;
  for (auto _ : state) {
    there.put(value);
    value = back.get();
  }
  there.close();
  other.join();
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds * 2, value, rounds);
}

// One greenlet puts and another gets: two switches for each value. An item is one of them.
inline void stream(benchmark::State& state) {
  fern::Channel<std::int64_t> channel;
  std::int64_t sum = 0;
  auto getter = fern::spawn([&] {
    for (const std::int64_t value : channel) sum += value;
  });
  for (auto _ : state) {
    channel.put(1);
  }
  channel.close();
  getter.join();
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds * 2, sum, rounds);
}

// The same by a select over two channels on the one side.
inline void select_hand_off(benchmark::State& state) {
  fern::Channel<std::int64_t> there;
  fern::Channel<std::int64_t> back;
  fern::Channel<std::int64_t> never;
  auto other = fern::spawn([&] {
    for (const std::int64_t value : there) back.put(value + 1);
  });
  std::int64_t value = 0;
  const auto take = [&](std::int64_t next) { value = next; };
  for (auto _ : state) {
    there.put(value);
    fern::select(fern::on_get(never, take), fern::on_get(back, take));
  }
  there.close();
  other.join();
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds * 2, value, rounds);
}

// One greenlet puts into a queue and gets from it, without a switch. An item is one value.
inline void put_get(benchmark::State& state) {
  fern::Queue<std::int64_t> queue;
  std::int64_t sum = 0;
  for (auto _ : state) {
    queue.put(1);
    sum += queue.get();
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds, sum, rounds);
}

// A mutex that nobody else wants.
inline void lock_unlock(benchmark::State& state) {
  fern::Mutex mutex;
  std::int64_t counted = 0;
  for (auto _ : state) {
    mutex.lock();
    benchmark::DoNotOptimize(++counted);
    mutex.unlock();
  }
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  conclude(state, rounds, counted, rounds);
}

}  // namespace rows
