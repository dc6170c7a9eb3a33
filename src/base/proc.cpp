#include "base/proc.hpp"

#include "base/real.hpp"

#include <fcntl.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace fern::base {
namespace {

// Reads the head of a file as a string; false when there is none.
bool read_head(const char* path, char* text, std::size_t size) noexcept {
  int saved = errno;
  int fd = real::open(path, O_RDONLY | O_CLOEXEC, 0);
  ssize_t length = fd < 0 ? -1 : real::read(fd, text, size - 1);
  if (fd >= 0) real::close(fd);
  text[length > 0 ? length : 0] = '\0';
  errno = saved;
  return length > 0;
}

constinit std::atomic<unsigned> fork_count{0};

}  // namespace

std::size_t read_number(const char* path, std::size_t fallback) noexcept {
  char text[64];
  if (!read_head(path, text, sizeof text)) return fallback;
  char* end = nullptr;
  unsigned long value = std::strtoul(text, &end, 10);
  return end == text ? fallback : value;
}

std::size_t thread_count() noexcept {
  char text[1024];
  if (!read_head("/proc/self/stat", text, sizeof text)) return 0;
  // The second field is the program's name in parentheses and may hold anything; the 20th counts.
  const char* at = std::strrchr(text, ')');
  for (int field = 2; at != nullptr && field < 20; ++field) {
    at = std::strchr(at + 1, ' ');
  }
  return at == nullptr ? 0 : std::strtoul(at, nullptr, 10);
}

unsigned forks() noexcept {
  [[maybe_unused]] static const int installed =
      pthread_atfork(nullptr, nullptr, [] { fork_count.fetch_add(1, std::memory_order_relaxed); });
  return fork_count.load(std::memory_order_relaxed);
}

}  // namespace fern::base
