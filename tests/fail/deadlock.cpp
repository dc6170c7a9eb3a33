// Dies by: SIGABRT
// Stderr: fern::LoopExit
// Stderr: left
// Stderr: right
//
// Two greenlets that join each other can never wake: the wait of main throws a LoopExit that lists
// both, and here nobody catches it.
#include <fern/greenlet.hpp>

int main() {
  fern::AnyGreenlet left, right;
  left = fern::spawn(fern::SpawnOptions{.name = "left"}, [&] { right.join(); });
  right = fern::spawn(fern::SpawnOptions{.name = "right"}, [&] { left.join(); });
  left.join();
  return 0;
}
