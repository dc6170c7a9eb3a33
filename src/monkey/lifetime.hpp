#pragma once

// change_hands() is the way of every call after which a number means something else, or nothing:
// whoever waits for it is told first.

#include "io/fd_table.hpp"
#include "monkey/kind.hpp"

namespace fern::monkey {

// `change()` is the native call. May park, for other hubs to let go.
template <class Change>
int change_hands(int fd, Change change) noexcept {
  forget_kind(fd);
  if (io::waited_for(fd)) io::release(fd);
  int result = change();
  io::changed(fd);
  return result;
}

}  // namespace fern::monkey
