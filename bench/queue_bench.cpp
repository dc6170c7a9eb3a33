// What does it cost to hand a value over, and to lock and unlock? Beside the raw jump between two
// stacks, which every hand-off needs, and the two atomic operations of a lock.
//
// The process stays with one thread, where locks need no atomic operation: queue_threads_bench has
// the same rows without that, and those between threads.
#include "hand_off.hpp"
#include "limits.hpp"

BENCHMARK(limits::jump)->Name("jump");
BENCHMARK(rows::channel)->Name("channel");
BENCHMARK(rows::stream)->Name("stream");
BENCHMARK(rows::select_hand_off)->Name("select_hand_off");
BENCHMARK(rows::put_get)->Name("put_get");
BENCHMARK(limits::cas_xchg)->Name("cas_xchg");
BENCHMARK(rows::lock_unlock)->Name("lock_unlock");

int main(int argc, char** argv) { return rows::run_on_one_processor(argc, argv); }
