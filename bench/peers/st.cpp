// state-threads 1.9 (libst-dev), -O2. Recommended: its epoll event system instead of select. Its
// stacks come from a free list by themselves; it has no channel. Nothing else was tried.
#include <st.h>

#include <vector>

#include "rows.hpp"

namespace {

constexpr int stack_size = 64 * 1024;

void* take_turns(void* turns) {
  static_cast<rows::Turns*>(turns)->take([] { st_sleep(0); });
  return nullptr;
}

void yield(benchmark::State& state) {
  const std::int64_t count = state.range(0);
  std::int64_t items = 0;
  std::int64_t wrong = 0;
  std::vector<st_thread_t> all;
  for (auto _ : state) {
    rows::Turns turns(count);
    for (std::int64_t i = 0; i < count; ++i) {
      all.push_back(st_thread_create(take_turns, &turns, 1, stack_size));
    }
    for (st_thread_t each : all) st_thread_join(each, nullptr);
    all.clear();
    wrong += !turns.tell(state, items);
  }
  rows::conclude(state, items, wrong, 0);
}
BENCHMARK(yield)->Arg(2)->Arg(1'000)->Arg(10'000)->UseManualTime();

void* count(void* argument) {
  ++*static_cast<std::int64_t*>(argument);
  return nullptr;
}

void spawn_join(benchmark::State& state) {
  std::int64_t counted = 0;
  for (auto _ : state) st_thread_join(st_thread_create(count, &counted, 1, stack_size), nullptr);
  rows::conclude(state, counted, counted, static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(spawn_join);

void spawn_batch(benchmark::State& state) {
  const std::int64_t size = state.range(0);
  std::int64_t counted = 0;
  std::vector<st_thread_t> all;
  auto once = [&] {
    for (std::int64_t i = 0; i < size; ++i) {
      all.push_back(st_thread_create(count, &counted, 1, stack_size));
    }
    for (st_thread_t each : all) st_thread_join(each, nullptr);
    all.clear();
  };
  once();  // warms the stacks
  for (auto _ : state) once();
  const std::int64_t items = static_cast<std::int64_t>(state.iterations()) * size;
  rows::conclude(state, items, counted, items + size);
}
BENCHMARK(spawn_batch)->Arg(10'000);

void lock_unlock(benchmark::State& state) {
  st_mutex_t mutex = st_mutex_new();
  std::int64_t counted = 0;
  for (auto _ : state) {
    st_mutex_lock(mutex);
    ++counted;
    st_mutex_unlock(mutex);
  }
  st_mutex_destroy(mutex);
  rows::conclude(state, counted, counted, static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(lock_unlock);

}  // namespace

int main(int argc, char** argv) {
  st_set_eventsys(ST_EVENTSYS_ALT);
  if (st_init() < 0) return 1;
  return rows::run_on_one_processor(argc, argv);
}
