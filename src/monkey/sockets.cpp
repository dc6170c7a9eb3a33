// Sockets: each call is tried without blocking (MSG_DONTWAIT, whatever the socket's own mode), and
// waited for if its owner has not made the socket non-blocking. That is asked only then.

#include "base/real.hpp"
#include "monkey/flags.hpp"
#include "monkey/green.hpp"
#include "monkey/parts_of.hpp"
#include "monkey/rescue.hpp"
#include "monkey/times.hpp"
#include "monkey/wait.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <chrono>

namespace fern::monkey::green {
namespace {

// An option of a socket; -1 for what is none. Keeps errno.
int option(int fd, int name) noexcept {
  int value = 0;
  socklen_t size = sizeof value;
  int before = errno;
  if (real::getsockopt(fd, SOL_SOCKET, name, &value, &size) != 0) value = -1;
  errno = before;
  return value;
}

// failed() asks whether the socket has an error that its next call will take: a call that has done
// a part leaves it there. Not so in a unix socket.
bool failed(int fd) noexcept {
  pollfd one{fd, 0, 0};
  return real::poll(&one, 1, 0) > 0 && (one.revents & POLLERR) != 0;
}

bool nothing_to_read(int fd) noexcept {
  int bytes = 0;
  return real::ioctl(fd, FIONREAD, &bytes) == 0 && bytes == 0;
}

// never_waits() asks for flags with which receiving does not wait for data at all. Unix sockets do
// not know MSG_ERRQUEUE.
bool never_waits(int fd, int flags) noexcept {
  if ((flags & (MSG_DONTWAIT | MSG_OOB)) != 0) return true;
  return (flags & MSG_ERRQUEUE) != 0 && option(fd, SO_DOMAIN) != AF_UNIX;
}

// next_fails() asks whether the next receive would take the socket's error: a stream gives what has
// come before.
bool next_fails(int fd) noexcept {
  return failed(fd) && (option(fd, SO_TYPE) != SOCK_STREAM || nothing_to_read(fd));
}

// One call that takes what there is; `now` gets the flags.
template <class Now>
ssize_t receive(int fd, const char* what, int flags, Now now) noexcept {
  if (never_waits(fd, flags)) {
    ssize_t got = now(flags);
    if (got > 0 && (flags & MSG_OOB) != 0) io::took_urgent(fd);
    at_once();
    return got;
  }
  return until_done(fd, Direction::Read, what, receive_limit,
                    [&] { return now(flags | MSG_DONTWAIT); });
}

// MSG_PEEK with MSG_WAITALL: what has been seen stays there, so that the socket is readable all the
// time.
template <class Size, class Now>
ssize_t peek_all(int fd, const char* what, Size size, int flags, Now now) noexcept {
  Wait wait(fd, Direction::Read, what, receive_limit(fd));
  for (;;) {
    ssize_t got = until_done(fd, Direction::Read, what, receive_limit,
                             [&] { return now(0, (flags & ~MSG_WAITALL) | MSG_DONTWAIT); });
    if (got <= 0 || static_cast<std::size_t>(got) >= size() || nonblocking(fd)) return got;
    pollfd end{fd, POLLRDHUP, 0};
    if (real::poll(&end, 1, 0) > 0 || !wait.again_later()) return got;
  }
}

// MSG_WAITALL: until `size()` bytes are there, or an end. `now(done, flags)` receives the rest.
// What has come before an error is the result, and the error the next call's.
template <class Size, class Now>
ssize_t receive_all(int fd, const char* what, Size size, int flags, Now now) noexcept {
  if ((flags & MSG_PEEK) != 0) return peek_all(fd, what, size, flags, now);
  std::size_t done = 0;
  auto step = [&] {
    if (done > 0 && failed(fd) && option(fd, SO_DOMAIN) != AF_UNIX && nothing_to_read(fd))
      return static_cast<ssize_t>(done);
    ssize_t got = now(done, (flags & ~MSG_WAITALL) | MSG_DONTWAIT);
    if (got <= 0) return got;
    done += static_cast<std::size_t>(got);
    if (done >= size()) return static_cast<ssize_t>(done);
    errno = made_progress;
    return ssize_t{-1};
  };
  ssize_t last = until_done(fd, Direction::Read, what, receive_limit, step, done);
  return done > 0 ? static_cast<ssize_t>(done) : last;
}

bool waits_for_all(int fd, int flags) noexcept {
  return (flags & MSG_WAITALL) != 0 && !never_waits(fd, flags) &&
         option(fd, SO_TYPE) == SOCK_STREAM &&
         ((flags & MSG_PEEK) == 0 || option(fd, SO_DOMAIN) != AF_UNIX);
}

// Sending: a stream that blocks takes everything before it returns. `now(done, flags)` sends the
// rest; an error after a part has gone is the next call's, SIGPIPE as well. `size()` is asked when
// the kernel has found the message sound; `done` bytes of it have gone already. Who waits in a unix
// socket takes its error, and hears of its end without SIGPIPE.
template <class Size, class Now>
ssize_t transmit(int fd, const char* what, Size size, int flags, Now now,
                 std::size_t done = 0) noexcept {
  if ((flags & MSG_DONTWAIT) != 0) {
    ssize_t sent = now(0, flags);
    at_once();
    return sent;
  }
  int domain = AF_UNSPEC;  // asked for at the second try
  auto step = [&] {
    if (domain != AF_UNSPEC && domain != AF_UNIX && done > 0 && failed(fd)) {
      return static_cast<ssize_t>(done);
    }
    if (int error = domain == AF_UNIX ? option(fd, SO_ERROR) : 0; error > 0) {
      errno = error;
      return ssize_t{-1};
    }
    int quiet = done > 0 || domain == AF_UNIX ? MSG_NOSIGNAL : 0;
    ssize_t sent = now(done, flags | MSG_DONTWAIT | quiet);
    if (sent >= 0) {
      done += static_cast<std::size_t>(sent);
      if (done >= size()) return static_cast<ssize_t>(done);
      errno = made_progress;
    }
    if (would_block(errno) && domain == AF_UNSPEC) domain = option(fd, SO_DOMAIN);
    return ssize_t{-1};
  };
  ssize_t last = until_done(fd, Direction::Write, what, send_limit, step, done);
  return done > 0 ? static_cast<ssize_t>(done) : last;
}

std::size_t size_of(const msghdr& message) noexcept {
  return PartsOf(message.msg_iov, message.msg_iovlen).size();
}

// The message without its first `done` bytes, and without ancillary data, which goes with them.
ssize_t send_rest(int fd, const msghdr& message, std::size_t done, int flags) noexcept {
  PartsOf parts(message.msg_iov, message.msg_iovlen);
  msghdr more = message;
  more.msg_control = nullptr;
  more.msg_controllen = 0;
  more.msg_iov = parts.after(done, more.msg_iovlen);
  return real::sendmsg(fd, &more, flags);
}

}  // namespace

ssize_t recv(int fd, void* buffer, std::size_t size, int flags) noexcept {
  if (waits_for_all(fd, flags)) {
    return receive_all(
        fd, "recv()", [=] { return size; }, flags,
        [&](std::size_t done, int with) {
          return real::recv(fd, static_cast<char*>(buffer) + done, size - done, with);
        });
  }
  return receive(fd, "recv()", flags, [&](int with) { return real::recv(fd, buffer, size, with); });
}

ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from,
                 socklen_t* from_size) noexcept {
  if (waits_for_all(fd, flags)) {
    return receive_all(
        fd, "recvfrom()", [=] { return size; }, flags,
        [&](std::size_t done, int with) {
          return real::recvfrom(fd, static_cast<char*>(buffer) + done, size - done, with, from,
                                from_size);
        });
  }
  return receive(fd, "recvfrom()", flags,
                 [&](int with) { return real::recvfrom(fd, buffer, size, with, from, from_size); });
}

ssize_t recvmsg(int fd, msghdr* message, int flags) noexcept {
  if (waits_for_all(fd, flags)) {
    bool whole = false;
    auto size = [&] {
      // Nothing is added to what came with ancillary data.
      whole = whole || message->msg_controllen > 0;
      return whole ? 0 : size_of(*message);
    };
    return receive_all(fd, "recvmsg()", size, flags, [&](std::size_t done, int with) {
      if (done == 0) return real::recvmsg(fd, message, with);
      PartsOf rest(message->msg_iov, message->msg_iovlen);
      msghdr more{};
      more.msg_iov = rest.after(done, more.msg_iovlen);
      return real::recvmsg(fd, &more, with);
    });
  }
  return receive(fd, "recvmsg()", flags,
                 [&](int with) { return real::recvmsg(fd, message, with); });
}

ssize_t send(int fd, const void* data, std::size_t size, int flags) noexcept {
  return transmit(
      fd, "send()", [=] { return size; }, flags,
      [&](std::size_t done, int with) {
        return real::send(fd, static_cast<const char*>(data) + done, size - done, with);
      });
}

ssize_t sendto(int fd, const void* data, std::size_t size, int flags, const sockaddr* to,
               socklen_t to_size) noexcept {
  return transmit(
      fd, "sendto()", [=] { return size; }, flags,
      [&](std::size_t done, int with) {
        return real::sendto(fd, static_cast<const char*>(data) + done, size - done, with, to,
                            to_size);
      });
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) noexcept {
  auto size = [&] { return size_of(*message); };
  return transmit(fd, "sendmsg()", size, flags, [&](std::size_t done, int with) {
    return done == 0 ? real::sendmsg(fd, message, with) : send_rest(fd, *message, done, with);
  });
}

// As the kernel does it: the time is looked at when a message has come, so it ends no wait; every
// message has SO_RCVTIMEO of its own. What is there is taken at once. An error behind the first
// message is lost if it is not the last call's.
int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) noexcept {
  if (never_waits(fd, flags) || count == 0 || (timeout != nullptr && !is_time(timeout))) {
    int got = native::recvmmsg(fd, messages, count, flags, timeout);
    at_once();
    return got;
  }
  Deadline until = timeout == nullptr ? Deadline() : Deadline(to_chrono(*timeout));
  unsigned done = 0;
  auto now = [&] {
    if (done > 0 && next_fails(fd)) return 0;
    timespec left{};
    if (timeout != nullptr) left = to_timespec(until.remaining());
    return native::recvmmsg(fd, messages + done, count - done,
                            (flags & ~MSG_WAITFORONE) | MSG_DONTWAIT,
                            timeout == nullptr ? nullptr : &left);
  };
  int got = 0;
  bool enough = false;
  while (!enough) {
    got = until_done(fd, Direction::Read, "recvmmsg()", receive_limit, now, done);
    if (got <= 0) break;
    done += static_cast<unsigned>(got);
    enough = done >= count || (flags & MSG_WAITFORONE) != 0 || until.expired() ||
             (messages[done - 1].msg_hdr.msg_flags & MSG_OOB) != 0;
  }
  if (timeout != nullptr && done > 0) *timeout = to_timespec(until.remaining());
  return done > 0 ? static_cast<int>(done) : got;
}

int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) noexcept {
  if ((flags & MSG_DONTWAIT) != 0 || count == 0) {
    int sent = native::sendmmsg(fd, messages, count, flags);
    at_once();
    return sent;
  }
  constexpr unsigned most = 1024;  // the kernel takes no more
  count = std::min(count, most);
  unsigned done = 0;
  while (done < count) {
    auto now = [&] {
      int quiet = done > 0 ? MSG_NOSIGNAL : 0;
      return native::sendmmsg(fd, messages + done, count - done, flags | MSG_DONTWAIT | quiet);
    };
    int sent = until_done(fd, Direction::Write, "sendmmsg()", send_limit, now, done);
    if (sent <= 0) return done > 0 ? static_cast<int>(done) : sent;
    done += static_cast<unsigned>(sent);
    // Of the last one a stream may have taken a part.
    mmsghdr& last = messages[done - 1];
    std::size_t size = size_of(last.msg_hdr);
    if (last.msg_len >= size) continue;
    ssize_t all = transmit(
        fd, "sendmmsg()", [=] { return size; }, flags,
        [&](std::size_t from, int with) { return send_rest(fd, last.msg_hdr, from, with); },
        last.msg_len);
    last.msg_len = static_cast<unsigned>(all);
    if (last.msg_len < size) break;
  }
  return static_cast<int>(done);
}

int accept(int fd, sockaddr* address, socklen_t* size) noexcept {
  return green::accept4(fd, address, size, 0);
}

// accept has no flag for not blocking, and another way to ask for that without changing what others
// see there is not: it is asked first whether somebody is there. If another process, or a thread
// without a hub, accepts from the same listener and takes him in between, the call is called back.
int accept4(int fd, sockaddr* address, socklen_t* size, int flags) noexcept {
  // What cannot be accepted from says so at once.
  bool good = (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == 0;
  return until_done(fd, Direction::Read, "accept()", receive_limit, [&] {
    pollfd one{fd, POLLIN, 0};
    if (real::poll(&one, 1, 0) == 0 && good && option(fd, SO_ACCEPTCONN) == 1) {
      errno = EAGAIN;
      return -1;
    }
    return rescued([&] { return real::accept4(fd, address, size, flags); });
  });
}

namespace {

// connect(2) without blocking: it has no flag for that, so a socket that blocks is made
// non-blocking for the call. `waits` is whether its owner wants it to.
int connect_now(int fd, const sockaddr* address, socklen_t size, bool& waits) noexcept {
  FlagsLock lock(fd);
  int flags = real::fcntl(fd, F_GETFL, 0);
  waits = flags >= 0 && (flags & O_NONBLOCK) == 0;
  if (!waits) return real::connect(fd, address, size);
  real::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  int result = real::connect(fd, address, size);
  int error = errno;
  real::fcntl(fd, F_SETFL, flags);
  errno = error;
  return result;
}

bool ended(int fd) noexcept {
  pollfd one{fd, POLLOUT, 0};
  return real::poll(&one, 1, 0) > 0 && (one.revents & (POLLHUP | POLLERR)) != 0;
}

// What a connect that waited does when it has failed: the socket may try again. One that was shut
// meanwhile would begin anew if it were asked.
int give_up_connecting(int fd) noexcept {
  int error = option(fd, SO_ERROR);
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  real::connect(fd, &nobody, sizeof nobody);
  errno = error > 0 ? error : ECONNABORTED;
  return -1;
}

bool under_way(int error) noexcept { return error == EINPROGRESS || error == EALREADY; }

}  // namespace

// Asking again leaves a connected socket as a connect that waited does. A unix listener whose queue
// is full says EAGAIN, and nothing tells when there is room.
int connect(int fd, const sockaddr* address, socklen_t size) noexcept {
  bool waits = false;
  int result = connect_now(fd, address, size, waits);
  if (!waits) {
    at_once();
    return result;
  }
  if (result == 0 || (!under_way(errno) && errno != EAGAIN)) {
    fair();
    return result;
  }
  int first_error = errno;
  Wait wait(fd, Direction::Write, "connect()", send_limit(fd));
  for (;;) {
    bool full = errno == EAGAIN;
    if (!(full ? wait.again_later() : wait.again())) {
      if (errno == EAGAIN) errno = first_error;  // SO_SNDTIMEO has passed
      return -1;
    }
    if (!full && ended(fd)) return give_up_connecting(fd);
    result = connect_now(fd, address, size, waits);
    if (result == 0 || (errno == EISCONN && !full)) return 0;
    if (!under_way(errno) && errno != EAGAIN) return result;
  }
}

int shutdown(int fd, int how) noexcept { return io::shutdown(fd, how); }

}  // namespace fern::monkey::green
