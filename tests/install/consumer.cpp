#include <fern/fern.hpp>

#include <cstdio>

int main() {
  auto answer = fern::spawn(
      [](int a, int b) {
        fern::yield();
        return a * b;
      },
      6, 7);
  return std::printf("fern %s says %d\n", fern::version(), answer.get()) < 0;
}
