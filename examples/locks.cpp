// A hundred workers take one each from a stock of a hundred. Each waits between reading the count
// and writing it, as one does that asks a database: without a lock they all read the same.
#include <fern/fern.hpp>

#include <iostream>
#include <mutex>

namespace {

struct NoLock {
  void lock() {}
  void unlock() {}
};

// What is left of the stock, with a lock of that kind.
template <class Lock>
int sell(int stock) {
  Lock lock;
  fern::Group workers;
  for (int i = stock; i > 0; --i) {
    workers.spawn_raw([&] {
      std::lock_guard guard(lock);
      int seen = stock;
      fern::yield();  // all the others get a turn
      stock = seen - 1;
    });
  }
  workers.waitall();
  return stock;
}

}  // namespace

int main() {
  std::cout << "without a lock: " << sell<NoLock>(100) << " left\n";
  std::cout << "with a Mutex: " << sell<fern::Mutex>(100) << " left\n";
  std::cout << "with an RLock: " << sell<fern::RLock>(100) << " left\n";
}

// Prints:
//   without a lock: 99 left
//   with a Mutex: 0 left
//   with an RLock: 0 left
