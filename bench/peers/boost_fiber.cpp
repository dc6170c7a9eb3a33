// Boost.Fiber 1.81 (libboost-fiber1.81-dev), -O2. Recommended:
// pooled_fixedsize_stack, which reuses stacks, unguarded; one thread's default round_robin.
// Nothing else was tried.
#include <boost/fiber/all.hpp>
#include <vector>

#include "rows.hpp"

namespace {

namespace fibers = boost::fibers;

// The pool is counted, and shared by all copies. It grows by no more than 1 GiB at a time: twice as
// much each time is more than the system grants at a million.
fibers::pooled_fixedsize_stack& stacks() {
  static fibers::pooled_fixedsize_stack pool(64 * 1024, 1024, 16384);
  return pool;
}

template <class Fn>
fibers::fiber spawn(Fn&& f) {
  return fibers::fiber(fibers::launch::post, std::allocator_arg, stacks(), std::forward<Fn>(f));
}

void yield(benchmark::State& state) {
  const std::int64_t count = state.range(0);
  std::int64_t items = 0;
  std::int64_t wrong = 0;
  std::vector<fibers::fiber> all;
  for (auto _ : state) {
    rows::Turns turns(count);
    for (std::int64_t i = 0; i < count; ++i) {
      all.push_back(spawn([&] { turns.take([] { boost::this_fiber::yield(); }); }));
    }
    for (auto& each : all) each.join();
    all.clear();
    wrong += !turns.tell(state, items);
  }
  rows::conclude(state, items, wrong, 0);
}
BENCHMARK(yield)->Arg(2)->Arg(1'000)->Arg(10'000)->Arg(100'000)->UseManualTime();

void channel(benchmark::State& state) {
  fibers::unbuffered_channel<std::int64_t> there;
  fibers::unbuffered_channel<std::int64_t> back;
  std::int64_t counted = 0;
  auto other = spawn([&] {
    for (std::int64_t value; there.pop(value) == fibers::channel_op_status::success;) {
      ++counted;
      back.push(value);
    }
  });
  for (auto _ : state) {
    there.push(1);
    counted += back.value_pop();
  }
  there.close();
  other.join();
  std::int64_t items = static_cast<std::int64_t>(state.iterations()) * 2;
  rows::conclude(state, items, counted, items);
}
BENCHMARK(channel);

void lock_unlock(benchmark::State& state) {
  fibers::mutex mutex;
  std::int64_t counted = 0;
  for (auto _ : state) {
    mutex.lock();
    ++counted;
    mutex.unlock();
  }
  rows::conclude(state, counted, counted, static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(lock_unlock);

void spawn_join(benchmark::State& state) {
  std::int64_t counted = 0;
  for (auto _ : state) spawn([&] { ++counted; }).join();
  rows::conclude(state, counted, counted, static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(spawn_join);

// So many in a batch; a round before those that count warms the stacks.
template <class Body>
void many(benchmark::State& state, Body body) {
  const std::int64_t count = state.range(0);
  std::int64_t counted = 0;
  std::vector<fibers::fiber> all;
  all.reserve(static_cast<std::size_t>(count));
  auto once = [&] {
    for (std::int64_t i = 0; i < count; ++i) {
      all.push_back(spawn([&] {
        body();
        ++counted;
      }));
    }
    for (auto& each : all) each.join();
    all.clear();
  };
  once();
  for (auto _ : state) once();
  const std::int64_t items = static_cast<std::int64_t>(state.iterations()) * count;
  rows::conclude(state, items, counted, items + count);
}

void spawn_batch(benchmark::State& state) {
  many(state, [] {});
}
BENCHMARK(spawn_batch)->Arg(10'000);

// So many alive at once: none ends before the last has begun.
void alive(benchmark::State& state) {
  many(state, [] { boost::this_fiber::yield(); });
}
BENCHMARK(alive)->Arg(100'000);

void skynet_node(fibers::unbuffered_channel<std::int64_t>& parent, std::int64_t number,
                 std::int64_t size) {
  if (size == 1) {
    parent.push(number);
    return;
  }
  fibers::unbuffered_channel<std::int64_t> children;
  for (std::int64_t i = 0; i < 10; ++i) {
    spawn([&children, first = number + i * (size / 10), size] {
      skynet_node(children, first, size / 10);
    }).detach();
  }
  std::int64_t sum = 0;
  for (int i = 0; i < 10; ++i) sum += children.value_pop();
  parent.push(sum);
}

// Per leaf; a round before the one that counts warms the stacks.
void skynet(benchmark::State& state) {
  auto once = [] {
    fibers::unbuffered_channel<std::int64_t> root;
    spawn([&] { skynet_node(root, 0, rows::skynet_leaves); }).detach();
    return root.value_pop() == rows::skynet_sum;
  };
  std::int64_t right = once();
  for (auto _ : state) right += once();
  auto rounds = static_cast<std::int64_t>(state.iterations());
  rows::conclude(state, rounds * rows::skynet_leaves, right, rounds + 1);
}
BENCHMARK(skynet)->Iterations(1);

}  // namespace

int main(int argc, char** argv) { return rows::run_on_one_processor(argc, argv); }
