// Dies by: SIGABRT
// Stderr: fern: assertion failed: fern::Timeout::~Timeout\(\): ended in another greenlet
//
// A scope belongs to the greenlet that opened it, and ends there.
#include <chrono>
#include <fern/greenlet.hpp>
#include <fern/timeout.hpp>
#include <memory>

int main() {
  std::unique_ptr<fern::Timeout> scope;
  auto opener = fern::spawn([&] {
    scope = std::make_unique<fern::Timeout>(std::chrono::hours(1));
    fern::sleep(std::chrono::hours(1));
  });
  fern::yield();
  scope.reset();
  return 0;
}
