// What the threading module does: start and join, a class that runs, named arguments, who is alive.
#include <fern/fern.hpp>

#include <functional>
#include <iostream>
#include <string>

namespace {

struct Order {
  std::string dish = "soup";
  int portions = 1;
};

void cook(const Order& order) {
  for (int i = 1; i <= order.portions; ++i) {
    std::cout << fern::current_greenlet().name() << ": " << order.dish << ' ' << i << '\n';
    fern::yield();
  }
}

// A thread with a state: an object, and its function that runs.
class Counter {
 public:
  explicit Counter(int limit) : limit_(limit) {}
  void run() {
    while (count_ < limit_) {
      ++count_;
      fern::yield();
    }
  }
  int count() const { return count_; }

 private:
  int limit_;
  int count_ = 0;
};

void tell(const fern::AnyGreenlet& one) {
  std::cout << one.name() << (one.ready() ? " has ended\n" : " is alive\n");
}

}  // namespace

int main() {
  std::cout << "this is " << fern::current_greenlet().name() << '\n';
  auto ann = fern::spawn({.name = "ann"}, cook, Order{.portions = 2});
  auto bob = fern::spawn({.name = "bob"}, cook, Order{.dish = "cake", .portions = 3});
  Counter counter(1000);
  auto counting = fern::spawn({.name = "counting"}, &Counter::run, &counter);

  ann.join();
  tell(ann);
  tell(bob);
  std::cout << fern::stats().greenlets << " are alive besides main:\n";
  fern::dump(std::cout);  // each with what it waits for and where

  fern::joinall(bob, counting);
  std::cout << "counted to " << counter.count() << '\n';
}

// Prints, where ... varies:
//   this is main
//   ann: soup 1
//   bob: cake 1
//   ann: soup 2
//   bob: cake 2
//   bob: cake 3
//   ann has ended
//   bob is alive
//   2 are alive besides main:
//   fern: hub ..., 2 greenlet(s)
//     main (id 0): running
//         ...
//     bob (id 2): ready
//         ...
//     counting (id 3): ready
//         ...
//   counted to 1000
