#pragma once

// What the tests of raw greenlets share.

#include <fern/raw_greenlet.hpp>

#include <exception>
#include <stdexcept>
#include <string>

#include "support.hpp"

namespace fern::testing {

class RawGreenletTest : public FernTest {
 protected:
  void log(const std::string& what) { text += what + ' '; }
  std::string text;
};

// Suspends itself, again and again, in whoever is its parent.
inline void suspend() { getcurrent().parent().switch_to(); }

inline std::exception_ptr error(const char* what) {
  return std::make_exception_ptr(std::runtime_error(what));
}

}  // namespace fern::testing

using fern::testing::error;
using fern::testing::RawGreenletTest;
using fern::testing::suspend;
