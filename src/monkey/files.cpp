// Regular files. They are never "not ready": a call waits in the kernel, and no signal ends it. So
// it is made in a worker's thread and waited for to its end, but for what preadv2(RWF_NOWAIT) finds
// in the page cache. A write always goes there: whether it must wait until others have been written
// is not known before.

#include "monkey/files.hpp"

#include "base/real.hpp"
#include "io/fd_table.hpp"
#include "monkey/ask.hpp"
#include "monkey/by_worker.hpp"
#include "monkey/green.hpp"
#include "monkey/parts_of.hpp"
#include "monkey/state.hpp"
#include "monkey/wait.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

namespace fern::monkey {
namespace {

// open() of a FIFO waits for the other end, maybe for ever.
bool waits_for_peer(int directory, const char* path, int flags) noexcept {
  if ((flags & (O_NONBLOCK | O_PATH)) != 0) return false;
  struct stat what{};
  int follow = (flags & O_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0;
  return path != nullptr && ::fstatat(directory, path, &what, follow) == 0 &&
         S_ISFIFO(what.st_mode);
}

// The flags that a mode of fopen's stands for; -1 for what libc is to judge, or has more to do for.
int flags_of(const char* mode) noexcept {
  if (mode == nullptr || std::strchr(mode, ',') != nullptr) return -1;
  int flags = *mode == 'r'   ? O_RDONLY
              : *mode == 'w' ? O_WRONLY | O_CREAT | O_TRUNC
              : *mode == 'a' ? O_WRONLY | O_CREAT | O_APPEND
                             : -1;
  if (flags < 0) return -1;
  if (std::strchr(mode, '+') != nullptr) flags = (flags & ~O_ACCMODE) | O_RDWR;
  if (std::strchr(mode, 'e') != nullptr) flags |= O_CLOEXEC;
  if (std::strchr(mode, 'x') != nullptr) flags |= O_EXCL;
  return flags;
}

struct Opening : io::Question {
  Opening(int directory, const char* path, int flags, mode_t mode, const Interrupts& interrupts)
      : directory(directory), path(path), flags(flags), mode(mode), interrupts(&interrupts) {
    in_vain = [](const io::Question& self) noexcept {
      return static_cast<const Opening&>(self).interrupts->came();
    };
  }
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;
  ~Opening() {
    if (fd >= 0) real::close(fd);
  }

  void answer() noexcept {
    fd = native::openat(directory, path.c_str(), flags, mode);
    error = errno;
  }

  int directory;
  std::string path;
  int flags;
  mode_t mode;
  const Interrupts* interrupts;  // the asker's, while he waits
  int fd = -1;
  int error = 0;
};

// Threads of their own: they may be blocked for as long as nobody comes.
io::Workers& fifo_workers() {
  constexpr std::size_t most = 64;
  alignas(io::Workers) static unsigned char room[sizeof(io::Workers)];
  static auto* workers = ::new (static_cast<void*>(room)) io::Workers(most);
  return *workers;
}

}  // namespace

// Reads what is cached, and what is not in a thread. The end is where nothing comes any more.
ssize_t read_file(int fd, const iovec* parts, int count, int flags, off_t offset) noexcept {
  auto cached = [&](const iovec* of, int how_many, off_t at) {
    return real::preadv2(fd, of, how_many, at, flags | RWF_NOWAIT);
  };
  auto waited_for = [&](const iovec* of, int how_many, off_t at) {
    auto call = [&] { return real::preadv2(fd, of, how_many, at, flags); };
    return goes_green(Part::Files) ? by_worker("reading a file", call) : call();
  };
  auto not_cached = [] { return errno == EAGAIN || errno == EOPNOTSUPP; };
  ssize_t got = cached(parts, count, offset);
  if (got < 0 && not_cached()) return waited_for(parts, count, offset);
  PartsOf rest(parts, static_cast<std::size_t>(std::max(count, 0)));
  auto done = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
  while (got > 0 && done < rest.size()) {
    int left = 0;
    const iovec* more = rest.after(done, left);
    off_t at = offset < 0 ? offset : offset + static_cast<off_t>(done);
    got = cached(more, left, at);
    if (got < 0 && not_cached()) got = waited_for(more, left, at);
    if (got > 0) done += static_cast<std::size_t>(got);
  }
  fair();
  return done > 0 ? static_cast<ssize_t>(done) : got;
}

ssize_t write_file(int fd, const iovec* parts, int count, int flags, off_t offset) noexcept {
  auto call = [=] { return real::pwritev2(fd, parts, count, offset, flags); };
  return goes_green(Part::Files) ? by_worker("writing a file", call) : call();
}

namespace green {

// Finding a path may need the disk, and the server of a file system, so it is always done in a
// thread. Only who waits for a FIFO's other end can be killed meanwhile, or interrupted.
int openat(int directory, const char* path, int flags, mode_t mode) noexcept {
  bool waits = false;
  int fd = by_worker("open()", [&] {
    waits = waits_for_peer(directory, path, flags);
    return waits ? -1 : native::openat(directory, path, flags, mode);
  });
  if (!waits) return fd;
  try {
    Interrupts interrupts;
    auto opening = std::make_unique<Opening>(directory, path, flags, mode, interrupts);
    if (!ask(opening, fifo_workers(), "open()")) {
      if (interrupts.came()) errno = EINTR;
      return -1;
    }
    errno = opening->error;
    return std::exchange(opening->fd, -1);
  } catch (...) {
    errno = ENOMEM;
    return -1;
  }
}

int open(const char* path, int flags, mode_t mode) noexcept {
  return green::openat(AT_FDCWD, path, flags, mode);
}

int creat(const char* path, mode_t mode) noexcept {
  return green::openat(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

ssize_t pread(int fd, void* buffer, std::size_t size, off_t offset) noexcept {
  if (offset < 0) return native::pread(fd, buffer, size, offset);
  iovec one{buffer, size};
  return read_file(fd, &one, 1, 0, offset);
}

ssize_t pwrite(int fd, const void* data, std::size_t size, off_t offset) noexcept {
  return by_worker("pwrite()", [=] { return native::pwrite(fd, data, size, offset); });
}

ssize_t preadv(int fd, const iovec* parts, int count, off_t offset) noexcept {
  if (offset < 0) return native::preadv(fd, parts, count, offset);
  return read_file(fd, parts, count, 0, offset);
}

ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) noexcept {
  return by_worker("pwritev()", [=] { return native::pwritev(fd, parts, count, offset); });
}

int fsync(int fd) noexcept {
  return by_worker("fsync()", [=] { return native::fsync(fd); });
}

int fdatasync(int fd) noexcept {
  return by_worker("fdatasync()", [=] { return native::fdatasync(fd); });
}

void sync() noexcept {
  by_worker("sync()", [] {
    native::sync();
    return 0;
  });
}

int syncfs(int fd) noexcept {
  return by_worker("syncfs()", [=] { return native::syncfs(fd); });
}

int msync(void* memory, std::size_t size, int flags) noexcept {
  if ((flags & MS_SYNC) == 0) return native::msync(memory, size, flags);
  return by_worker("msync()", [=] { return native::msync(memory, size, flags); });
}

int sync_file_range(int fd, off_t offset, off_t size, unsigned flags) noexcept {
  return by_worker("sync_file_range()",
                   [=] { return native::sync_file_range(fd, offset, size, flags); });
}

ssize_t copy_file_range(int in, off64_t* in_offset, int out, off64_t* out_offset, std::size_t size,
                        unsigned flags) noexcept {
  return by_worker("copy_file_range()", [=] {
    return native::copy_file_range(in, in_offset, out, out_offset, size, flags);
  });
}

int fallocate(int fd, int mode, off_t offset, off_t size) noexcept {
  return by_worker("fallocate()", [=] { return native::fallocate(fd, mode, offset, size); });
}

int posix_fallocate(int fd, off_t offset, off_t size) noexcept {
  return by_worker("posix_fallocate()", [=] { return native::posix_fallocate(fd, offset, size); });
}

int truncate(const char* path, off_t size) noexcept {
  return by_worker("truncate()", [=] { return native::truncate(path, size); });
}

int ftruncate(int fd, off_t size) noexcept {
  return by_worker("ftruncate()", [=] { return native::ftruncate(fd, size); });
}

// What opens a FILE waits for a FIFO's other end alone: libraries hold locks while they open their
// files.
FILE* fopen(const char* path, const char* mode) noexcept {
  int flags = flags_of(mode);
  if (flags < 0 || !waits_for_peer(AT_FDCWD, path, flags)) return native::fopen(path, mode);
  constexpr mode_t everybody = 0666;
  int fd = green::open(path, flags, everybody);
  if (fd < 0) return nullptr;
  FILE* file = ::fdopen(fd, mode);
  if (file == nullptr) real::close(fd);
  return file;
}

}  // namespace green
}  // namespace fern::monkey
