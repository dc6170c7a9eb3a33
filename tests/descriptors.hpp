#pragma once

// Descriptors to wait for, of Fern's own and of others, for tests of io.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "io/fd_table.hpp"
#include "io/syscalls.hpp"
#include "support.hpp"

namespace fern::testing {

class DescriptorTest : public FernTest {
 protected:
  // Two connected unix stream sockets of Fern's own.
  struct Pair {
    Pair() {
      int both[2];
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both), 0);
      a = both[0];
      b = both[1];
      io::adopt(a, true);
      io::adopt(b, true);
    }
    ~Pair() {
      close_a();
      close_b();
    }
    void close_a() {
      if (a >= 0) io::close(std::exchange(a, -1), true);
    }
    void close_b() {
      if (b >= 0) io::close(std::exchange(b, -1), true);
    }
    int a;
    int b;
  };

  // Ends of a pipe that Fern has never seen.
  struct Pipe {
    Pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
    ~Pipe() {
      ::close(ends[0]);
      ::close(ends[1]);
    }
    int ends[2];
  };

  static std::string recv(int fd, std::size_t most = 100, fern::Deadline deadline = {}) {
    std::string data(most, '\0');
    ssize_t got = io::recv(fd, data.data(), most, 0, deadline);
    if (got < 0) return "errno " + std::to_string(errno);
    data.resize(static_cast<std::size_t>(got));
    return data;
  }
  static void send(int fd, std::string_view data) {
    EXPECT_EQ(io::send(fd, data.data(), data.size(), 0, {}), static_cast<ssize_t>(data.size()));
  }
  static void send_byte(const Pipe& pipe) { EXPECT_EQ(::write(pipe.ends[1], "x", 1), 1); }
  static std::string error(int number) { return "errno " + std::to_string(number); }
};

}  // namespace fern::testing
