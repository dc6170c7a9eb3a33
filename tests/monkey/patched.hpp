#pragma once

#include "support.hpp"

#include <fern/fern.hpp>
#include <fern/monkey.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

namespace fern::testing {

// Worker threads are made once, and what they share stays: before any test counts what it leaves.
class WorkersBegun : public ::testing::Environment {
 public:
  void SetUp() override {
    in_thread([] {});
    char folder[] = "/tmp/fern-monkey-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    std::string fifo = std::string(folder) + "/fifo";
    ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    monkey::patch(monkey::Part::Files | monkey::Part::Sockets);
    ::close(::open(fifo.c_str(), O_RDWR));
    EXPECT_EQ(::accept(-1, nullptr, nullptr), -1);
    monkey::unpatch();
    unlink(fifo.c_str());
    rmdir(folder);
  }
};
inline ::testing::Environment* const workers_begun =
    ::testing::AddGlobalTestEnvironment(new WorkersBegun);

// A test of wrapped calls: everything is patched while it runs.
class MonkeyTest : public FernTest {
 protected:
  MonkeyTest() { monkey::patch_all(); }
  ~MonkeyTest() override { monkey::unpatch(); }
};

// Two ends that close themselves, blocking as the system makes them.
struct Pair {
  explicit Pair(int type = SOCK_STREAM) {
    EXPECT_EQ(::socketpair(AF_UNIX, type, 0, ends.data()), 0);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    close(0);
    close(1);
  }
  int operator[](int i) const { return ends[static_cast<std::size_t>(i)]; }
  void close(int i) {
    int& end = ends[static_cast<std::size_t>(i)];
    if (end >= 0) ::close(end);
    end = -1;
  }
  std::array<int, 2> ends{-1, -1};
};

}  // namespace fern::testing

using fern::testing::MonkeyTest;
using fern::testing::Pair;
