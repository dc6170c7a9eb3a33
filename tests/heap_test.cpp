// What never asks the heap: beginning and ending a greenlet, parking it, and waiting for a socket,
// once there has been one of each.
#include <fern/fern.hpp>

#include <array>
#include <chrono>
#include <cstdint>

#include "support.hpp"

namespace {

using namespace std::chrono_literals;

class Heap : public fern::testing::FernTest {
 protected:
  // How often `work` asks the heap in a hundred rounds, after five that may.
  template <class Fn>
  static std::int64_t allocations(Fn work) {
    for (int i = 0; i < 5; ++i) work();
    const auto before = fern::testing::heap_allocations();
    for (int i = 0; i < 100; ++i) work();
    return fern::testing::heap_allocations() - before;
  }
};

TEST_F(Heap, IsCounted) {
#ifdef FERN_TESTS_COUNT_HEAP
  EXPECT_EQ(allocations([] { delete new volatile int(1); }), 100);
#endif
}

TEST_F(Heap, IsNotAskedByAWarmSpawnAndJoin) {
  int ran = 0;
  EXPECT_EQ(allocations([&] { fern::spawn([&] { ++ran; }).join(); }), 0);
  EXPECT_EQ(ran, 105);
}

TEST_F(Heap, IsNotAskedByAParkAndItsWakeUp) {
  fern::Semaphore there(0);
  fern::Semaphore back(0);
  bool stop = false;
  auto other = fern::spawn([&] {
    for (;;) {
      there.acquire();
      if (stop) return;
      back.release();
    }
  });
  EXPECT_EQ(allocations([&] {
              there.release();
              back.acquire();
            }),
            0);
  stop = true;
  there.release();
  other.join();
}

TEST_F(Heap, IsNotAskedByAParkWithADeadline) {
  fern::Event never;
  EXPECT_EQ(allocations([&] { never.wait(10us); }), 0);
  EXPECT_EQ(allocations([] { fern::sleep(10us); }), 0);
}

TEST_F(Heap, IsNotAskedByAWaitForASocket) {
  auto [ours, theirs] = fern::socketpair();
  std::int64_t answered = 0;
  auto other = fern::spawn([&] {
    std::array<char, 8> data;
    while (auto came = theirs.recv(data)) {
      theirs.sendall(std::span(data).first(came));
      ++answered;
    }
  });
  std::array<char, 8> data{};
  EXPECT_EQ(allocations([&] {
              ours.sendall(std::span(data));
              ASSERT_EQ(ours.recv(data), data.size());
            }),
            0);
  EXPECT_EQ(allocations([&] {
              ours.sendall(std::span(data));
              ASSERT_EQ(ours.recv(data, 10s), data.size());
            }),
            0);
  ours.close();
  other.join();
  EXPECT_EQ(answered, 210);
}

}  // namespace
