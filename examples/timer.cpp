// Functions that run after a while, unless they are called off.
#include <fern/fern.hpp>

#include <chrono>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

namespace {

void ring(const std::string& what) { std::cout << what << " rings\n"; }

}  // namespace

int main() {
  auto clock = fern::spawn_later(100ms, ring, "the clock");
  auto egg_timer = fern::spawn_later(20ms, ring, "the egg timer");
  auto alarm = fern::spawn_later(1h, ring, "the alarm");
  std::cout << "three are set\n";
  fern::joinall(clock, egg_timer);
  std::cout << (alarm.cancel() ? "the alarm is called off\n" : "too late\n");
}

// Prints:
//   three are set
//   the egg timer rings
//   the clock rings
//   the alarm is called off
