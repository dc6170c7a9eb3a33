#pragma once

// Descriptor is one that the monkey has opened for itself, -1 for none.

#include "io/fd_table.hpp"

namespace fern::monkey {

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) io::close(fd_, false);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace fern::monkey
