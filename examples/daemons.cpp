// Greenlets that die with the program, as daemon threads do, and one that the program waits for.
// What must not die half-way is joined; the rest is killed, and unwound, when main has returned.
#include <fern/fern.hpp>

#include <chrono>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

namespace {

struct Watch {
  std::string dog;
  ~Watch() { std::cout << dog << " is unwound\n"; }
};

void keep_watch(const std::string& dog) {
  Watch watch{dog};
  std::cout << watch.dog << " watches\n";
  for (;;) fern::sleep(1h);
}

void save_file(int blocks) {
  for (int block = 1; block <= blocks; ++block) {
    fern::sleep(1ms);
    std::cout << "block " << block << " of " << blocks << " is saved\n";
  }
}

}  // namespace

int main() {
  fern::spawn(keep_watch, "rex");
  fern::spawn_raw(keep_watch, "lassie");
  auto saving = fern::spawn(save_file, 3);
  saving.join();  // without this only what was saved by now would be
  std::cout << "main returns\n";
}

// Prints:
//   rex watches
//   lassie watches
//   block 1 of 3 is saved
//   block 2 of 3 is saved
//   block 3 of 3 is saved
//   main returns
//   rex is unwound
//   lassie is unwound
