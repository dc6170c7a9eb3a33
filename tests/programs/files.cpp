// Threads that work with files.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace {

constexpr int threads = 3;
constexpr int rounds = 20;

void write_and_read(const std::string& path, char letter) {
  for (int round = 0; round < rounds; ++round) {
    int fd = open(path.c_str(), O_CREAT | O_RDWR | O_TRUNC, 0600);
    CHECK(fd >= 0);
    std::string text(10'000, letter);
    CHECK(pwrite(fd, text.data(), text.size(), 0) == 10'000);
    CHECK(fdatasync(fd) == 0);
    std::string seen(text.size(), ' ');
    CHECK(pread(fd, seen.data(), seen.size(), 0) == 10'000);
    CHECK(seen == text);
    CHECK(close(fd) == 0);
  }
  CHECK(unlink(path.c_str()) == 0);
}

}  // namespace

int main() {
  char folder[] = "/tmp/fern_files_XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back(write_and_read, std::string(folder) + "/" + std::to_string(i), 'a' + i);
  }
  for (std::thread& thread : all) thread.join();
  CHECK(rmdir(folder) == 0);
  std::puts("files");
}
