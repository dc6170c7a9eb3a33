#include "monkey/kind.hpp"

#include "base/real.hpp"

#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace fern::monkey {
namespace {

constexpr unsigned most = 65536;
constinit std::atomic<Kind> known[most];

// What may be asked of the kernel only. A file is never remembered: who takes a pipe for one would
// block on it.
Kind ask(int fd) noexcept {
  struct stat state{};
  if (fstat(fd, &state) < 0) return Kind::Unknown;
  switch (state.st_mode & S_IFMT) {
    case S_IFSOCK:
      return Kind::Socket;
    case S_IFIFO:
      return Kind::Pipe;
    case S_IFCHR:
      return isatty(fd) != 0 ? Kind::Terminal : Kind::Pollable;
    case S_IFREG:
    case S_IFDIR:
    case S_IFBLK:
    case S_IFLNK:
      return Kind::File;
    default:
      return Kind::Pollable;
  }
}

}  // namespace

Kind kind_of(int fd) noexcept {
  int saved = errno;
  Kind kind = ask(fd);
  errno = saved;
  auto number = static_cast<unsigned>(fd);
  if (number < most) {
    bool remembered = kind == Kind::Socket || kind == Kind::Pipe || kind == Kind::Pollable;
    known[number].store(remembered ? kind : Kind::Unknown, std::memory_order_relaxed);
  }
  return kind;
}

Kind known_kind(int fd) noexcept {
  auto number = static_cast<unsigned>(fd);
  return number < most ? known[number].load(std::memory_order_relaxed) : Kind::Unknown;
}

std::size_t surely_taken(Kind kind) noexcept {
  constexpr std::size_t of_a_terminal = 128;
  if (kind == Kind::Pipe) return PIPE_BUF;
  return kind == Kind::Terminal ? of_a_terminal : SSIZE_MAX;
}

bool hung_up(int fd) noexcept {
  int saved = errno;
  pollfd one{fd, 0, 0};
  int left = 0;
  bool is = real::poll(&one, 1, 0) > 0 && (one.revents & POLLHUP) != 0 &&
            (real::ioctl(fd, FIONREAD, &left) < 0 || left == 0);
  errno = saved;
  return is;
}

void forget_kind(int fd) noexcept {
  auto number = static_cast<unsigned>(fd);
  if (number < most && known_kind(fd) != Kind::Unknown) {
    known[number].store(Kind::Unknown, std::memory_order_relaxed);
  }
}

}  // namespace fern::monkey
