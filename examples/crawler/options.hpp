#pragma once

// What the command line asks for.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace crawler {

struct Options {
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  std::vector<std::string> urls;              // none: the demo
  std::size_t concurrency = 200;              // requests at a time
  std::size_t per_host = 0;                   // connections to one host at a time; 0: as many
  std::size_t depth = unlimited;              // links away from where it began
  std::size_t max_pages = unlimited;          // addresses tried
  std::chrono::duration<double> timeout{30};  // for one request, from connecting to the last byte
  std::uint64_t max_bytes = std::uint64_t{16} * 1024 * 1024;  // of one body
  unsigned retries = 2;                                       // after a connection failure
  bool span_hosts = false;                                    // follow links to other hosts
  bool ignore_robots = false;
  bool libxml2 = false;  // read pages with libxml2, not with our own scanner
  std::string user_agent = "FernCrawler/0.1";
  std::string output;  // a JSON row per address goes here

  std::size_t demo_pages = 2000;
  std::chrono::milliseconds demo_latency{50};
};

}  // namespace crawler
