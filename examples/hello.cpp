// Two clocks tick in one thread. Each sleeps as plain code would, and the other runs meanwhile.
#include <fern/fern.hpp>

#include <chrono>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

namespace {

int tick(const std::string& sound, std::chrono::milliseconds period) {
  int ticks = 0;
  while (ticks < 3) {
    fern::sleep(period);
    std::cout << sound << ' ' << ++ticks << '\n';
  }
  return ticks;
}

}  // namespace

int main() {
  auto fast = fern::spawn(tick, "tick", 20ms);
  auto slow = fern::spawn(tick, "tock", 50ms);
  std::cout << "both are ready; neither has run\n";
  std::cout << fast.get() + slow.get() << " in all\n";
}
