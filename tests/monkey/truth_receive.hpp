#pragma once

// For rows of recv and its kin.

#include "monkey/truth.hpp"

#include <algorithm>
#include <chrono>

namespace fern::truth {

inline void receive_once(World& world, int fd, std::size_t size = 8, int flags = 0) {
  char bytes[64] = {};
  ssize_t got = world.call("recv", [&] { return recv(fd, bytes, size, flags); });
  world.note("data", text(bytes, std::min<ssize_t>(got, 64)));
}

inline void receive_within_limit(World& world, int fd, std::size_t size = 8, int flags = 0) {
  char bytes[64] = {};
  ssize_t got = world.timed_call("recv", std::chrono::milliseconds(30),
                                 [&] { return recv(fd, bytes, size, flags); });
  world.note("data", text(bytes, got));
}

}  // namespace fern::truth
