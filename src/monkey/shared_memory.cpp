#include "monkey/shared_memory.hpp"

#include "base/real.hpp"

#include <fern/detail/wait_queue.hpp>

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string_view>
#include <vector>

namespace fern::monkey {
namespace {

constexpr std::chrono::seconds between_looks(1);

struct Range {
  std::uintptr_t begin;
  std::uintptr_t end;
};

// The last look.
fern::detail::SpinLock lock;
std::vector<Range> shared;
Deadline seen;  // when it began; never: there was none
bool looking = false;

Deadline now() noexcept { return std::chrono::steady_clock::now(); }

// "7f31dca63000-7f31dca65000 rw-s 00000000 ..."
void read_line(std::string_view line, std::vector<Range>& into) {
  Range range{};
  const char* end = line.data() + line.size();
  auto [dash, bad_begin] = std::from_chars(line.data(), end, range.begin, 16);
  if (bad_begin != std::errc() || dash == end) return;
  auto [space, bad_end] = std::from_chars(dash + 1, end, range.end, 16);
  if (bad_end != std::errc() || end - space < 5) return;
  if (space[4] == 's') into.push_back(range);
}

// False when /proc does not tell.
bool look(std::vector<Range>& into) {
  int fd = real::open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return false;
  char text[8192];
  std::size_t kept = 0;
  ssize_t got = 0;
  while ((got = real::read(fd, text + kept, sizeof text - kept)) > 0) {
    std::string_view all(text, kept + static_cast<std::size_t>(got));
    for (std::size_t end = 0; (end = all.find('\n')) != all.npos; all.remove_prefix(end + 1)) {
      read_line(all.substr(0, end), into);
    }
    kept = all.size();
    std::memmove(text, all.data(), kept);
    if (kept == sizeof text) break;
  }
  real::close(fd);
  return got == 0;
}

bool has(const void* address) noexcept {
  auto at = reinterpret_cast<std::uintptr_t>(address);
  return std::any_of(shared.begin(), shared.end(),
                     [at](const Range& range) { return range.begin <= at && at < range.end; });
}

}  // namespace

Sharing known_sharing(const void* address) noexcept {
  std::lock_guard guard(lock);
  return has(address) ? Sharing::Shared : Sharing::Unknown;
}

Sharing sharing_of(const void* address, Deadline since) noexcept {
  Deadline began = now();
  {
    std::lock_guard guard(lock);
    if (has(address)) return Sharing::Shared;
    if (!seen.is_never()) {
      if (since < seen) return Sharing::Private;
      if (began.ns() - seen.ns() < std::chrono::nanoseconds(between_looks).count()) {
        return Sharing::Unknown;
      }
    }
    if (looking) return Sharing::Unknown;
    looking = true;
  }
  std::vector<Range> found;
  bool told = false;
  try {
    told = look(found);
  } catch (...) {  // no memory
  }
  std::lock_guard guard(lock);
  looking = false;
  if (!told) return Sharing::Unknown;
  shared.swap(found);
  seen = began;
  return has(address) ? Sharing::Shared : Sharing::Private;
}

// The lock may have been held by a thread that is not here.
void sharing_forked() noexcept {
  lock.unlock();
  looking = false;
}

}  // namespace fern::monkey
