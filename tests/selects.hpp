#pragma once

// What the tests of select share.

#include <string>
#include <vector>

#include "support.hpp"

namespace fern::testing {

using Log = std::vector<std::string>;

class SelectTest : public FernTest {
 protected:
  auto say(std::string what) {
    return [this, what] { log.push_back(what); };
  }
  auto got(std::string where) {
    return [this, where](int value) { log.push_back(where + " " + std::to_string(value)); };
  }
  Log log;
};

}  // namespace fern::testing
