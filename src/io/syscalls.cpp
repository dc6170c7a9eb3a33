#include "io/syscalls.hpp"

#include "base/real.hpp"
#include "io/fd_table.hpp"
#include "io/no_wait.hpp"
#include "io/poll_wait.hpp"
#include "io/syscalls_here.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace fern::io {
namespace {

bool would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

bool owned(int fd) noexcept {
  FdSlot* slot = FdSlot::find(fd);
  return slot != nullptr && slot->load().owned();
}

template <class Call>
__attribute__((always_inline)) inline auto uninterrupted(Call& call) noexcept {
  decltype(call()) result;
  do result = call();
  while (result < 0 && errno == EINTR);
  return result;
}

// What a call has come to. One that finds our descriptor closed, by others then, tells all who wait
// for it.
template <class Result>
Result outcome(int fd, Result result) noexcept {
  if (result < 0 && errno == EBADF && owned(fd) && real::fcntl(fd, F_GETFD, 0) < 0) {
    forget(fd);
    errno = EBADF;
  }
  return result;
}

// The one way of every call below. `call` says EAGAIN where it would block; `always` is tried when
// there is nothing to wait for, a file, say. go_on() is its second half, from the end of a wait on.
template <class Call, class Always>
auto go_on(FdWait& wait, int error, int fd, const char* what, Deadline deadline, Call call,
           Always always) noexcept -> decltype(call()) {
  for (;;) {
    if (error == EPERM) return uninterrupted(always);
    if (error != 0 && error != error_deadline) {
      errno = error;
      return outcome(fd, decltype(call())(-1));
    }
    // After the Deadline too: what is due together with it has happened.
    auto result = uninterrupted(call);
    if (result >= 0 || !would_block(errno)) return outcome(fd, result);
    if (error == error_deadline) {
      errno = error;
      return -1;
    }
    error = wait.park(what, deadline);
  }
}

template <class Call, class Always>
auto green(int fd, Direction direction, const char* what, Deadline deadline, bool wait_first,
           Call call, Always always) noexcept -> decltype(call()) {
  if (!wait_first || deadline == Deadline::past()) {
    auto result = uninterrupted(call);
    if (result >= 0 || !would_block(errno)) return outcome(fd, result);
  }
  if (deadline == Deadline::past()) {
    errno = error_deadline;
    return -1;
  }
  FdWait wait(fd, direction);
  return go_on(wait, wait.park(what, deadline), fd, what, deadline, call, always);
}

template <class Call>
auto green(int fd, Direction direction, const char* what, Deadline deadline, Call call) noexcept {
  return green(fd, direction, what, deadline, false, call, call);
}

// All zeros for one that this hub has never waited for; null without a table, and where a high one
// has no place in it yet.
FdEntry* entry_of(int fd) noexcept {
  FdTable* table = FdTable::here();
  return table == nullptr ? nullptr : table->find(fd);
}

// Flags with which a call says something else than that nothing has come yet.
constexpr int never_waits = MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE;

void has_read(FdEntry& entry, std::size_t got, std::size_t size) noexcept {
  if (entry.has_read(got >= size)) FdTable::here()->sharpen(entry);
}

// Receiving, of whatever shape: `call` takes the flags and gives how much came, which proves
// nothing of what is left if something else may have ended it.
template <class Call>
ssize_t receive(int fd, const char* what, std::size_t size, int flags, Deadline deadline,
                Call receive_now, bool proves = true) noexcept {
  if ((flags & never_waits) != 0) {
    auto once = [&] { return receive_now(flags); };
    ssize_t got = uninterrupted(once);
    if (got > 0 && (flags & MSG_OOB) != 0) took_urgent(fd);
    return got;
  }
  auto call = [&] { return receive_now(flags | MSG_DONTWAIT); };
  FdEntry* entry = entry_of(fd);
  bool wait_first = size > 0 && entry != nullptr && entry->would_block();
  ssize_t got = green(fd, Direction::Read, what, deadline, wait_first, call, call);
  if (!proves && entry != nullptr && entry->edge) FdTable::here()->disbelieve(*entry);
  if (got > 0 && proves && (flags & MSG_PEEK) == 0 && entry != nullptr)
    has_read(*entry, static_cast<std::size_t>(got), size);
  return got;
}

std::size_t size_of(const iovec* parts, std::size_t count) noexcept {
  std::size_t size = 0;
  for (std::size_t i = 0; i < count; ++i) size += parts[i].iov_len;
  return size;
}

}  // namespace

ssize_t recv_plain(int fd, void* buffer, std::size_t size, int flags, Deadline deadline) noexcept {
  return receive(fd, "recv()", size, flags, deadline,
                 [&](int with) { return real::recv(fd, buffer, size, with); });
}

ssize_t recv_on(FdWait& wait, int error, bool tried, ssize_t got, int fd, void* buffer,
                std::size_t size, Deadline deadline) noexcept {
  auto call = [&] {
    return std::exchange(tried, false) ? got : real::recv(fd, buffer, size, MSG_DONTWAIT);
  };
  got = go_on(wait, error, fd, "recv()", deadline, call, call);
  FdEntry* entry = entry_of(fd);
  if (got > 0 && entry != nullptr) has_read(*entry, static_cast<std::size_t>(got), size);
  return got;
}

ssize_t recv(int fd, void* buffer, std::size_t size, int flags, Deadline deadline) noexcept {
  if (flags != 0) return recv_plain(fd, buffer, size, flags, deadline);
  return recv_here(fd, buffer, size, deadline, nullptr);
}

ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from,
                 socklen_t* from_size, Deadline deadline) noexcept {
  return receive(fd, "recvfrom()", size, flags, deadline,
                 [&](int with) { return real::recvfrom(fd, buffer, size, with, from, from_size); });
}

ssize_t recvmsg(int fd, msghdr* message, int flags, Deadline deadline) noexcept {
  std::size_t size = size_of(message->msg_iov, message->msg_iovlen);
  // What comes with data beside it ends where a sender's credentials, or a record of TLS, do.
  bool plain = message->msg_controllen == 0;
  auto call = [&](int with) { return real::recvmsg(fd, message, with); };
  return receive(fd, "recvmsg()", size, flags, deadline, call, plain);
}

ssize_t send_on(int fd, const void* buffer, std::size_t size, int flags,
                Deadline deadline) noexcept {
  bool tried = true;
  auto call = [&]() -> ssize_t {
    if (std::exchange(tried, false)) return -1;
    return real::send(fd, buffer, size, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
  };
  if ((flags & MSG_DONTWAIT) != 0) return uninterrupted(call);
  return green(fd, Direction::Write, "send()", deadline, call);
}

ssize_t send(int fd, const void* buffer, std::size_t size, int flags, Deadline deadline) noexcept {
  return send_here(fd, buffer, size, flags, deadline);
}

ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags, const sockaddr* to,
               socklen_t to_size, Deadline deadline) noexcept {
  auto call = [&] {
    return real::sendto(fd, buffer, size, flags | MSG_DONTWAIT | MSG_NOSIGNAL, to, to_size);
  };
  if ((flags & MSG_DONTWAIT) != 0) return uninterrupted(call);
  return green(fd, Direction::Write, "sendto()", deadline, call);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags, Deadline deadline) noexcept {
  auto call = [&] { return real::sendmsg(fd, message, flags | MSG_DONTWAIT | MSG_NOSIGNAL); };
  if ((flags & MSG_DONTWAIT) != 0) return uninterrupted(call);
  return green(fd, Direction::Write, "sendmsg()", deadline, call);
}

ssize_t read(int fd, void* buffer, std::size_t size, Deadline deadline) noexcept {
  iovec part{buffer, size};
  return readv(fd, &part, 1, deadline);
}

ssize_t write(int fd, const void* buffer, std::size_t size, Deadline deadline) noexcept {
  iovec part{const_cast<void*>(buffer), size};
  return writev(fd, &part, 1, deadline);
}

ssize_t readv(int fd, const iovec* parts, int count, Deadline deadline) noexcept {
  auto plain = [&] { return real::readv(fd, parts, count); };
  if (owned(fd)) return green(fd, Direction::Read, "read()", deadline, plain);
  auto no_wait = [&] { return real::preadv2(fd, parts, count, -1, RWF_NOWAIT); };
  auto call = [&] { return without_blocking(fd, POLLIN, no_wait, plain); };
  return green(fd, Direction::Read, "read()", deadline, false, call, plain);
}

ssize_t writev(int fd, const iovec* parts, int count, Deadline deadline) noexcept {
  auto plain = [&] { return real::writev(fd, parts, count); };
  if (owned(fd)) return green(fd, Direction::Write, "write()", deadline, plain);
  auto no_wait = [&] { return real::pwritev2(fd, parts, count, -1, RWF_NOWAIT); };
  auto call = [&] { return without_blocking(fd, POLLOUT, no_wait, plain); };
  return green(fd, Direction::Write, "write()", deadline, false, call, plain);
}

int accept(int fd, sockaddr* address, socklen_t* size, Deadline deadline) noexcept {
  FdSlot* slot = FdSlot::find(fd);
  FdSlot::View listener = slot == nullptr ? FdSlot::View() : slot->load();
  auto call = [&] {
    if (!listener.owned() && ready_now(fd, POLLIN) < 0) return -1;
    return real::accept4(fd, address, size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  };
  const FdEntry* entry = entry_of(fd);
  bool wait_first = entry != nullptr && entry->would_block();
  int accepted = green(fd, Direction::Read, "accept()", deadline, wait_first, call, call);
  if (accepted >= 0 && !adopt(accepted, listener.stream())) {
    real::close(accepted);
    errno = EMFILE;
    return -1;
  }
  return accepted;
}

namespace {

// connect(2) once, without blocking, on a descriptor whose flags are not ours.
int connect_foreign(int fd, const sockaddr* address, socklen_t size) noexcept {
  int flags = real::fcntl(fd, F_GETFL, 0);
  if (flags < 0) return -1;
  if ((flags & O_NONBLOCK) != 0) return real::connect(fd, address, size);
  real::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  int result = real::connect(fd, address, size);
  int error = errno;
  real::fcntl(fd, F_SETFL, flags);
  errno = error;
  return result;
}

// A listener whose queue is full makes connect on a unix socket say EAGAIN, and nothing tells when
// there is room: ask now and then.
int pause_for(std::chrono::milliseconds pause, Deadline deadline) noexcept {
  if (deadline.expired()) return error_deadline;
  core::Hub& hub = core::Hub::current();
  if (hub.on_own_stack()) return error_in_hub;
  Deadline soon = pause;
  core::Wake why = hub.try_park("connect()", -1, std::min(soon, deadline));
  return why == core::Wake::Interrupted ? error_interrupted : 0;
}

}  // namespace

int connect(int fd, const sockaddr* address, socklen_t size, Deadline deadline) noexcept {
  bool ours = owned(fd);
  auto call = [&] {
    return ours ? real::connect(fd, address, size) : connect_foreign(fd, address, size);
  };
  FdWait wait(fd, Direction::Write);
  auto pause = std::chrono::milliseconds(1);
  bool under_way = false;
  for (;;) {
    // Asking again is how to learn what became of it.
    if (call() == 0 || (under_way && errno == EISCONN)) return 0;
    int error = errno;
    if (error == EAGAIN) {
      error = pause_for(pause, deadline);
      pause = std::min(pause * 2, std::chrono::milliseconds(50));
    } else if (error == EINPROGRESS || error == EALREADY || error == EINTR) {
      under_way = true;
      error = deadline.expired() ? error_deadline : wait.park("connect()", deadline);
    }
    if (error != 0 && error != error_deadline) {
      errno = error;
      return -1;
    }
    if (error == 0) continue;
    if (call() == 0 || errno == EISCONN) return 0;
    if (errno == EALREADY || errno == EINPROGRESS || errno == EAGAIN) errno = error_deadline;
    return -1;
  }
}

namespace {

// Those closed meanwhile are not open, whoever has got their numbers.
int mark_closed(const PollWait& wait, pollfd* fds, std::size_t count, int ready) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    if (!wait.closed(i)) continue;
    if (fds[i].revents == 0) ++ready;
    fds[i].revents = POLLNVAL;
  }
  return ready;
}

int poll_once(pollfd* fds, std::size_t count) noexcept {
  auto call = [&] { return real::poll(fds, count, 0); };
  return uninterrupted(call);
}

}  // namespace

int poll(pollfd* fds, std::size_t count, Deadline deadline) noexcept {
  int ready = poll_once(fds, count);
  if (ready != 0 || deadline == Deadline::past()) return ready;
  PollWait wait(count);
  for (std::size_t i = 0; i < count; ++i) wait.add(fds[i].fd, poll_events(fds[i].events));
  int error = wait.park("poll()", deadline);
  while (error == 0 || error == error_deadline) {
    ready = mark_closed(wait, fds, count, poll_once(fds, count));
    if (ready != 0 || error == error_deadline) return ready;
    error = wait.park("poll()", deadline);
  }
  errno = error;
  return -1;
}

}  // namespace fern::io
