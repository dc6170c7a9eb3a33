// gevent's first steps: spawn and join, values, joinall, and greenlets of which nobody has a
// handle.
#include <fern/fern.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

// fern::sleep lets the others run: time.sleep does so in a Python program that is patched.
void dine(const std::string& who, std::chrono::milliseconds time) {
  std::cout << who << " sits down\n";
  fern::sleep(time);
  std::cout << who << " gets up\n";
}

int square(int n) {
  fern::sleep(1ms);
  return n * n;
}

}  // namespace

int main() {
  auto ann = fern::spawn(dine, "ann", 100ms);
  auto bob = fern::spawn(dine, "bob", 20ms);
  ann.join();
  bob.join();

  std::vector<fern::Greenlet<int>> squares(10);
  for (int n = 0; n < 10; ++n) squares[n] = fern::spawn(square, n);
  for (const auto& each : squares) {
    each.join();
    std::cout << *each.value() << ' ';
  }
  std::cout << "are the values\n";

  std::vector<fern::Greenlet<void>> guests{fern::spawn(dine, "cid", 100ms),
                                           fern::spawn(dine, "dan", 20ms)};
  auto first = fern::joinall(guests, {.count = 1}).at(0);
  std::cout << "first was " << (first == guests[1] ? "dan" : "cid") << '\n';
  fern::joinall(guests);

  for (const char* who : {"eve", "fay"}) fern::spawn_raw(dine, who, 1ms);
  fern::wait();  // for everything
}

// Prints:
//   ann sits down
//   bob sits down
//   bob gets up
//   ann gets up
//   0 1 4 9 16 25 36 49 64 81 are the values
//   cid sits down
//   dan sits down
//   dan gets up
//   first was dan
//   cid gets up
//   eve sits down
//   fay sits down
//   eve gets up
//   fay gets up
