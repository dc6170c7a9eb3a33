// Dies by: SIGABRT
// Stderr: fern: assertion failed: fern::Deadline\(\): the duration is not a number
//
// A duration that is not a number is a bug of whoever computed it.
#include <chrono>
#include <cmath>
#include <fern/greenlet.hpp>

int main() {
  fern::sleep(std::chrono::duration<double>(std::nan("")));
  return 0;
}
