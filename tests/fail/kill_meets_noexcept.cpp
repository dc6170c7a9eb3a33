// Dies by: SIGABRT
// Stderr: fern: .*victim
//
// A kill that arrives in a noexcept function cannot unwind it: the program ends, and says who it
// was.
#include <chrono>
#include <fern/greenlet.hpp>

namespace {

void nap() noexcept { fern::sleep(std::chrono::hours(1)); }

}  // namespace

int main() {
  auto victim = fern::spawn(fern::SpawnOptions{.name = "victim"}, nap);
  fern::yield();
  victim.kill();
  return 0;
}
