#include "monkey/stream.hpp"

#include "base/real.hpp"
#include "core/hub.hpp"
#include "io/no_wait.hpp"
#include "monkey/green.hpp"
#include "monkey/kind.hpp"
#include "monkey/rescue.hpp"
#include "monkey/state.hpp"
#include "monkey/stream_flags.hpp"
#include "monkey/stream_locks.hpp"
#include "monkey/tls.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace fern::monkey {
namespace {

bool bytes_that_wait(const FILE* file) noexcept {
  return file->_mode <= 0 && no_file_on_disk(file);
}

bool ready(int fd, short events) noexcept {
  int saved = errno;
  bool is = io::ready_now(fd, events) == 0;
  errno = saved;
  return is;
}

std::size_t pending(const FILE* file) noexcept {
  if (!is(file, putting)) return 0;
  return static_cast<std::size_t>(file->_IO_write_ptr - file->_IO_write_base);
}

bool has_buffer(const FILE* file) noexcept { return file->_IO_buf_base != nullptr; }

// One write that does not block: EAGAIN where it would.
ssize_t write_some(int fd, const char* data, std::size_t size) noexcept {
  iovec part{const_cast<char*>(data), size};
  return io::without_blocking(
      fd, POLLOUT, [&] { return real::pwritev2(fd, &part, 1, -1, RWF_NOWAIT); },
      [&] {
        std::size_t most = std::min(size, surely_taken(kind_of(fd)));
        return rescued([&] { return real::write(fd, data, most); });
      });
}

// All of it; how much was written when that failed, with errno.
std::size_t write_through(FILE* file, const char* data, std::size_t size,
                          const char* what) noexcept {
  int fd = file->_fileno;
  std::size_t done = 0;
  while (done < size) {
    ssize_t step = write_some(fd, data + done, size - done);
    if (step >= 0) {
      done += static_cast<std::size_t>(step);
    } else if (!would_block(errno) || nonblocking(fd) ||
               !wait_ready(file, Direction::Write, what)) {
      break;
    }
  }
  return done;
}

// libc's own, which reads once, and into the buffer alone.
constinit Original<int(FILE*)> underflow{"__underflow"};

__attribute__((tls_model("initial-exec"))) constinit thread_local Turn* turns_here = nullptr;

// The OS thread's, whatever thread-local storage its green threads have.
Turn*& turns() noexcept { return of_os_thread(turns_here); }

}  // namespace

// --- what is common to bytes and wide characters -----------------------------------------------

bool no_file_on_disk(const FILE* file) noexcept {
  if (!is(file, has_descriptor) || file->_fileno < 0) return false;
  int saved = errno;
  struct stat status{};
  bool known = fstat(file->_fileno, &status) == 0;
  errno = saved;
  return known && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode) && !S_ISBLK(status.st_mode);
}

bool wait_ready(int fd, Direction direction, const char* what) noexcept {
  short events = direction == Direction::Read ? POLLIN : POLLOUT;
  if (ready(fd, events)) {
    fair();
    if (ready(fd, events)) return true;
  }
  if (nonblocking(fd)) return true;
  int saved = errno;
  bool reads = direction == Direction::Read;
  Kind kind = kind_of(fd);
  Deadline limit;
  if (kind == Kind::Socket) limit = reads ? receive_limit(fd) : send_limit(fd);
  Wait wait(fd, direction, what, limit);
  do {
    if (wait.again()) continue;
    if (errno != EPERM) return false;
    break;
  } while (!ready(fd, events));
  if (reads && kind == Kind::Terminal && hung_up(fd)) {
    errno = EIO;
    return false;
  }
  errno = saved;
  return true;
}

bool wait_ready(FILE* file, Direction direction, const char* what) noexcept {
  do {
    if (!wait_ready(file->_fileno, direction, what)) return false;
  } while (threads_green() && await_unlocked(file));
  return true;
}

// --- turns ------------------------------------------------------------------------------------

Turn::Turn(FILE* file, Direction direction) noexcept
    : file_(file), direction_(direction), greenlet_(&core::Hub::here()->running()) {
  Turn** end = &turns();
  while (*end != nullptr) end = &(*end)->next_;
  *end = this;
}

Turn::~Turn() {
  Turn** place = &turns();
  while (*place != this) place = &(*place)->next_;
  *place = next_;
  for (Turn* each = next_; each != nullptr; each = each->next_) {
    if (each->file_ != file_ || each->direction_ != direction_) continue;
    core::Hub::wake(*each->greenlet_, core::Wake::Notified);
    break;
  }
}

bool Turn::taken(const FILE* file, Direction direction) noexcept {
  Turn* each = turns();
  while (each != nullptr && (each->file_ != file || each->direction_ != direction)) {
    each = each->next_;
  }
  return each != nullptr;
}

bool Turn::first() const noexcept {
  for (Turn* each = turns(); each != this; each = each->next_) {
    if (each->file_ == file_ && each->direction_ == direction_) return false;
  }
  return true;
}

bool Turn::come() noexcept {
  core::Hub& hub = *core::Hub::here();
  while (!first()) {
    if (hub.try_park("its turn at a FILE", file_->_fileno) != core::Wake::Interrupted) continue;
    errno = core::refuse(hub.running());
    return fail(file_);
  }
  return true;
}

// --- reading ----------------------------------------------------------------------------------

std::size_t window(const FILE* file) noexcept {
  return static_cast<std::size_t>(file->_IO_read_end - file->_IO_read_ptr);
}

std::size_t buffered(const FILE* file) noexcept {
  std::size_t behind = 0;
  if (is(file, in_backup)) {
    behind = static_cast<std::size_t>(file->_IO_save_end - file->_IO_save_base);
  }
  return window(file) + behind;
}

bool may_wait(const FILE* file) noexcept {
  return !is(file, no_reads | at_end) && bytes_that_wait(file);
}

bool write_prompt(const FILE* file, const char* what) noexcept {
  if (stdout == nullptr || !is(stdout, line_buffered) || pending(stdout) == 0) return true;
  bool interactive = is(file, line_buffered | unbuffered);
  if (!interactive && !has_buffer(file)) {
    int saved = errno;
    interactive = isatty(file->_fileno) == 1;
    errno = saved;
  }
  return !interactive || drain(stdout, what);
}

namespace {

// Until a read finds something, or the end.
bool wait_readable(FILE* file, const char* what) noexcept {
  if (!drain(file, what) || !write_prompt(file, what)) return fail(file);
  return wait_ready(file, Direction::Read, what) || fail(file);
}

}  // namespace

bool fill(FILE* file, const char* what) noexcept {
  for (;;) {
    if (buffered(file) == 0 && !wait_readable(file, what)) return false;
    int before = file->_flags;
    Locked lock(file);
    if (rescued([&] { return underflow(file); }) != EOF) return true;
    bool was_late = errno == EAGAIN && !nonblocking(file->_fileno) && !is(file, at_end);
    if (!was_late) return false;
    // Another process has read what there was.
    if ((before & failed) == 0) file->_flags &= ~failed;
  }
}

// --- writing ----------------------------------------------------------------------------------

std::size_t room(const FILE* file) noexcept {
  if (!is(file, putting) || is(file, line_buffered | unbuffered)) return 0;
  return static_cast<std::size_t>(file->_IO_write_end - file->_IO_write_ptr);
}

namespace {

// As libc does it: what cannot be written is gone. A kill leaves it.
bool lose(FILE* file) noexcept {
  if (errno != ECANCELED && errno != ETIMEDOUT) file->_IO_write_ptr = file->_IO_write_base;
  return fail(file);
}

}  // namespace

bool drain(FILE* file, const char* what) noexcept {
  // A file has a position, which libc's own call sets right before it writes.
  if (pending(file) == 0 || !bytes_that_wait(file)) return true;
  while (pending(file) > 0) {
    ssize_t written;
    {
      Locked lock(file);
      written = write_some(file->_fileno, file->_IO_write_base, pending(file));
      if (written > 0) {
        std::size_t rest = pending(file) - static_cast<std::size_t>(written);
        std::memmove(file->_IO_write_base, file->_IO_write_base + written, rest);
        file->_IO_write_ptr -= written;
      }
    }
    if (written >= 0) continue;
    if (!would_block(errno) || nonblocking(file->_fileno)) return lose(file);
    if (!wait_ready(file, Direction::Write, what)) return lose(file);
  }
  return true;
}

bool wait_to_write(FILE* file, const char* what) noexcept {
  if (!no_file_on_disk(file)) return true;
  if (file->_mode > 0) return flush_wide(file, what);
  return drain(file, what) && wait_ready(file, Direction::Write, what);
}

namespace {

// As libc does before the first byte; it writes nothing, for there is nothing yet.
void get_buffer(FILE* file) noexcept {
  Locked lock(file);
  if (!is(file, putting)) native::__overflow(file, EOF);
}

// Into the buffer, and no farther.
std::size_t put(FILE* file, const char* data, std::size_t size) noexcept {
  Locked lock(file);
  size = std::min(size, static_cast<std::size_t>(file->_IO_buf_end - file->_IO_write_ptr));
  std::memcpy(file->_IO_write_ptr, data, size);
  file->_IO_write_ptr += size;
  return size;
}

// Lines: written up to the last end of a line. As libc says it, all has been taken when it stands
// in the buffer.
std::size_t write_lines(FILE* file, const char* data, std::size_t size, const char* what) noexcept {
  auto* last = static_cast<const char*>(memrchr(data, '\n', size));
  std::size_t lines = last == nullptr ? 0 : static_cast<std::size_t>(last - data) + 1;
  std::size_t done = 0;
  while (done < size) {
    std::size_t end = done < lines ? lines : size;
    done += put(file, data + done, end - done);
    bool stays = done == size && done > lines;
    if (!stays && !drain(file, what)) return done;
  }
  return done;
}

}  // namespace

std::size_t write_out(FILE* file, const char* data, std::size_t size, const char* what) noexcept {
  bool mine = !Turn::taken(file, Direction::Write);
  if ((mine && size <= room(file)) || is(file, no_writes)) {
    return native::fwrite(data, 1, size, file);
  }
  fair();
  Turn turn(file, Direction::Write);
  if (!turn.come()) return 0;
  // Threads of other hubs may write meanwhile: what fits is one call of libc's.
  if (!bytes_that_wait(file) || nonblocking(file->_fileno)) {
    return native::fwrite(data, 1, size, file);
  }
  if (!is(file, unbuffered | line_buffered)) get_buffer(file);
  std::size_t done = 0;
  Kind kind = kind_of(file->_fileno);
  std::size_t at_once = std::min<std::size_t>(PIPE_BUF, surely_taken(kind));
  // Pipes and sockets say themselves that they are full. Others are asked before.
  bool says_full = kind == Kind::Pipe || kind == Kind::Socket;
  bool fits = size <= room(file) ||
              (!says_full && pending(file) + size <= at_once && ready(file->_fileno, POLLOUT));
  if (fits) return native::fwrite(data, 1, size, file);
  if (says_full) get_buffer(file);
  if (says_full && is(file, line_buffered) && is(file, putting) && has_buffer(file)) {
    return write_lines(file, data, size, what);
  }
  for (;;) {
    std::size_t step = std::min(room(file), size - done);
    done += native::fwrite(data + done, 1, step, file);
    if (done == size) return done;
    if (!drain(file, what)) return done;
    bool whole_buffers = is(file, putting) && has_buffer(file) && !is(file, line_buffered);
    if (is(file, unbuffered) || whole_buffers) {
      // As libc does: full buffers go past the buffer.
      auto block = static_cast<std::size_t>(file->_IO_buf_end - file->_IO_buf_base);
      step = size - done;
      if (!is(file, unbuffered)) step -= step % block;
      std::size_t written = write_through(file, data + done, step, what);
      done += written;
      if (written == step) continue;
      fail(file);
      return done;
    }
    // The first bytes, or lines: what can be written fits once the descriptor is writable.
    step = std::min(size - done, at_once);
    if (!wait_ready(file, Direction::Write, what)) {
      fail(file);
      return done;
    }
    std::size_t taken = native::fwrite(data + done, 1, step, file);
    done += taken;
    if (taken < step) return done;
  }
}

}  // namespace fern::monkey
