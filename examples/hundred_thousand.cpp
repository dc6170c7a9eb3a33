// As many as you like: a hundred thousand greenlets alive at once, in one thread.
#include <fern/fern.hpp>

#include <unistd.h>

#include <fstream>
#include <iostream>
#include <vector>

namespace {

constexpr int many = 100'000;

// Bytes of memory that this program has, not counting address space that was never touched.
long memory() {
  std::ifstream statm("/proc/self/statm");
  long size = 0, resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace

int main() {
  fern::Event go;
  long before = memory();
  std::vector<fern::Greenlet<int>> all(many);
  for (int i = 0; i < many; ++i) {
    all[i] = fern::spawn([&go, i] {
      go.wait();
      return i % 2;
    });
  }
  fern::yield();  // each of them runs, and waits
  std::cout << fern::stats().greenlets << " are alive, with " << (memory() - before) / many
            << " bytes of memory each\n";
  go.set();
  int odd = 0;
  for (auto& each : all) odd += each.get();
  std::cout << odd << " of them were odd\n";
}

// Prints, where ... varies:
//   100000 are alive, with ... bytes of memory each
//   50000 of them were odd
