#pragma once

// The real libc calls: the only door to libc I/O in Fern. They go to libc itself even where an
// interposing library (Fern's own monkey) defines the same names, so that Fern never waits on
// itself. Each is its POSIX namesake: same arguments, same return value, same errno.

#include <fern/config.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

struct itimerspec;
struct timespec;
struct addrinfo;

// Exported for libfern_monkey alone, see FERN_INTERNAL.
namespace fern {
namespace real FERN_INTERNAL {

ssize_t read(int fd, void* buffer, std::size_t size) noexcept;
ssize_t write(int fd, const void* buffer, std::size_t size) noexcept;
ssize_t readv(int fd, const iovec* parts, int count) noexcept;
ssize_t writev(int fd, const iovec* parts, int count) noexcept;
ssize_t preadv2(int fd, const iovec* parts, int count, off_t offset, int flags) noexcept;
ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags) noexcept;
ssize_t recv(int fd, void* buffer, std::size_t size, int flags) noexcept;
ssize_t send(int fd, const void* buffer, std::size_t size, int flags) noexcept;
ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from,
                 socklen_t* from_size) noexcept;
ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags, const sockaddr* to,
               socklen_t to_size) noexcept;
ssize_t recvmsg(int fd, msghdr* message, int flags) noexcept;
ssize_t sendmsg(int fd, const msghdr* message, int flags) noexcept;
int socket(int domain, int type, int protocol) noexcept;
int socketpair(int domain, int type, int protocol, int* fds) noexcept;
int bind(int fd, const sockaddr* address, socklen_t size) noexcept;
int listen(int fd, int backlog) noexcept;
int accept4(int fd, sockaddr* address, socklen_t* size, int flags) noexcept;
int connect(int fd, const sockaddr* address, socklen_t size) noexcept;
int shutdown(int fd, int how) noexcept;
int getsockname(int fd, sockaddr* address, socklen_t* size) noexcept;
int getpeername(int fd, sockaddr* address, socklen_t* size) noexcept;
int getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept;
int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept;
int close(int fd) noexcept;
int fcntl(int fd, int command, int argument) noexcept;
int fcntl_lock(int fd, int command, void* lock) noexcept;  // fcntl(2) with a struct flock
int ioctl(int fd, unsigned long request, void* argument) noexcept;
int poll(pollfd* fds, nfds_t count, int timeout_ms) noexcept;
pid_t waitpid(pid_t pid, int* status, int options) noexcept;
int sched_yield() noexcept;
int futex(const void* word, int operation, std::uint32_t value, const timespec* time,
          std::uint32_t value3 = 0) noexcept;
int pidfd_open(pid_t pid) noexcept;  // close-on-exec; ENOSYS before Linux 5.3
int open(const char* path, int flags, mode_t mode) noexcept;
int signalfd(int fd, const sigset_t* mask, int flags) noexcept;
int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                addrinfo** result) noexcept;

int dup3(int from, int to, int flags) noexcept;
int epoll_create1(int flags) noexcept;
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept;
int epoll_wait(int epoll, epoll_event* events, int capacity, int timeout_ms) noexcept;
int eventfd(unsigned initial, int flags) noexcept;
int timerfd_create(int clock, int flags) noexcept;
int timerfd_settime(int fd, int flags, const itimerspec* value, itimerspec* old) noexcept;

// write_all() writes everything to a blocking fd, as far as it goes; for last words on stderr.
void write_all(int fd, const char* text, std::size_t size) noexcept;

}  // namespace real FERN_INTERNAL
}  // namespace fern
