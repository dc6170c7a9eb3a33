#pragma once

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <string_view>

namespace fern::testing {

// A pipe whose ends are a FILE for the test and a descriptor for the other side.
struct Piped {
  explicit Piped(const char* mode) {
    int fds[2];
    EXPECT_EQ(pipe(fds), 0);
    bool reads = mode[0] == 'r';
    file = fdopen(fds[reads ? 0 : 1], mode);
    other = fds[reads ? 1 : 0];
  }
  Piped(const Piped&) = delete;
  Piped& operator=(const Piped&) = delete;
  ~Piped() {
    if (file != nullptr) fclose(file);
    close_other();
  }
  void close_other() {
    if (other >= 0) close(other);
    other = -1;
  }
  FILE* file = nullptr;
  int other = -1;
};

inline void say(int fd, std::string_view text) {
  ASSERT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

}  // namespace fern::testing

using fern::testing::Piped;
using fern::testing::say;
