#pragma once

// Greenlets that wait, for tests to wake or kill.

#include <fern/greenlet.hpp>

#include <vector>

namespace fern::testing {

// `count` greenlets that call f with their numbers, all come to their first wait.
template <class F>
std::vector<AnyGreenlet> start(int count, F f) {
  std::vector<AnyGreenlet> all;
  for (int i = 0; i < count; ++i) all.push_back(spawn(f, i));
  yield();
  return all;
}

}  // namespace fern::testing

using fern::testing::start;
