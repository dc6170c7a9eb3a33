#pragma once

// libc's calls, green: each tries, waits only if it would block, and tries again. Arguments,
// results and errno are POSIX's, with a Deadline and three errnos more (fd_table.hpp):
// error_deadline, error_interrupted (what is pending stays pending) and error_in_hub. EINTR is
// never reported. A Deadline that has passed means: try once. No call throws or raises SIGPIPE
// but write and writev, which do as POSIX says.
//
// Descriptors that Fern owns are non-blocking. Others keep their flags: a call has its own way of
// not blocking, or asks poll(2) first where the kernel has none.

#include <fern/deadline.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace fern::io {

ssize_t recv(int fd, void* buffer, std::size_t size, int flags, Deadline deadline) noexcept;
ssize_t send(int fd, const void* buffer, std::size_t size, int flags, Deadline deadline) noexcept;
ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from,
                 socklen_t* from_size, Deadline deadline) noexcept;
ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags, const sockaddr* to,
               socklen_t to_size, Deadline deadline) noexcept;
ssize_t recvmsg(int fd, msghdr* message, int flags, Deadline deadline) noexcept;
ssize_t sendmsg(int fd, const msghdr* message, int flags, Deadline deadline) noexcept;
ssize_t read(int fd, void* buffer, std::size_t size, Deadline deadline) noexcept;
ssize_t write(int fd, const void* buffer, std::size_t size, Deadline deadline) noexcept;
ssize_t readv(int fd, const iovec* parts, int count, Deadline deadline) noexcept;
ssize_t writev(int fd, const iovec* parts, int count, Deadline deadline) noexcept;

// accept() gives a descriptor of Fern's own: adopted, non-blocking, close-on-exec.
int accept(int fd, sockaddr* address, socklen_t* size, Deadline deadline) noexcept;

// connect() may leave the socket connecting when it fails: close it.
int connect(int fd, const sockaddr* address, socklen_t size, Deadline deadline) noexcept;

// poll() is 0 when the Deadline passes. Whatever owns the descriptors.
int poll(pollfd* fds, std::size_t count, Deadline deadline) noexcept;

}  // namespace fern::io
