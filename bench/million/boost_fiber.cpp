// Boost.Fiber 1.81 (libboost-fiber1.81-dev), -O2. Recommended: pooled_fixedsize_stack, unguarded;
// here of 64 KiB. Nothing else was tried.
#include <boost/fiber/all.hpp>

#include "million.hpp"

namespace {

namespace fibers = boost::fibers;

template <class Fn>
void spawn(Fn&& f) {
  static fibers::pooled_fixedsize_stack stacks(64 * 1024, 1024, 16384);
  fibers::fiber(fibers::launch::post, std::allocator_arg, stacks, std::forward<Fn>(f)).detach();
}

void parked(std::int64_t count) {
  fibers::mutex mutex;
  fibers::condition_variable changed;
  bool go = false;
  std::int64_t waiting = 0;
  million::Parked before;
  for (std::int64_t i = 0; i < count; ++i) {
    spawn([&] {
      std::unique_lock lock(mutex);
      ++waiting;
      changed.wait(lock, [&] { return go; });
      --waiting;
    });
  }
  while (waiting < count) boost::this_fiber::yield();
  before.tell(count, waiting);
  std::_Exit(0);  // ending them is not the question
}

void sleepers(std::int64_t count) {
  million::Sleepers all(count);
  for (std::int64_t i = 0; i < count; ++i) {
    spawn([&all, i] {
      auto due = all.due(i);
      boost::this_fiber::sleep_until(due);
      all.woke(due);
    });
  }
  while (all.ended() < count) boost::this_fiber::sleep_for(std::chrono::milliseconds(50));
  all.tell(count);
}

}  // namespace

int main(int argc, char** argv) {
  million::Job job = million::job(argc, argv);
  job.parked ? parked(job.count) : sleepers(job.count);
}
