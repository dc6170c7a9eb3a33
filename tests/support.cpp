#include "support.hpp"

#include <filesystem>
#include <iterator>

namespace fern::testing {

namespace {

int count_open_fds() {
  std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<int>(std::distance(entries, std::filesystem::directory_iterator{}));
}

}  // namespace

FernTest::FernTest() : open_fds_(count_open_fds()) {}

void FernTest::TearDown() {
  EXPECT_EQ(open_fds_, count_open_fds()) << "the test left file descriptors behind";
}

}  // namespace fern::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
