#pragma once

// For rows of send and its kin.

#include "monkey/truth.hpp"

#include <sys/socket.h>

namespace fern::truth {

constexpr std::size_t much = 4 << 20;

// A receiver of datagrams that nobody is connected to, and its address.
inline int bound_udp(World& world) {
  sockaddr_in address = loopback();
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  return world.own(fd);
}

inline sockaddr_in name_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return address;
}

}  // namespace fern::truth
