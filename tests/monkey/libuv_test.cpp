// libuv calls libc by name, so its calls come to the wrappers. They must be native there: the hub
// does not wait on itself.

#include "monkey/patched.hpp"
#include "monkey/state.hpp"

#include <fern/dns.hpp>
#include <fern/socket.hpp>

using namespace std::chrono_literals;

namespace {

class MonkeyLibuv : public MonkeyTest {
 protected:
  static std::uint64_t green() { return fern::monkey::green_calls.load(); }
};

constexpr int rounds = 10'000;

TEST_F(MonkeyLibuv, TheCountCounts) {
  std::uint64_t before = green();
  EXPECT_EQ(usleep(1), 0);
  EXPECT_EQ(green(), before + 1);
}

TEST_F(MonkeyLibuv, WaitsForSocketsAndTimersAreNoGreenCalls) {
  auto [near, far] = fern::socketpair();
  std::uint64_t before = green();
  auto echo = fern::spawn([&far = far] {
    for (std::string part; !(part = far.recv(1)).empty();) far.sendall(part);
  });
  for (int i = 0; i < rounds; ++i) {
    near.sendall("x");
    ASSERT_EQ(near.recv(1), "x");
    if (i % 10 == 0) fern::sleep(1us);
  }
  near.close();
  echo.join();
  EXPECT_EQ(green(), before);
}

TEST_F(MonkeyLibuv, LookUpsAndJobsAreNoGreenCalls) {
  may_keep_heap("the workers stay for some seconds");
  std::uint64_t before = green();
  fern::GreenPool pool(8);
  for (int i = 0; i < rounds; ++i) {
    pool.spawn([i] {
      if (i % 10 == 0) {
        EXPECT_FALSE(fern::resolve("localhost", 80).empty());
      } else {
        EXPECT_EQ(fern::in_thread([i] { return i; }), i);
      }
    });
  }
  pool.waitall();
  EXPECT_EQ(green(), before);
}

}  // namespace
