#pragma once

// Waiting for descriptors that are not Fern's: of other libraries, inherited, terminals, pipes.
//
//   if (fern::wait_readable(PQsocket(connection), 2s)) PQconsumeInput(connection);
//
//   pollfd fds[] = {{from, POLLIN, 0}, {to, POLLOUT, 0}};   // <poll.h>
//   if (fern::poll(fds, 100ms) > 0 && (fds[0].revents & POLLIN) != 0) copy(from, to);
//
// The descriptor's flags are not touched, O_NONBLOCK least of all, and it is watched only for as
// long as the wait lasts. Several greenlets, of any hub, may wait for one descriptor: all are
// told. Files are always ready. Whoever closes a descriptor that others wait for with close(2)
// leaves them waiting; Socket::close() wakes them.

#include <fern/config.hpp>
#include <fern/deadline.hpp>

#include <cstddef>
#include <span>

struct pollfd;

namespace fern {

// wait_readable() waits until a read would not block: data, the end, or an error to be read.
// False when the deadline passes first. Throws std::system_error (EBADF for what is not open or is
// closed meanwhile), and what every wait throws when the greenlet is killed.
FERN_API bool wait_readable(int fd, Deadline deadline = {});

// wait_writable() is the same for writing; an unconnected socket counts as ready, too.
FERN_API bool wait_writable(int fd, Deadline deadline = {});

// poll() is poll(2): waits until one of the descriptors is ready, fills in every revents and
// returns how many are; 0 when the deadline passes first. A negative fd is skipped, one that is
// not open is ready with POLLNVAL. Throws as wait_readable, but never for a bad descriptor.
// Allocates only for more than eight.
FERN_API std::size_t poll(std::span<pollfd> fds, Deadline deadline = {});

}  // namespace fern
