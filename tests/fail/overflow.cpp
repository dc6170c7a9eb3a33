// Dies by: SIGSEGV
// Stderr: ^fern: stack overflow in greenlet digger \(id \d+, 260 KiB\): give it more with SpawnOptions::stack_size$
// Dies by (address): exit 1
// Dies by (thread): exit 66
//
// Endless recursion ends at the guard page, and the message names the greenlet.
#include <fern/greenlet.hpp>

namespace {

volatile int never = 0;

[[gnu::noinline]] int dig(int depth) {
  volatile char frame[512] = {};
  if (depth == never) {
    return frame[0];
  }
  return dig(depth + 1) + frame[511];
}

}  // namespace

int main() {
  fern::spawn(fern::SpawnOptions{.name = "digger"}, dig, 1).join();
  return 0;
}
