// Two greenlets that yield so many times between them: yields COUNT. counts_test.py has the
// instructions counted.
#include <fern/greenlet.hpp>

#include <cstdlib>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const long each = std::atol(argv[1]) / 2;
  auto turns = [each] {
    for (long turn = 0; turn < each; ++turn) fern::yield();
  };
  auto one = fern::spawn(turns);
  auto other = fern::spawn(turns);
  one.join();
  other.join();
}
