// What moves data from one descriptor to another. Only pipes can be told not to block here: sockets
// are asked first whether they are ready, and given no more than fits.

#include "io/no_wait.hpp"
#include "monkey/green.hpp"
#include "monkey/kind.hpp"
#include "monkey/rescue.hpp"
#include "monkey/wait.hpp"

#include <fcntl.h>
#include <sys/sendfile.h>

#include <algorithm>

namespace fern::monkey::green {
namespace {

// A side of splice that may block.
struct Side {
  int fd;
  Direction direction;
  bool socket = false;  // that blocks: SPLICE_F_NONBLOCK is for pipes

  bool ready() const noexcept {
    if (fd < 0) return true;
    int saved = errno;
    bool is = io::ready_now(fd, direction == Direction::Read ? POLLIN : POLLOUT) == 0;
    errno = saved;
    return is;
  }
};

bool blocking_socket(int fd) noexcept { return kind_of(fd) == Kind::Socket && !nonblocking(fd); }

// So much of its buffer is free at least when a socket is writable.
std::size_t room_of(int fd) noexcept {
  int saved = errno;
  int size = 0;
  socklen_t length = sizeof size;
  if (real::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0) size = 0;
  errno = saved;
  return static_cast<std::size_t>(std::max(size / 4, 1));
}

// Between two descriptors: `now` moves what it can without waiting for a pipe. It waits for the
// side that is not ready; for both of them in turn, for both are needed.
template <class Now>
ssize_t move(Side from, Side to, const char* what, bool waits, Now now) noexcept {
  for (;;) {
    ssize_t moved = -1;
    errno = EAGAIN;
    if ((!from.socket || from.ready()) && (!to.socket || to.ready())) moved = now();
    if (moved >= 0 || !would_block(errno)) {
      fair();
      return moved;
    }
    bool from_ready = from.ready();
    bool to_ready = to.ready();
    const Side* slow = !from_ready ? &from : !to_ready ? &to : nullptr;
    if (!waits && (slow == nullptr || !slow->socket)) {
      at_once();
      return moved;
    }
    Wait wait(slow != nullptr ? slow->fd : -1, slow != nullptr ? slow->direction : Direction::Read,
              what);
    if (!(slow != nullptr ? wait.again() : wait.again_later())) return -1;
  }
}

bool only_reads(int fd) noexcept {
  int mode = real::fcntl(fd, F_GETFL, 0);
  return mode >= 0 && (mode & O_ACCMODE) == O_RDONLY;
}

bool waits_for(int fd, unsigned flags) noexcept {
  return (flags & SPLICE_F_NONBLOCK) == 0 && !nonblocking(fd);
}

}  // namespace

ssize_t splice(int in, off64_t* in_offset, int out, off64_t* out_offset, std::size_t size,
               unsigned flags) noexcept {
  if (kind_of(in) != Kind::Pipe && kind_of(out) != Kind::Pipe) {
    return native::splice(in, in_offset, out, out_offset, size, flags);  // refuses
  }
  Side from{in, Direction::Read, blocking_socket(in)};
  Side to{out, Direction::Write, blocking_socket(out)};
  if (to.socket) size = std::min(size, room_of(out));
  bool waits = waits_for(in, flags) && waits_for(out, flags);
  return move(from, to, "splice()", waits, [&] {
    return rescued([&] {
      return native::splice(in, in_offset, out, out_offset, size, flags | SPLICE_F_NONBLOCK);
    });
  });
}

ssize_t tee(int in, int out, std::size_t size, unsigned flags) noexcept {
  bool waits = waits_for(in, flags) && waits_for(out, flags);
  return move({in, Direction::Read}, {out, Direction::Write}, "tee()", waits,
              [&] { return native::tee(in, out, size, flags | SPLICE_F_NONBLOCK); });
}

ssize_t vmsplice(int fd, const iovec* parts, std::size_t count, unsigned flags) noexcept {
  bool reads = only_reads(fd);
  Side from{reads ? fd : -1, Direction::Read};
  Side to{reads ? -1 : fd, Direction::Write};
  return move(from, to, "vmsplice()", waits_for(fd, flags),
              [&] { return native::vmsplice(fd, parts, count, flags | SPLICE_F_NONBLOCK); });
}

// What blocks here is the receiver; the file is read as sendfile reads it. To a socket or terminal
// everything goes, to a pipe what there is room for.
ssize_t sendfile(int out, int in, off_t* offset, std::size_t size) noexcept {
  Kind kind = kind_of(out);
  if (kind == Kind::Unknown || kind == Kind::File || nonblocking(out)) {
    ssize_t sent = native::sendfile(out, in, offset, size);
    fair();
    return sent;
  }
  std::size_t most = kind == Kind::Socket     ? room_of(out)
                     : kind == Kind::Terminal ? surely_taken(kind)
                                              : size;
  std::size_t done = 0;
  auto step = [&] {
    // What cannot be written is never ready, and says why not.
    if (io::ready_now(out, POLLOUT) < 0 && !only_reads(out)) return ssize_t{-1};
    ssize_t sent =
        rescued([&] { return native::sendfile(out, in, offset, std::min(size - done, most)); });
    if (sent < 0) return sent;
    done += static_cast<std::size_t>(sent);
    if (sent == 0 || done >= size || kind == Kind::Pipe) return static_cast<ssize_t>(done);
    errno = made_progress;
    return ssize_t{-1};
  };
  auto limit = [&](int fd) { return kind == Kind::Socket ? send_limit(fd) : Deadline(); };
  ssize_t last = until_done(out, Direction::Write, "sendfile()", limit, step, done);
  return done > 0 ? static_cast<ssize_t>(done) : last;
}

}  // namespace fern::monkey::green
