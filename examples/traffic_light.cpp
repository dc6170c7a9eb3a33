// A traffic light that turns green and red again while ten cars come along: an Event is the green.
#include <fern/fern.hpp>

#include <chrono>
#include <iostream>
#include <vector>

using namespace std::chrono_literals;

namespace {

void shine(fern::Event& green) {
  for (;;) {
    std::cout << "red\n";
    fern::sleep(20ms);
    std::cout << "green\n";
    green.set();
    fern::sleep(10ms);
    green.clear();
  }
}

void drive(int car, fern::Event& green) {
  if (!green.is_set()) std::cout << "car " << car << " stops\n";
  green.wait();
  std::cout << "car " << car << " goes\n";
}

}  // namespace

int main() {
  fern::Event green;
  auto light = fern::spawn([&] { shine(green); });
  std::vector<fern::Greenlet<void>> cars;
  for (int car = 1; car <= 10; ++car) {
    cars.push_back(fern::spawn([&, car] { drive(car, green); }));
    fern::sleep(7ms);
  }
  fern::joinall(cars);
  light.kill();
}
