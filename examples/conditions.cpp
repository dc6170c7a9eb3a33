// Ten wait for bread. However many loaves come out of the oven, so many of them are let go.
#include <fern/fern.hpp>

#include <iostream>
#include <mutex>

namespace {

struct Bakery {
  fern::Mutex mutex;
  fern::ConditionVariable baked;
  int loaves = 0;
};

void buy(Bakery& bakery, int customer) {
  std::unique_lock lock(bakery.mutex);
  bakery.baked.wait(lock, [&] { return bakery.loaves > 0; });
  --bakery.loaves;
  std::cout << ' ' << customer;
}

void bake(Bakery& bakery, int loaves) {
  std::lock_guard guard(bakery.mutex);
  bakery.loaves += loaves;
  bakery.baked.notify(loaves);
}

}  // namespace

int main() {
  Bakery bakery;
  fern::Group customers;
  for (int customer = 1; customer <= 10; ++customer) {
    customers.spawn_raw([&bakery, customer] { buy(bakery, customer); });
  }
  fern::yield();  // they queue
  for (int loaves : {3, 1, 6}) {
    std::cout << loaves << " for";
    bake(bakery, loaves);
    fern::yield();
    std::cout << "; " << customers.size() << " still wait\n";
  }
  customers.waitall();
}

// Prints:
//   3 for 1 2 3; 7 still wait
//   1 for 4; 6 still wait
//   6 for 5 6 7 8 9 10; 0 still wait
