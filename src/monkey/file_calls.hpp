#pragma once

// needs_mode() asks whether an open() with these flags has a third argument.

#include <fcntl.h>

namespace fern::monkey {

constexpr bool needs_mode(int flags) noexcept {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

}  // namespace fern::monkey
