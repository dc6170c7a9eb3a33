#include <fern/selector.hpp>

#include "io/syscalls.hpp"
#include "net/fail.hpp"

#include <cerrno>

namespace fern {
namespace {

bool wait_for(int fd, short events, const char* what, Deadline deadline) {
  pollfd one{fd, events, 0};
  int ready = -1;
  if (fd < 0) {
    errno = EBADF;
  } else {
    ready = io::poll(&one, 1, deadline);
  }
  if (ready > 0 && (one.revents & POLLNVAL) != 0) {
    errno = EBADF;
    ready = -1;
  }
  if (ready < 0) net::fail(errno, what);
  return ready > 0;
}

}  // namespace

bool wait_readable(int fd, Deadline deadline) {
  return wait_for(fd, POLLIN, "fern::wait_readable()", deadline);
}

bool wait_writable(int fd, Deadline deadline) {
  return wait_for(fd, POLLOUT, "fern::wait_writable()", deadline);
}

std::size_t poll(std::span<pollfd> fds, Deadline deadline) {
  int ready = io::poll(fds.data(), fds.size(), deadline);
  if (ready < 0) net::fail(errno, "fern::poll()");
  return static_cast<std::size_t>(ready);
}

}  // namespace fern
