// Two who take two locks in opposite order wait for each other. Fern notices, and says who waits
// for what, instead of hanging. With one re-entrant lock in place of the two both get through.
#include <fern/fern.hpp>

#include <iostream>
#include <mutex>

namespace {

template <class Lock>
void eat(Lock& first, Lock& second) {
  const auto who = fern::current_greenlet().name();
  std::lock_guard one(first);
  std::cout << who << " has one\n";
  fern::yield();
  std::lock_guard other(second);
  std::cout << who << " has both, and eats\n";
}

template <class Lock>
void dine(Lock& fork, Lock& knife) {
  auto ann = fern::spawn({.name = "ann"}, [&] { eat(fork, knife); });
  auto bob = fern::spawn({.name = "bob"}, [&] { eat(knife, fork); });
  try {
    fern::joinall(ann, bob);
  } catch (const fern::LoopExit& error) {
    std::cout << "deadlock: " << error.what();
    fern::killall({ann, bob});  // unwinds them, which frees what they hold
  }
}

}  // namespace

int main() {
  fern::Mutex fork, knife;
  dine(fork, knife);
  fern::RLock cutlery;
  dine(cutlery, cutlery);
}

// Prints:
//   ann has one
//   bob has one
//   deadlock: this operation would block forever: nothing is left that could wake anybody
//     main (id 0): waits in joinall()
//     ann (id 1): waits in Mutex::lock()
//     bob (id 2): waits in Mutex::lock()
//   ann has one
//   ann has both, and eats
//   bob has one
//   bob has both, and eats
