#pragma once

// For rows of stdio.

#include "monkey/truth.hpp"

#include <cstdio>
#include <utility>

namespace fern::truth {

// A FILE of a duplicate of the descriptor, so that the world sees what becomes of its flags.
struct Stream {
  Stream(int fd, const char* mode, int how = _IOFBF, std::size_t size = BUFSIZ)
      : file(fdopen(dup(fd), mode)) {
    setvbuf(file, nullptr, how, size);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (file != nullptr) fclose(file);
  }
  operator FILE*() const { return file; }
  FILE* release() { return std::exchange(file, nullptr); }
  FILE* file;
};

inline void note_state(World& world, FILE* file) {
  world.note("feof", feof(file) != 0);
  world.note("ferror", ferror(file) != 0);
}

}  // namespace fern::truth
