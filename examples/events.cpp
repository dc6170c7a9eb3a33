// Events: five runners start at one shot; a client tries three times, and then gives up.
#include <fern/fern.hpp>

#include <chrono>
#include <iostream>

using namespace std::chrono_literals;

namespace {

void race() {
  fern::Event shot;
  fern::Group runners;
  for (int runner = 1; runner <= 5; ++runner) {
    runners.spawn_raw([&shot, runner] {
      std::cout << "runner " << runner << " is ready\n";
      shot.wait();
      std::cout << "runner " << runner << " runs\n";
    });
  }
  fern::yield();  // they get to the line
  std::cout << "bang\n";
  shot.set();
  runners.waitall();
}

void connect(fern::Event& server_is_up) {
  for (int attempt = 1; attempt <= 3; ++attempt) {
    std::cout << "attempt " << attempt << '\n';
    if (server_is_up.wait(10ms)) {
      std::cout << "connected\n";
      return;
    }
  }
  throw fern::TimeoutError("no server after three attempts");
}

void try_to_connect(fern::Event& server_is_up) try {
  connect(server_is_up);
} catch (const fern::TimeoutError& error) {
  std::cout << error.what() << '\n';
}

}  // namespace

int main() {
  race();
  fern::Event server_is_up;
  try_to_connect(server_is_up);
  fern::spawn_raw([&] { server_is_up.set(); });
  try_to_connect(server_is_up);
}

// Prints:
//   runner 1 is ready
//   runner 2 is ready
//   runner 3 is ready
//   runner 4 is ready
//   runner 5 is ready
//   bang
//   runner 1 runs
//   runner 2 runs
//   runner 3 runs
//   runner 4 runs
//   runner 5 runs
//   attempt 1
//   attempt 2
//   attempt 3
//   no server after three attempts
//   attempt 1
//   connected
