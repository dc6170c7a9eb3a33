// Dies by: SIGABRT
// Stderr: fern: assertion failed: fern::detail::WaitQueue: destroyed while somebody waits in it
//
// Whoever waits in an object has to have it for as long.
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <memory>

int main() {
  auto event = std::make_unique<fern::Event>();
  auto waiter = fern::spawn([&] { event->wait(); });
  fern::yield();
  event.reset();
  return 0;
}
