#pragma once

// recv() and send() as most go through them, to be inlined, each in one piece: on the way back from
// the kernel each return is predicted wrong, and each line of code has to be fetched.

#include "base/real.hpp"
#include "io/fd_wait_here.hpp"
#include "io/syscalls.hpp"

#include <sys/socket.h>

namespace fern::io {

// The other ways. recv_on() goes on after a wait that has ended otherwise than by a readiness, or,
// if `tried`, after one more try that gave `got`, with errno: nothing, or something while others
// wait. send_on() goes on after a try that has failed, with errno.
ssize_t recv_plain(int fd, void* buffer, std::size_t size, int flags, Deadline deadline) noexcept;
ssize_t recv_on(FdWait& wait, int error, bool tried, ssize_t got, int fd, void* buffer,
                std::size_t size, Deadline deadline) noexcept;
ssize_t send_on(int fd, const void* buffer, std::size_t size, int flags,
                Deadline deadline) noexcept;

// Who waits for the next request of a connection that had none left. `near` is fetched while the
// kernel copies.
__attribute__((always_inline)) inline ssize_t recv_here(int fd, void* buffer, std::size_t size,
                                                        Deadline deadline,
                                                        const void* near) noexcept {
  FdTable* table = FdTable::here();
  FdEntry* entry = table == nullptr ? nullptr : table->find(fd);
  if (entry == nullptr || !entry->would_block() || size == 0 || deadline == Deadline::past())
      [[unlikely]]
    return recv_plain(fd, buffer, size, 0, deadline);
  FdWait wait(fd, Direction::Read);
  if (!wait.begin_alone(*table, *entry)) [[unlikely]]
    return recv_plain(fd, buffer, size, 0, deadline);
  const core::Wake why = wait.park_alone("recv()", deadline);
  if (why != core::Wake::Notified || wait.closed()) [[unlikely]]
    return recv_on(wait, wait.error_of(why), false, 0, fd, buffer, size, deadline);
  if (near != nullptr) __builtin_prefetch(near);
  const ssize_t got = real::recv(fd, buffer, size, MSG_DONTWAIT);
  if (got <= 0 || !wait.end_alone()) [[unlikely]]
    return recv_on(wait, 0, true, got, fd, buffer, size, deadline);
  if (entry->has_read(static_cast<std::size_t>(got) >= size)) [[unlikely]]
    table->sharpen(*entry);
  return got;
}

// What goes at once; less than nothing with an errno, for send_on().
__attribute__((always_inline)) inline ssize_t send_now(int fd, const void* buffer, std::size_t size,
                                                       int flags) noexcept {
  return real::send(fd, buffer, size, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
}

__attribute__((always_inline)) inline ssize_t send_here(int fd, const void* buffer,
                                                        std::size_t size, int flags,
                                                        Deadline deadline) noexcept {
  const ssize_t went = send_now(fd, buffer, size, flags);
  return went >= 0 ? went : send_on(fd, buffer, size, flags, deadline);
}

}  // namespace fern::io
