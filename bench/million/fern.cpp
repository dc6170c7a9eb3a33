// Fern: a million guarded greenlets, each parked in an Event or a sleep.
#include <fern/fern.hpp>

#include "million.hpp"

namespace {

void parked(std::int64_t count) {
  fern::Event go;
  std::int64_t waiting = 0;
  fern::sleep(std::chrono::milliseconds(1));  // the hub is there before the first spawn
  million::Parked before;
  for (std::int64_t i = 0; i < count; ++i) {
    fern::spawn_raw([&] {
      ++waiting;
      go.wait();
      --waiting;
    });
  }
  while (waiting < count) fern::yield();
  before.tell(count, waiting);
  go.set();
  while (waiting > 0) fern::yield();
}

void sleepers(std::int64_t count) {
  million::Sleepers all(count);
  for (std::int64_t i = 0; i < count; ++i) {
    fern::spawn_raw([&all, i] {
      auto due = all.due(i);
      fern::sleep(due);
      all.woke(due);
    });
  }
  while (all.ended() < count) fern::sleep(std::chrono::milliseconds(50));
  all.tell(count);
}

}  // namespace

int main(int argc, char** argv) {
  million::Job job = million::job(argc, argv);
  job.parked ? parked(job.count) : sleepers(job.count);
}
