// FILEs of wide characters. libc makes them of the bytes in its buffer, and when the last one is
// not whole it reads again, inside: so what it finds in the buffer is read here, and it is asked
// only for what it can make of that.

#include "base/real.hpp"
#include "io/no_wait.hpp"
#include "monkey/green.hpp"
#include "monkey/rescue.hpp"
#include "monkey/stream_flags.hpp"

#include <algorithm>
#include <cstring>

namespace fern::monkey {
namespace {

// The structure that _wide_data points at begins so: libc's inline functions have known it.
struct Area {
  wchar_t* read_ptr;
  wchar_t* read_end;
  wchar_t* read_base;
  wchar_t* write_base;
  wchar_t* write_ptr;
  wchar_t* write_end;
  wchar_t* buf_base;
  wchar_t* buf_end;
};
Area& area_of(const FILE* file) noexcept { return *reinterpret_cast<Area*>(file->_wide_data); }

constinit Original<void(FILE*)> make_buffer{"_IO_doallocbuf"};
constinit Original<void(FILE*)> make_wide_buffer{"_IO_wdoallocbuf"};

std::size_t pending(const FILE* file) noexcept {
  if (file->_mode <= 0 || !is(file, putting)) return 0;
  Area& area = area_of(file);
  return static_cast<std::size_t>(area.write_ptr - area.write_base);
}

// A character of what is in the buffers, WEOF and EAGAIN when there is no whole one, or an error:
// libc is asked for it without a descriptor.
wint_t from_buffers(FILE* file) noexcept {
  int saved = errno;
  int before = file->_flags;
  int descriptor = std::exchange(file->_fileno, -1);
  wint_t next = native::fgetwc_unlocked(file);
  file->_fileno = descriptor;
  if (next == WEOF && errno == EBADF) {
    if ((before & failed) == 0) file->_flags &= ~failed;
    errno = EAGAIN;
  } else if (next != WEOF) {
    errno = saved;
  }
  return next;
}

// One read, behind the bytes that are there. 0 at the end.
ssize_t read_more(FILE* file) noexcept {
  std::size_t left = window(file);
  std::memmove(file->_IO_buf_base, file->_IO_read_ptr, left);
  file->_IO_read_base = file->_IO_read_ptr = file->_IO_buf_base;
  file->_IO_read_end = file->_IO_buf_base + left;
  file->_IO_write_base = file->_IO_write_ptr = file->_IO_write_end = file->_IO_buf_base;
  iovec room{file->_IO_read_end, static_cast<std::size_t>(file->_IO_buf_end - file->_IO_read_end)};
  int fd = file->_fileno;
  ssize_t got = io::without_blocking(
      fd, POLLIN, [&] { return real::preadv2(fd, &room, 1, -1, RWF_NOWAIT); },
      [&] { return rescued([&] { return real::readv(fd, &room, 1); }); });
  if (got > 0) file->_IO_read_end += got;
  return got;
}

// Once there are buffers, and nothing is to be written, what has come can be looked at.
bool readable_by_us(FILE* file) noexcept {
  if (is(file, putting | unbuffered)) return false;
  if (file->_IO_buf_base == nullptr) make_buffer(file);
  if (area_of(file).buf_base == nullptr) make_wide_buffer(file);
  if (is(file, unbuffered)) return false;
  if (file->_IO_read_ptr == nullptr) {
    file->_IO_read_base = file->_IO_read_ptr = file->_IO_read_end = file->_IO_buf_base;
  }
  return area_of(file).buf_base != nullptr;
}

}  // namespace

bool becomes_wide(FILE* file) noexcept {
  return file->_mode > 0 || (file->_mode == 0 && std::fwide(file, 1) > 0);
}

bool may_wait_wide(const FILE* file) noexcept {
  return !is(file, no_reads | at_end) && no_file_on_disk(file);
}

bool may_wait_to_write_wide(const FILE* file) noexcept {
  return !is(file, no_writes) && no_file_on_disk(file);
}

bool wide_buffered(const FILE* file) noexcept {
  return file->_mode > 0 && area_of(file).read_ptr < area_of(file).read_end;
}

wint_t next_wide(FILE* file, const char* what) noexcept {
  if (wide_buffered(file)) return native::fgetwc(file);
  bool ours;
  {
    Locked lock(file);
    ours = readable_by_us(file);
  }
  if (!ours) {
    // libc reads, byte for byte or after it has written: only its first wait is ours.
    if (!flush_wide(file, what) || !write_prompt(file, what) ||
        !wait_ready(file, Direction::Read, what)) {
      fail(file);
      return WEOF;
    }
    return native::fgetwc(file);
  }
  bool has_read = false;
  for (;;) {
    {
      Locked lock(file);
      if (window(file) > 0 || is(file, in_backup)) {
        wint_t next = from_buffers(file);
        if (next != WEOF || errno != EAGAIN) return next;
      }
    }
    if (!write_prompt(file, what) || !wait_ready(file, Direction::Read, what)) {
      fail(file);
      return WEOF;
    }
    Locked lock(file);
    ssize_t got = read_more(file);
    if (got > 0) {
      has_read = true;
      continue;
    }
    if (got < 0) {
      if (errno == EAGAIN && !nonblocking(file->_fileno)) continue;  // another has read it
      fail(file);
      return WEOF;
    }
    // What was left of an earlier read is no error, for libc.
    if (window(file) == 0 || !has_read) {
      file->_flags |= at_end;
    } else {
      errno = EILSEQ;
      fail(file);
    }
    return WEOF;
  }
}

bool wide_room(const FILE* file, std::size_t count, std::size_t most) noexcept {
  if (is(file, line_buffered | unbuffered)) return false;
  Area& area = area_of(file);
  if (area.buf_base == nullptr) return true;
  std::size_t there = pending(file);
  auto room = static_cast<std::size_t>(area.buf_end - area.buf_base);
  return there + count <= std::min(room, most);
}

bool flush_wide(FILE* file, const char* what) noexcept {
  bool through = is(file, line_buffered | unbuffered);
  if ((pending(file) == 0 && !through) || !no_file_on_disk(file)) return true;
  if (!wait_ready(file, Direction::Write, what)) return fail(file);
  return pending(file) == 0 || native::fflush(file) == 0;
}

}  // namespace fern::monkey
