#pragma once

// What every echo server here has in common: it listens on a loopback port of the kernel's choice,
// prints the number, and serves until it is killed. What comes is sent back, with TCP_NODELAY.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace echo {

// A buffer of every server: one recv takes the largest message of the suite.
constexpr std::size_t buffer_size = 16 * 1024;

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

inline void no_delay(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

inline void say_port(unsigned port) {
  std::printf("%u\n", port);
  std::fflush(stdout);
}

// listen_here() makes the listening socket; `flags` are socket(2)'s.
inline int listen_here(int flags = 0) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), size) < 0 || listen(fd, 1024) < 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0) {
    die("listen");
  }
  say_port(ntohs(address.sin_port));
  return fd;
}

}  // namespace echo
