// Dies by: SIGABRT
// Stderr: fern: assertion failed: fern::Timeout: a scope outlives its greenlet
//
// It would limit whoever has the control block next.
#include <chrono>
#include <fern/greenlet.hpp>
#include <fern/timeout.hpp>
#include <memory>

int main() {
  std::unique_ptr<fern::Timeout> scope;
  fern::spawn([&] { scope = std::make_unique<fern::Timeout>(std::chrono::hours(1)); }).join();
  return 0;
}
