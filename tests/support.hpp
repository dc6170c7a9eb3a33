#pragma once

#include <gtest/gtest.h>

namespace fern::testing {

// The fixture of every test: a test that leaves file descriptors behind fails.
class FernTest : public ::testing::Test {
 protected:
  FernTest();
  void TearDown() override;

 private:
  // Open descriptors when the test began.
  int open_fds_;
};

}  // namespace fern::testing

using FernTest = fern::testing::FernTest;
