#pragma once

// TCP connections that are told by edges, for tests of what is missed nowhere.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <utility>

#include "core/hub.hpp"
#include "descriptors.hpp"
#include "fern/greenlet.hpp"
#include "fern/wait.hpp"
#include "io/fd_table.hpp"

namespace fern::testing {

class EdgeTest : public DescriptorTest {
 protected:
  // Two ends of a TCP connection, of Fern's own.
  struct Tcp {
    explicit Tcp(int protocol = 0) {
      int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol);
      sockaddr_in here{};
      here.sin_family = AF_INET;
      here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t size = sizeof here;
      auto* address = reinterpret_cast<sockaddr*>(&here);
      EXPECT_EQ(::bind(listener, address, size), 0);
      EXPECT_EQ(::listen(listener, 1), 0);
      EXPECT_EQ(::getsockname(listener, address, &size), 0);
      a = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol);
      EXPECT_EQ(::connect(a, address, size), 0);
      b = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      ::close(listener);
      int on = 1;
      for (int fd : {a, b}) {
        EXPECT_EQ(::fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        EXPECT_EQ(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
        EXPECT_TRUE(io::adopt(fd, true));
      }
    }
    ~Tcp() {
      for (int fd : {a, b}) {
        if (fd >= 0) io::close(fd, true);
      }
    }
    Tcp(const Tcp&) = delete;
    Tcp& operator=(const Tcp&) = delete;
    void close_b() { io::close(std::exchange(b, -1), true); }
    int a;
    int b;
  };

  // A limit that no test comes near, for the reader's end: a recv with a deadline tries once more
  // when it has passed, and would find what it has missed.
  static constexpr std::chrono::seconds patience{10};
  static std::string received(int fd, std::size_t most = 100) {
    return fern::spawn([=] { return recv(fd, most); }).get(patience);
  }

  // A look at the loop, and nobody's turn.
  static void poll() { fern::core::Hub::current().loop().poll(false, 0); }

  static bool by_edges(int fd) { return io::FdTable::make_here()->find(fd)->edge; }

  // So many short reads of a that wait.
  static void read_shortly(int a, int b, int count = io::FdEntry::enough_shorts + 1) {
    for (int i = 0; i < count; ++i) {
      auto reader = fern::spawn([&] { return recv(a); });
      fern::yield();
      send(b, "short");
      EXPECT_EQ(reader.get(patience), "short");
    }
  }
  static void sharpen(const Tcp& tcp) {
    read_shortly(tcp.a, tcp.b);
    ASSERT_TRUE(by_edges(tcp.a));
  }
};

}  // namespace fern::testing
