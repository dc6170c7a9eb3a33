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
  fern::Timer clock(100ms, ring, "the clock");
  fern::Timer egg_timer(20ms, ring, "the egg timer");
  fern::Timer alarm(1h, ring, "the alarm");
  std::cout << "three are set\n";
  egg_timer.join();
  clock.join();
  std::cout << (alarm.cancel() ? "the alarm is called off\n" : "too late\n");
}

// Prints:
//   three are set
//   the egg timer rings
//   the clock rings
//   the alarm is called off
