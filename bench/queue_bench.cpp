// What does it cost to hand a value over, and to lock and unlock? Beside the raw jump between two
// stacks, which every hand-off needs, and the two atomic operations of a lock.
//
// The process stays with one thread, where locks need no atomic operation: queue_threads_bench has
// the same rows without that, and those between threads.
#include "hand_off.hpp"

BENCHMARK(limits::raw_jump)->Name("raw_jump");
BENCHMARK(rows::hand_off)->Name("hand_off");
BENCHMARK(rows::stream)->Name("stream");
BENCHMARK(rows::select_hand_off)->Name("select_hand_off");
BENCHMARK(rows::put_get)->Name("put_get");
BENCHMARK(limits::compare_exchange)->Name("compare_exchange");
BENCHMARK(rows::lock_unlock)->Name("lock_unlock");

int main(int argc, char** argv) {
  limits::bind_to_one_processor();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
