#pragma once

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace fern::testing {

using Lines = std::vector<std::string>;

// Journal collects what happened, a line for each, so that a test compares the whole order at
// once.
class Journal {
 public:
  // say() adds a line: the words with a space between two of them.
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

}  // namespace fern::testing

using fern::testing::Journal;
using fern::testing::Lines;
