#pragma once

// What the programs of the million rows have in common. Each is called with what to do and how
// many:
//
//   NAME parked COUNT     parks so many tasks at once; prints what a task takes
//   NAME sleepers COUNT   has so many asleep at once, due within one second; what a sleep takes
//
// and prints one line of JSON, as bench/million.py reads it.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace million {

using Clock = std::chrono::steady_clock;

// A line of /proc/self/status, in bytes.
inline std::int64_t status(const char* field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field)) return std::atoll(line.c_str() + std::strlen(field)) * 1024;
  }
  return 0;
}

inline std::int64_t mappings() {
  std::ifstream maps("/proc/self/maps");
  return std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n');
}

inline double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Parked is made before the first task, and tells when all are parked.
class Parked {
 public:
  void tell(std::int64_t count, std::int64_t parked) const {
    if (parked != count) {
      std::fprintf(stderr, "%lld are parked, not %lld\n", static_cast<long long>(parked),
                   static_cast<long long>(count));
      std::exit(1);
    }
    std::int64_t resident = status("VmRSS:") - resident_;
    std::int64_t tables = status("VmPTE:") - tables_;
    std::printf("{\"resident\": %.1f, \"page_tables\": %.1f, \"mappings\": %lld}\n",
                static_cast<double>(resident) / static_cast<double>(count),
                static_cast<double>(tables) / static_cast<double>(count),
                static_cast<long long>(mappings() - mappings_));
    std::fflush(stdout);
  }

 private:
  std::int64_t resident_ = status("VmRSS:");
  std::int64_t tables_ = status("VmPTE:");
  std::int64_t mappings_ = mappings();
};

// Sleepers is made before the first sleep, says until when each lasts, hears of its end, and tells.
// The first is due when the last has long begun: 4 us for each to be made.
class Sleepers {
 public:
  explicit Sleepers(std::int64_t count)
      : first_(Clock::now() + std::chrono::microseconds(4) * count) {
    late_.reserve(static_cast<std::size_t>(count));
  }
  // The how-manieth sleeps until when: all over one second, and out of order.
  Clock::time_point due(std::int64_t i) const {
    return first_ + std::chrono::microseconds(i * 7919 % 1'000'000);
  }
  void woke(Clock::time_point due) {
    late_.push_back(std::chrono::duration<float, std::milli>(Clock::now() - due).count());
  }
  std::int64_t ended() const { return static_cast<std::int64_t>(late_.size()); }
  void tell(std::int64_t count) {
    double spent = cpu_seconds() - before_;
    if (ended() != count || *std::min_element(late_.begin(), late_.end()) < -1.01F) {
      std::fprintf(stderr, "a sleep was early, or did not end\n");
      std::exit(1);
    }
    auto place = late_.begin() + static_cast<std::ptrdiff_t>(0.99 * static_cast<double>(count - 1));
    std::nth_element(late_.begin(), place, late_.end());
    std::printf("{\"cpu_ns\": %.1f, \"late_p99_ms\": %.2f}\n",
                spent * 1e9 / static_cast<double>(count), static_cast<double>(*place));
  }

 private:
  Clock::time_point first_;
  std::vector<float> late_;
  double before_ = cpu_seconds();
};

struct Job {
  bool parked = false;
  std::int64_t count = 0;
};

inline Job job(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "parked") == 0) return {true, std::atoll(argv[2])};
  if (argc == 3 && std::strcmp(argv[1], "sleepers") == 0) return {false, std::atoll(argv[2])};
  std::fprintf(stderr, "usage: %s parked|sleepers COUNT\n", argv[0]);
  std::exit(2);
}

}  // namespace million
