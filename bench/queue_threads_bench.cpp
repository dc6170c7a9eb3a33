// What do hand-offs and locks cost in a process with more than one thread? Within a hub, between
// two hubs, and what OS threads pay who wait for each other by a condition variable.
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "hand_off.hpp"
#include "limits.hpp"

namespace {

// As rows::channel, with the other greenlet in another thread.
void between_hubs(benchmark::State& state) {
  fern::Channel<std::int64_t> there;
  fern::Channel<std::int64_t> back;
  std::jthread other([&] {
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
  rows::conclude(state, rounds * 2, value, rounds);
}

// A rendezvous of OS threads: whoever comes second finds the other's value.
class ThreadChannel {
 public:
  void put(std::int64_t value) {
    std::unique_lock lock(mutex_);
    value_ = value;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !value_.has_value(); });
  }
  std::int64_t get() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return value_.has_value(); });
    const std::int64_t value = *value_;
    value_.reset();
    changed_.notify_all();
    return value;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::int64_t> value_;
};

void between_os_threads(benchmark::State& state) {
  ThreadChannel there;
  ThreadChannel back;
  std::jthread other([&] {
    for (std::int64_t value = 0; (value = there.get()) >= 0;) back.put(value + 1);
  });
  std::int64_t value = 0;
  for (auto _ : state) {
    there.put(value);
    value = back.get();
  }
  there.put(-1);
  const auto rounds = static_cast<std::int64_t>(state.iterations());
  rows::conclude(state, rounds * 2, value, rounds);
}

}  // namespace

BENCHMARK(limits::jump)->Name("jump");
BENCHMARK(rows::channel)->Name("channel");
BENCHMARK(rows::stream)->Name("stream");
BENCHMARK(rows::select_hand_off)->Name("select_hand_off");
BENCHMARK(rows::put_get)->Name("put_get");
BENCHMARK(between_hubs)->UseRealTime();
BENCHMARK(between_os_threads)->UseRealTime();
BENCHMARK(limits::cas_xchg)->Name("cas_xchg");
BENCHMARK(rows::lock_unlock)->Name("lock_unlock");

int main(int argc, char** argv) {
  std::thread([] {}).join();  // from now on
  return rows::run(argc, argv);
}
