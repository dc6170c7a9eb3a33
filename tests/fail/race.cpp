// Dies by: exit 66
// Stderr: WARNING: ThreadSanitizer: data race
//
// A greenlet and a thread write one int and nothing orders them. That TSan says so proves that it
// follows the switches: it would be silent if it took the greenlet for somebody else.
#include <fern/greenlet.hpp>
#include <thread>

int main() {
  int shared = 0;
  auto greenlet = fern::spawn([&] {
    fern::yield();
    ++shared;
  });
  std::thread thread([&] { ++shared; });
  greenlet.join();
  thread.join();
  return 0;
}
