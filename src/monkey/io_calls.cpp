// read, write and their kin, on whatever can be waited for. What a descriptor is is asked only when
// the first try has not done everything, so that the way of the ready is one system call.
//
//   recvmsg, sendmsg   of a socket, with MSG_DONTWAIT
//   preadv2, pwritev2  of others, with RWF_NOWAIT; what does not know it (terminals, inotify, old
//                      kernels) is asked by poll first, and called back if another is faster
//   read_file(), write_file()  of files
//
// A write that blocks takes everything, in parts if it must: a write of at most PIPE_BUF to a pipe
// is never split. Two greenlets that write more than that at once are mixed, as two threads are.

#include "base/real.hpp"
#include "io/no_wait.hpp"
#include "monkey/files.hpp"
#include "monkey/green.hpp"
#include "monkey/kind.hpp"
#include "monkey/parts_of.hpp"
#include "monkey/rescue.hpp"
#include "monkey/wait.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <chrono>
#include <climits>

namespace fern::monkey::green {
namespace {

// What a first try says when it does not know.
bool unsure(int error) noexcept {
  return would_block(error) || error == EOPNOTSUPP || error == ENOSYS || error == ENOTSOCK;
}

// A read or write of parts, as the kernel numbers them, with flags of preadv2's.
struct Call {
  int fd;
  const iovec* parts;
  int count;
  int flags;
};

ssize_t receive_now(const Call& call) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(call.parts);
  message.msg_iovlen = static_cast<std::size_t>(call.count);
  return real::recvmsg(call.fd, &message, MSG_DONTWAIT);
}

ssize_t send_now(const Call& call, int flags) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(call.parts);
  message.msg_iovlen = static_cast<std::size_t>(call.count);
  return real::sendmsg(call.fd, &message, flags | MSG_DONTWAIT);
}

// More parts than a message may have are for the kernel to refuse.
bool as_message(Kind kind, const Call& call) noexcept {
  return kind == Kind::Socket && call.flags == 0 && call.count > 0 && call.count <= IOV_MAX;
}

ssize_t read_now(Kind kind, const Call& call) noexcept {
  if (as_message(kind, call)) return receive_now(call);
  return real::preadv2(call.fd, call.parts, call.count, -1, call.flags | RWF_NOWAIT);
}

ssize_t read_plainly(const Call& call) noexcept {
  if (call.flags == 0) return real::readv(call.fd, call.parts, call.count);
  return real::preadv2(call.fd, call.parts, call.count, -1, call.flags);
}

// The first try, and who it was tried as: what was remembered may be wrong.
template <class Now>
ssize_t first_try(const Call& call, Kind& kind, Now now) noexcept {
  kind = known_kind(call.fd);
  ssize_t result = now(kind);
  if (result >= 0 || errno != ENOTSOCK || kind != Kind::Socket) return result;
  kind = Kind::Unknown;
  forget_kind(call.fd);
  return now(kind);
}

// Who it is, when that matters. What was remembered serves for one that only has to wait.
Kind kind_now(Kind tried, int fd) noexcept {
  return tried != Kind::Unknown && would_block(errno) ? tried : kind_of(fd);
}

// A terminal without lines may be set to answer when nothing has come (VMIN is 0), at once or after
// a time. True, and the limit, if it is.
bool answers_empty(int fd, Deadline& limit) noexcept {
  termios settings{};
  if (tcgetattr(fd, &settings) < 0) return false;
  if ((settings.c_lflag & ICANON) != 0 || settings.c_cc[VMIN] != 0) return false;
  limit = std::chrono::milliseconds(100) * settings.c_cc[VTIME];
  return true;
}

Deadline read_limit(Kind kind, int fd) noexcept {
  return kind == Kind::Socket ? receive_limit(fd) : Deadline();
}

// When a read has found nothing, or does not know.
ssize_t wait_and_read(Kind kind, const Call& call) noexcept {
  bool stream = kind == Kind::Socket || kind == Kind::Pipe;
  auto now = [&] {
    return io::without_blocking(
        call.fd, POLLIN, [&] { return read_now(kind, call); },
        [&] { return rescued([&] { return read_plainly(call); }); });
  };
  ssize_t got = stream && would_block(errno) ? -1 : now();
  if (got >= 0 || !would_block(errno)) {
    fair();
    return got;
  }
  if (!stream && nonblocking(call.fd)) {
    got = read_plainly(call);
    at_once();
    return got;
  }
  Deadline empty_at;
  bool may_be_empty = kind == Kind::Terminal && answers_empty(call.fd, empty_at);
  auto limit = [&](int fd) { return may_be_empty ? empty_at : read_limit(kind, fd); };
  got = wait_until_done(call.fd, Direction::Read, "read()", limit, now);
  if (got == 0 && kind == Kind::Terminal && hung_up(call.fd)) {
    errno = EIO;
    return -1;
  }
  if (got >= 0) return got;
  if (errno == EPERM) return read_plainly(call);
  return may_be_empty && would_block(errno) ? 0 : got;
}

// `size()` is that of all parts: asked when the kernel has found them sound.
template <class Size>
ssize_t read_parts(const Call& call, Size size) noexcept {
  Kind kind;
  ssize_t got = first_try(call, kind, [&](Kind as) { return read_now(as, call); });
  if (got < 0) {
    if (!unsure(errno)) {
      fair();
      return got;
    }
    kind = kind_now(kind, call.fd);
    if (kind != Kind::File) return wait_and_read(kind, call);
    return read_file(call.fd, call.parts, call.count, call.flags);
  }
  fair();
  if (got == 0 || kind != Kind::Unknown || static_cast<std::size_t>(got) >= size()) return got;
  if (kind_of(call.fd) != Kind::File) return got;
  // Of a file what was at hand has come, or all there is.
  PartsOf rest(call.parts, static_cast<std::size_t>(call.count));
  auto done = static_cast<std::size_t>(got);
  while (done < size()) {
    int count = 0;
    iovec* parts = rest.after(done, count);
    ssize_t more = read_file(call.fd, parts, count, call.flags);
    if (more <= 0) break;
    done += static_cast<std::size_t>(more);
  }
  return static_cast<ssize_t>(done);
}

ssize_t write_now(Kind kind, const Call& call, bool first) noexcept {
  if (as_message(kind, call)) return send_now(call, first ? 0 : MSG_NOSIGNAL);
  return real::pwritev2(call.fd, call.parts, call.count, -1, call.flags | RWF_NOWAIT);
}

ssize_t write_plainly(const Call& call) noexcept {
  if (call.flags == 0) return real::writev(call.fd, call.parts, call.count);
  return real::pwritev2(call.fd, call.parts, call.count, -1, call.flags);
}

ssize_t write_a_bit(Kind kind, const Call& call) noexcept {
  std::size_t most = surely_taken(kind);
  std::size_t size = 0;
  for (int i = 0; i < call.count; ++i) {
    std::size_t part = call.parts[i].iov_len;
    if (part < most - size) {
      size += part;
      continue;
    }
    // The first part that is too long is cut, or left out.
    if (i > 0) return write_plainly({call.fd, call.parts, i, call.flags});
    iovec cut{call.parts[0].iov_base, std::min(part, most)};
    return write_plainly({call.fd, &cut, 1, call.flags});
  }
  return write_plainly(call);
}

Deadline write_limit(Kind kind, int fd) noexcept {
  return kind == Kind::Socket ? send_limit(fd) : Deadline();
}

// The rest of a write, `done` bytes of which have been taken.
ssize_t wait_and_write(Kind kind, const Call& call, std::size_t size, std::size_t done) noexcept {
  if (done == 0 && !would_block(errno) && nonblocking(call.fd)) {
    ssize_t wrote = write_plainly(call);
    at_once();
    return wrote;
  }
  PartsOf rest(call.parts, static_cast<std::size_t>(call.count));
  auto step = [&] {
    Call now = call;
    if (done > 0) now.parts = rest.after(done, now.count);
    ssize_t wrote = io::without_blocking(
        call.fd, POLLOUT, [&] { return write_now(kind, now, done == 0); },
        [&] { return rescued([&] { return write_a_bit(kind, now); }); });
    if (wrote < 0) return wrote;
    done += static_cast<std::size_t>(wrote);
    if (done >= size) return static_cast<ssize_t>(done);
    errno = made_progress;
    return ssize_t{-1};
  };
  auto limit = [&](int fd) { return write_limit(kind, fd); };
  ssize_t last = until_done(call.fd, Direction::Write, "write()", limit, step, done);
  if (last < 0 && errno == EPERM && done == 0) return write_plainly(call);
  return done > 0 ? static_cast<ssize_t>(done) : last;
}

template <class Size>
ssize_t write_parts(const Call& call, Size size) noexcept {
  Kind kind;
  ssize_t wrote = first_try(call, kind, [&](Kind as) { return write_now(as, call, true); });
  bool all = wrote >= 0 && static_cast<std::size_t>(wrote) >= size();
  if (all || (wrote < 0 && !unsure(errno))) {
    fair();
    return wrote;
  }
  if (wrote >= 0) errno = EAGAIN;
  kind = kind_now(kind, call.fd);
  auto done = static_cast<std::size_t>(std::max<ssize_t>(wrote, 0));
  if (kind != Kind::File) return wait_and_write(kind, call, size(), done);
  if (done == 0) return write_file(call.fd, call.parts, call.count, call.flags);
  PartsOf rest(call.parts, static_cast<std::size_t>(call.count));
  while (done < size()) {
    int count = 0;
    iovec* parts = rest.after(done, count);
    ssize_t more = write_file(call.fd, parts, count, call.flags);
    if (more <= 0) break;
    done += static_cast<std::size_t>(more);
  }
  return static_cast<ssize_t>(done);
}

auto size_of(const Call& call) noexcept {
  return [&call] { return PartsOf(call.parts, static_cast<std::size_t>(call.count)).size(); };
}

}  // namespace

// Of nothing: what that means is for each file to say, which needs no waiting.
ssize_t read(int fd, void* buffer, std::size_t size) noexcept {
  if (size == 0) return real::read(fd, buffer, size);
  iovec part{buffer, size};
  return read_parts({fd, &part, 1, 0}, [&] { return size; });
}

ssize_t write(int fd, const void* buffer, std::size_t size) noexcept {
  if (size == 0) return real::write(fd, buffer, size);
  iovec part{const_cast<void*>(buffer), size};
  return write_parts({fd, &part, 1, 0}, [&] { return size; });
}

ssize_t readv(int fd, const iovec* parts, int count) noexcept {
  if (count <= 0) return real::readv(fd, parts, count);
  Call call{fd, parts, count, 0};
  return read_parts(call, size_of(call));
}

ssize_t writev(int fd, const iovec* parts, int count) noexcept {
  if (count <= 0) return real::writev(fd, parts, count);
  Call call{fd, parts, count, 0};
  return write_parts(call, size_of(call));
}

// Flags that pipes and sockets may be given; others are refused, or those of files.
constexpr int flags_of_all = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND;

// At an offset there are only files.
ssize_t preadv2(int fd, const iovec* parts, int count, off_t offset, int flags) noexcept {
  if (count <= 0 || (flags & RWF_NOWAIT) != 0) {
    return native::preadv2(fd, parts, count, offset, flags);
  }
  if (offset != -1 || (flags & ~flags_of_all) != 0) {
    return read_file(fd, parts, count, flags, offset);
  }
  Call call{fd, parts, count, flags};
  return read_parts(call, size_of(call));
}

ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags) noexcept {
  if (count <= 0 || (flags & RWF_NOWAIT) != 0) {
    return native::pwritev2(fd, parts, count, offset, flags);
  }
  if (offset != -1 || (flags & ~flags_of_all) != 0) {
    return write_file(fd, parts, count, flags, offset);
  }
  Call call{fd, parts, count, flags};
  return write_parts(call, size_of(call));
}

int eventfd_read(int fd, eventfd_t* value) noexcept {
  return green::read(fd, value, sizeof *value) == sizeof *value ? 0 : -1;
}

int eventfd_write(int fd, eventfd_t value) noexcept {
  return green::write(fd, &value, sizeof value) == sizeof value ? 0 : -1;
}

// Nothing tells when all has been sent: it is looked at now and then. The native call waits for the
// last of it, in the hardware.
namespace {

bool sent_to_terminal(int fd, const char* what) noexcept {
  int left = 0;
  if (kind_of(fd) != Kind::Terminal || real::ioctl(fd, TIOCOUTQ, &left) != 0 || left == 0) {
    return true;
  }
  Wait wait(fd, Direction::Write, what);
  do {
    if (!wait.again_later()) return false;
  } while (real::ioctl(fd, TIOCOUTQ, &left) == 0 && left > 0);
  return true;
}

}  // namespace

int tcdrain(int fd) noexcept {
  if (!sent_to_terminal(fd, "tcdrain()")) return -1;
  int result = native::tcdrain(fd);
  fair();
  return result;
}

int tcsetattr(int fd, int when, const termios* settings) noexcept {
  bool waits = when == TCSADRAIN || when == TCSAFLUSH;
  if (waits && !sent_to_terminal(fd, "tcsetattr()")) return -1;
  return native::tcsetattr(fd, when, settings);
}

}  // namespace fern::monkey::green
