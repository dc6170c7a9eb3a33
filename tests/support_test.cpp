#include "support.hpp"

#include <fcntl.h>
#include <gtest/gtest-spi.h>
#include <unistd.h>

#include <memory>

#include "fern/greenlet.hpp"

namespace {

// A test of the fixture: what it does between construction and destruction is up to the caller.
class Probe : public FernTest {
 public:
  using FernTest::may_keep_heap;
  void TestBody() override {}
};

}  // namespace

TEST(FernTestFixture, FailsATestThatLeavesADescriptorBehind) {
  static int fd;
  EXPECT_NONFATAL_FAILURE(
      {
        Probe probe;
        fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
      },
      "descriptor");
  ::close(fd);
}

TEST(FernTestFixture, FailsATestThatReplacesADescriptor) {
  static int fd;
  fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_NONFATAL_FAILURE(
      {
        Probe probe;
        const int other = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
        ::dup2(other, fd);
        ::close(other);
      },
      "/dev/zero");
  ::close(fd);
}

TEST(FernTestFixture, FailsATestThatLeavesAGreenletBehind) {
  static fern::AnyGreenlet kept;
  EXPECT_NONFATAL_FAILURE(
      {
        Probe probe;
        probe.may_keep_heap("the greenlet's");
        kept = fern::spawn([] { fern::sleep(std::chrono::hours(1)); });
      },
      "greenlets");
  kept.kill();
  kept = {};
}

TEST(FernTestFixture, FailsATestThatLeavesAHandleBehind) {
  static fern::AnyGreenlet kept;
  EXPECT_NONFATAL_FAILURE(
      {
        Probe probe;
        kept = fern::spawn([] {});
        kept.join();
      },
      "handles");
  kept = {};
}

// A sanitizer brings its own operator new, and finds leaks itself.
#ifdef FERN_TESTS_COUNT_HEAP
TEST(FernTestFixture, FailsATestThatLeavesHeapBehind) {
  static std::unique_ptr<int> kept;
  EXPECT_NONFATAL_FAILURE(
      {
        Probe probe;
        kept = std::make_unique<int>(1);
      },
      "heap");
  kept.reset();
}
#endif

TEST(FernTestFixture, LetsATestKeepHeapForAReason) {
  static std::unique_ptr<int> kept;
  {
    Probe probe;
    probe.may_keep_heap("the reason");
    kept = std::make_unique<int>(1);
  }
  kept.reset();
}

TEST(FernTestFixture, PassesATestThatTakesNothing) {
  Probe probe;
  std::make_unique<int>(1).reset();
}
