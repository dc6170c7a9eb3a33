#pragma once

// What the tests of imap share: an input as small as can be, and how to read all of the results.

#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include <fern/errors.hpp>
#include <fern/greenlet.hpp>

#include "support.hpp"

namespace fern::testing {

using Log = std::vector<std::string>;

inline std::string number(int n) { return std::to_string(n); }

// Lets whatever is ready come to rest.
inline void settle() {
  for (int turn = 0; turn < 30; ++turn) fern::yield();
}

inline int same(int i) { return i; }

// A generator of the numbers below `end` that logs "R<i>" when it makes one, moves only and is
// read once: as little as an input range can be.
class Numbers : public std::ranges::view_base {
 public:
  Numbers(int end, Log* log, std::function<void(int)> before = {})
      : end_(end), log_(log), before_(std::move(before)) {}
  Numbers(Numbers&&) = default;
  Numbers& operator=(Numbers&&) = default;

  class Iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(Numbers* numbers) : numbers_(numbers) {}
    Iterator(Iterator&&) = default;
    Iterator& operator=(Iterator&&) = default;
    int operator*() const { return numbers_->value_; }
    Iterator& operator++() {
      numbers_->make();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return numbers_->value_ == numbers_->end_; }

   private:
    Numbers* numbers_;
  };

  Iterator begin() {
    make();
    return Iterator(this);
  }
  std::default_sentinel_t end() const { return {}; }

 private:
  void make() {
    if (++value_ == end_) return;
    if (before_) before_(value_);
    if (log_ != nullptr) log_->push_back("R" + number(value_));
  }

  int end_;
  int value_ = -1;
  Log* log_;
  std::function<void(int)> before_;
};
static_assert(std::ranges::input_range<Numbers> && !std::ranges::forward_range<Numbers>);

// What is thrown at one position, as "name", or the value.
template <class Results>
Log collect(Results&& results) {
  Log out;
  for (auto it = results.begin(); it != results.end(); ++it) {
    try {
      out.push_back(number(*it));
    } catch (const fern::GreenletKilled&) {
      out.push_back("killed");
    } catch (const std::exception& error) {
      out.push_back(error.what());
    }
  }
  return out;
}

inline std::string joined(const Log& log) {
  std::string text;
  for (const auto& word : log) text += (text.empty() ? "" : " ") + word;
  return text;
}

class ImapTest : public FernTest {
 protected:
  // Readers and workers that were called off leave at their turn.
  ~ImapTest() override {
    fern::yield();
    fern::yield();
  }
};

}  // namespace fern::testing
