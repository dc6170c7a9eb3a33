#pragma once

// A Journal collects what happens, a line each, so that a test compares the whole order at once.
//
//   Journal log;
//   log("woke ", 0, "!");           // its parts, one after the other
//   log.say("woke", 1, true);       // words, with a space between two of them
//   EXPECT_EQ(log.lines(), (Lines{"woke 0!", "woke 1 1"}));

#include <functional>
#include <ios>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fern::testing {

using Lines = std::vector<std::string>;

class Journal {
 public:
  template <class... Parts>
  void operator()(const Parts&... parts) {
    std::ostringstream line;
    line << std::boolalpha;
    (line << ... << parts);
    lines_.push_back(std::move(line).str());
  }
  template <class... Words>
  void say(const Words&... words) {
    std::ostringstream line;
    std::string_view gap;
    ((line << gap << words, gap = " "), ...);
    lines_.push_back(std::move(line).str());
  }

  const Lines& lines() const noexcept { return lines_; }
  void clear() noexcept { lines_.clear(); }

 private:
  Lines lines_;
};

// What `run` logs when no time slice of the hub happens to end while it runs: when one does, timers
// get their turn in between. Several tries, for a machine that is busy.
inline Lines within_a_slice(const Lines& expected, const std::function<void(Journal&)>& run) {
  Lines seen;
  for (int tries = 0; tries < 200 && seen != expected; ++tries) {
    Journal log;
    run(log);
    seen = log.lines();
  }
  return seen;
}

}  // namespace fern::testing

using fern::testing::Journal;
using fern::testing::Lines;
using fern::testing::within_a_slice;
