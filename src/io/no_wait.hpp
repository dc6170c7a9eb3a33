#pragma once

// Not blocking on a descriptor that blocks, without touching its flags.

#include "base/real.hpp"

#include <poll.h>

#include <cerrno>

namespace fern::io {

// ready_now() asks whether a call on a descriptor that blocks would return at once; -1 and EAGAIN
// if not.
inline int ready_now(int fd, short events) noexcept {
  pollfd one{fd, events, 0};
  int ready = real::poll(&one, 1, 0);
  if (ready == 0) errno = EAGAIN;
  return ready > 0 ? 0 : -1;
}

// without_blocking() is a read or write: the kernel's own way of not blocking if it has one for
// this kind of file, else the plain call after asking whether it is ready. Between asking and
// reading another process may be faster; then it blocks.
template <class NoWait, class Plain>
ssize_t without_blocking(int fd, short events, NoWait no_wait, Plain plain) noexcept {
  ssize_t result = no_wait();
  if (result >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)) return result;
  if (ready_now(fd, events) < 0) return -1;
  return plain();
}

}  // namespace fern::io
