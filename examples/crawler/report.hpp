#pragma once

// A Report counts what the crawl did, writes a JSON row per address to a file, and tells the user:
// a live line on a terminal, a plain line now and then elsewhere, and a summary at the end.

#include <fern/greenlet.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <string>

#include "options.hpp"

namespace crawler {

// What became of one address.
struct Row {
  std::string url;
  unsigned status = 0;        // 0: no answer
  std::string error = {};     // why it failed; empty: it did not
  std::string type = {};      // the answer's media type
  std::string redirect = {};  // where the answer led to
  std::uint64_t bytes = 0;    // of the body
  double milliseconds = 0;    // the request took
  std::size_t links = 0;      // on the page
  std::size_t depth = 0;      // links from where the crawl began
};

class Report {
 public:
  // Throws std::runtime_error if it cannot write where options.output says.
  explicit Report(const Options& options);
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  // begin() starts the clock and the progress line; end() stops both and prints the summary.
  void begin();
  void end();

  void add(const Row& row);

  // A Flight counts as "in flight" while it lives.
  class Flight {
   public:
    explicit Flight(Report& report) : report_(report) { ++report_.in_flight_; }
    Flight(const Flight&) = delete;
    Flight& operator=(const Flight&) = delete;
    ~Flight() { --report_.in_flight_; }

   private:
    Report& report_;
  };

  std::size_t pages() const noexcept { return pages_; }
  std::size_t failures() const noexcept { return failures_; }
  std::chrono::duration<double> time() const { return ended_ - began_; }

 private:
  struct Failure {
    std::size_t count = 0;
    std::string example;
  };

  void print_progress();
  void print_summary() const;

  bool terminal_;
  std::ofstream rows_;
  bool wants_rows_;
  std::chrono::steady_clock::time_point began_;
  std::chrono::steady_clock::time_point ended_;
  std::size_t pages_ = 0;      // answered with what was asked for
  std::size_t redirects_ = 0;  // answered with another address
  std::size_t failures_ = 0;
  std::size_t links_ = 0;
  std::uint64_t bytes_ = 0;
  std::size_t in_flight_ = 0;
  std::map<std::string, Failure> reasons_;
  fern::Greenlet<void> ticker_;
};

// grouped() writes a number with a comma between thousands.
std::string grouped(std::uint64_t number);

}  // namespace crawler
