#pragma once

// For rows of read, write and their kin.

#include "monkey/truth_parts.hpp"

#include <unistd.h>

#include <string>

namespace fern::truth {

inline ssize_t read_once(World& world, int fd, std::size_t size = 8) {
  char bytes[64] = {};
  ssize_t got = world.call("read", [&] { return read(fd, bytes, size); });
  world.note("data", text(bytes, got));
  return got;
}

inline ssize_t write_once(World& world, int fd, std::size_t size = 3) {
  std::string bytes(size, 'w');
  return world.call("write", [&] { return write(fd, bytes.data(), size); });
}

}  // namespace fern::truth
