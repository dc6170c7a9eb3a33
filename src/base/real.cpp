#include "base/real.hpp"

#include "base/native.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

// clang gives a definition what its own namespace says.
namespace fern {
namespace real FERN_INTERNAL {
namespace {

// Sanitizers see memory and order through their own versions of these calls: keep theirs there.
// Those call what is next in the process, which may be libfern_monkey's: natively, or it would call
// here.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FERN_REAL_DIRECT 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FERN_REAL_DIRECT 1
#endif
#endif

#ifndef FERN_REAL_DIRECT
// libc by its own handle, never RTLD_NEXT: what comes next depends on the link order.
void* in_libc(const char* name) noexcept {
  static std::atomic<void*> libc{nullptr};
  void* handle = libc.load(std::memory_order_acquire);
  if (handle == nullptr) {
    handle = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    libc.store(handle, std::memory_order_release);
  }
  return handle == nullptr ? nullptr : dlsym(handle, name);
}
#endif

// One call that remembers where libc has it. A static program has no libc.so to ask and nobody
// to interpose: it uses the symbol that it was linked with.
template <class Function, class R, class... Args>
class Found {
 public:
  constexpr Found(const char* name, Function* linked) noexcept : name_(name), linked_(linked) {}

#ifdef FERN_REAL_DIRECT
  R operator()(Args... args) noexcept {
    base::NativeScope native;
    return linked_(args...);
  }
#else
  R operator()(Args... args) noexcept {
    Function* call = found_.load(std::memory_order_relaxed);
    return call != nullptr ? call(args...) : first(args...);
  }

 private:
  // Apart, so that a call that has been found is nothing but a jump.
  __attribute__((noinline)) R first(Args... args) noexcept { return find()(args...); }
  Function* find() noexcept {
    int saved = errno;
    auto* call = reinterpret_cast<Function*>(in_libc(name_));
    if (call == nullptr) call = linked_;
    errno = saved;
    found_.store(call, std::memory_order_relaxed);
    return call;
  }

  std::atomic<Function*> found_{nullptr};
#endif

 private:
  [[maybe_unused]] const char* name_;
  Function* linked_;
};

template <class R, class... Args>
struct Real : Found<R(Args...), R, Args...> {
  constexpr Real(const char* name, R (*linked)(Args...)) noexcept
      : Found<R(Args...), R, Args...>(name, linked) {}
};

// Calls that take their last argument through "...": every caller here gives it.
template <class R, class A, class B, class Last>
struct Variadic : Found<R(A, B, ...), R, A, B, Last> {
  constexpr Variadic(const char* name, R (*linked)(A, B, ...)) noexcept
      : Found<R(A, B, ...), R, A, B, Last>(name, linked) {}
};

}  // namespace

#define FERN_REAL(name) \
  static constinit Real real_##name { #name, ::name }

FERN_REAL(read);
FERN_REAL(write);
FERN_REAL(readv);
FERN_REAL(writev);
FERN_REAL(preadv2);
FERN_REAL(pwritev2);
FERN_REAL(recv);
FERN_REAL(send);
FERN_REAL(recvfrom);
FERN_REAL(sendto);
FERN_REAL(recvmsg);
FERN_REAL(sendmsg);
FERN_REAL(socket);
FERN_REAL(socketpair);
FERN_REAL(bind);
FERN_REAL(listen);
FERN_REAL(accept4);
FERN_REAL(connect);
FERN_REAL(shutdown);
FERN_REAL(getsockname);
FERN_REAL(getpeername);
FERN_REAL(getsockopt);
FERN_REAL(setsockopt);
FERN_REAL(close);
FERN_REAL(poll);
FERN_REAL(waitpid);
FERN_REAL(getaddrinfo);
FERN_REAL(dup3);
FERN_REAL(epoll_create1);
FERN_REAL(epoll_ctl);
FERN_REAL(epoll_wait);
FERN_REAL(eventfd);
FERN_REAL(signalfd);
FERN_REAL(timerfd_create);
FERN_REAL(timerfd_settime);
FERN_REAL(sched_yield);
static constinit Found<long(long, ...), long, long, long, long, long, long, long, long>
    real_syscall{"syscall", ::syscall};
static constinit Variadic<int, int, int, int> real_fcntl{"fcntl", ::fcntl};
static constinit Variadic<int, int, int, void*> real_fcntl_lock{"fcntl", ::fcntl};
static constinit Variadic<int, const char*, int, mode_t> real_open{"open", ::open};
static constinit Variadic<int, int, unsigned long, void*> real_ioctl{"ioctl", ::ioctl};

ssize_t read(int fd, void* buffer, std::size_t size) noexcept {
  return real_read(fd, buffer, size);
}
ssize_t write(int fd, const void* buffer, std::size_t size) noexcept {
  return real_write(fd, buffer, size);
}
ssize_t readv(int fd, const iovec* parts, int count) noexcept {
  return real_readv(fd, parts, count);
}
ssize_t writev(int fd, const iovec* parts, int count) noexcept {
  return real_writev(fd, parts, count);
}
ssize_t preadv2(int fd, const iovec* parts, int count, off_t offset, int flags) noexcept {
  return real_preadv2(fd, parts, count, offset, flags);
}
ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags) noexcept {
  return real_pwritev2(fd, parts, count, offset, flags);
}
ssize_t recv(int fd, void* buffer, std::size_t size, int flags) noexcept {
  return real_recv(fd, buffer, size, flags);
}
ssize_t send(int fd, const void* buffer, std::size_t size, int flags) noexcept {
  return real_send(fd, buffer, size, flags);
}
ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from,
                 socklen_t* from_size) noexcept {
  return real_recvfrom(fd, buffer, size, flags, from, from_size);
}
ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags, const sockaddr* to,
               socklen_t to_size) noexcept {
  return real_sendto(fd, buffer, size, flags, to, to_size);
}
ssize_t recvmsg(int fd, msghdr* message, int flags) noexcept {
  return real_recvmsg(fd, message, flags);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) noexcept {
  return real_sendmsg(fd, message, flags);
}
int socket(int domain, int type, int protocol) noexcept {
  return real_socket(domain, type, protocol);
}
int socketpair(int domain, int type, int protocol, int* fds) noexcept {
  return real_socketpair(domain, type, protocol, fds);
}
int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  return real_bind(fd, address, size);
}
int listen(int fd, int backlog) noexcept { return real_listen(fd, backlog); }
int accept4(int fd, sockaddr* address, socklen_t* size, int flags) noexcept {
  return real_accept4(fd, address, size, flags);
}
int connect(int fd, const sockaddr* address, socklen_t size) noexcept {
  return real_connect(fd, address, size);
}
int shutdown(int fd, int how) noexcept { return real_shutdown(fd, how); }
int getsockname(int fd, sockaddr* address, socklen_t* size) noexcept {
  return real_getsockname(fd, address, size);
}
int getpeername(int fd, sockaddr* address, socklen_t* size) noexcept {
  return real_getpeername(fd, address, size);
}
int getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept {
  return real_getsockopt(fd, level, name, value, size);
}
int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  return real_setsockopt(fd, level, name, value, size);
}
int close(int fd) noexcept { return real_close(fd); }
int fcntl(int fd, int command, int argument) noexcept { return real_fcntl(fd, command, argument); }
int fcntl_lock(int fd, int command, void* lock) noexcept {
  return real_fcntl_lock(fd, command, lock);
}
int poll(pollfd* fds, nfds_t count, int timeout_ms) noexcept {
  return real_poll(fds, count, timeout_ms);
}
pid_t waitpid(pid_t pid, int* status, int options) noexcept {
  return real_waitpid(pid, status, options);
}
int sched_yield() noexcept { return real_sched_yield(); }
int futex(const void* word, int operation, std::uint32_t value, const timespec* time,
          std::uint32_t value3) noexcept {
  return static_cast<int>(real_syscall(SYS_futex, reinterpret_cast<long>(word), operation,
                                       static_cast<long>(value), reinterpret_cast<long>(time), 0,
                                       static_cast<long>(value3)));
}
int pidfd_open(pid_t pid) noexcept {
  return static_cast<int>(real_syscall(SYS_pidfd_open, pid, 0, 0, 0, 0, 0));
}
int open(const char* path, int flags, mode_t mode) noexcept { return real_open(path, flags, mode); }
int ioctl(int fd, unsigned long request, void* argument) noexcept {
  return real_ioctl(fd, request, argument);
}
int signalfd(int fd, const sigset_t* mask, int flags) noexcept {
  return real_signalfd(fd, mask, flags);
}
int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                addrinfo** result) noexcept {
  return real_getaddrinfo(host, service, hints, result);
}
int dup3(int from, int to, int flags) noexcept { return real_dup3(from, to, flags); }
int epoll_create1(int flags) noexcept { return real_epoll_create1(flags); }
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  return real_epoll_ctl(epoll, operation, fd, event);
}
int epoll_wait(int epoll, epoll_event* events, int capacity, int timeout_ms) noexcept {
  return real_epoll_wait(epoll, events, capacity, timeout_ms);
}
int eventfd(unsigned initial, int flags) noexcept { return real_eventfd(initial, flags); }
int timerfd_create(int clock, int flags) noexcept { return real_timerfd_create(clock, flags); }
int timerfd_settime(int fd, int flags, const itimerspec* value, itimerspec* old) noexcept {
  return real_timerfd_settime(fd, flags, value, old);
}

void write_all(int fd, const char* text, std::size_t size) noexcept {
  while (size > 0) {
    ssize_t written = write(fd, text, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text += written;
    size -= static_cast<std::size_t>(written);
  }
}

}  // namespace real FERN_INTERNAL
}  // namespace fern
