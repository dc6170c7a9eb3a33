// What does it cost to reach a greenlet in another thread? Each of the two threads has its hub and
// is bound to a processor of its own.
#include <benchmark/benchmark.h>
#include <fern/greenlet.hpp>
#include <fern/hub.hpp>
#include <fern/semaphore.hpp>

#include <atomic>
#include <cstdint>
#include <thread>

#include "rows.hpp"

namespace {

bool bind(benchmark::State& state) {
  if (rows::bind_to_processor(1) && rows::bind_to_processor(0)) return true;
  state.SkipWithError("too few processors");
  return false;
}

// Two greenlets that wake each other in turn: an item is one way.
void hub_wake(benchmark::State& state) {
  if (!bind(state)) return;
  fern::Semaphore there(0);
  fern::Semaphore back(0);
  std::atomic<bool> stop = false;
  std::int64_t counted = 0;
  std::thread other([&] {
    rows::bind_to_processor(1);
    for (;;) {
      there.acquire();
      if (stop) return;
      ++counted;
      back.release();
    }
  });
  for (auto _ : state) {
    there.release();
    back.acquire();
  }
  stop = true;
  there.release();
  other.join();
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  rows::conclude(state, rounds * 2, counted, rounds);
}
BENCHMARK(hub_wake)->UseRealTime();

// One thread has greenlets spawned in another's hub, so many at a time, and waits for their end.
void hub_spawn(benchmark::State& state) {
  if (!bind(state)) return;
  const std::int64_t batch = state.range(0);
  std::atomic<fern::Hub*> hub = nullptr;
  fern::Semaphore stop(0);
  fern::Semaphore ended(0);
  std::thread other([&] {
    rows::bind_to_processor(1);
    hub = &fern::Hub::current();
    hub.notify_one();
    stop.acquire();
  });
  hub.wait(nullptr);
  std::int64_t counted = 0;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < batch; ++i) {
      hub.load()->post([&, batch] {
        fern::spawn_raw([&, batch] {
          if (++counted % batch == 0) ended.release();
        });
      });
    }
    ended.acquire();
  }
  stop.release();
  other.join();
  const auto items = static_cast<std::int64_t>(state.iterations()) * batch;
  rows::conclude(state, items, counted, items);
}
BENCHMARK(hub_spawn)->Arg(1)->Arg(1'000)->UseRealTime();

}  // namespace

int main(int argc, char** argv) { return rows::run(argc, argv); }
