// Blocking work on a few threads, and its results as they are asked for.
#include <fern/fern.hpp>

#include <chrono>
#include <iostream>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

int slow_square(int n) {
  std::this_thread::sleep_for(1ms);  // blocks its thread, and no greenlet
  if (n < 0) throw std::domain_error("negative");
  return n * n;
}

}  // namespace

int main() {
  fern::ThreadPool pool(4);

  std::vector<fern::AsyncResult<int>> results;
  results.reserve(8);
  for (int n = 0; n < 8; ++n) results.push_back(pool.spawn(slow_square, n));
  for (const auto& result : results) std::cout << result.get() << ' ';
  std::cout << "in order\n";

  for (int square : pool.map(slow_square, std::vector{3, 4, 5})) std::cout << square << ' ';
  std::cout << "by map\n";

  auto result = pool.spawn(slow_square, 12);
  fern::Event told;
  result.link([&](const fern::AsyncResult<int>& done) {
    std::cout << "the callback got " << done.get() << '\n';
    told.set();
  });
  told.wait();

  auto failed = pool.spawn(slow_square, -1);
  failed.wait();
  if (failed.exception() != nullptr) std::cout << "there is no result of -1\n";
  try {
    failed.get();
  } catch (const std::domain_error& error) {
    std::cout << "get throws it: " << error.what() << '\n';
  }

  auto last = pool.spawn(slow_square, 9);
  pool.shutdown();
  std::cout << "after shutdown all is " << (last.ready() ? "done" : "lost") << '\n';
}

// Prints:
//   0 1 4 9 16 25 36 49 in order
//   9 16 25 by map
//   the callback got 144
//   there is no result of -1
//   get throws it: negative
//   after shutdown all is done
