// A semaphore lets so many in at a time: ten guests, and a sauna with five places, then with two.
#include <fern/fern.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <mutex>
#include <stdexcept>

using namespace std::chrono_literals;

namespace {

void open_sauna(int places, int guests) {
  fern::Semaphore place(places);
  int inside = 0, most = 0;
  auto visit = [&](int guest) {
    std::lock_guard permit(place);
    most = std::max(most, ++inside);
    std::cout << ' ' << guest;
    fern::sleep(1ms);
    --inside;
  };
  std::cout << "in went";
  fern::Group group;
  for (int guest = 1; guest <= guests; ++guest) group.spawn_raw(visit, guest);
  group.waitall();
  std::cout << "; at most " << most << " at a time\n";
}

}  // namespace

int main() {
  open_sauna(5, 10);
  open_sauna(2, 10);

  fern::BoundedSemaphore strict(1);
  try {
    strict.release();
  } catch (const std::logic_error& error) {
    std::cout << "nobody is inside: " << error.what() << '\n';
  }
}

// Prints:
//   in went 1 2 3 4 5 6 7 8 9 10; at most 5 at a time
//   in went 1 2 3 4 5 6 7 8 9 10; at most 2 at a time
//   nobody is inside: Semaphore::release(): released too often
