// Writing by stdio. What does not fit into the buffer is written here, not inside libc.

#include "io/fd_table.hpp"
#include "monkey/green.hpp"
#include "monkey/stream_flags.hpp"

#include <stdio_ext.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace fern::monkey::green {
namespace {

constinit Original<int(char*, std::size_t, int, std::size_t, const char*, va_list)> checked_format{
    "__vsnprintf_chk"};

// fwrite() calls written what stands in the buffer and could not be flushed; the other calls do
// not.
bool write_all(FILE* file, const char* data, std::size_t size, const char* what) noexcept {
  int before = without_failure(file);
  bool all = write_out(file, data, size, what) == size && !is(file, failed);
  file->_flags |= before;
  return all;
}

// The text is written when it is known how long it is. `format_to(room, size, list)` is a
// vsnprintf, `write` says whether all has been taken.
template <class Format, class Write>
int print(va_list list, Format format_to, Write write) noexcept {
  char few[512];
  char* text = few;
  va_list again;
  va_copy(again, list);
  int size = format_to(few, sizeof few, list);
  if (size >= static_cast<int>(sizeof few)) {
    auto room = static_cast<std::size_t>(size) + 1;
    text = static_cast<char*>(std::malloc(room));
    size = text == nullptr ? -1 : format_to(text, room, again);
  }
  va_end(again);
  if (size > 0 && !write(text, static_cast<std::size_t>(size))) size = -1;
  if (text != few) std::free(text);
  return size;
}

template <class Format>
int print(FILE* file, va_list list, Format format_to) noexcept {
  return print(list, format_to, [file](const char* text, std::size_t size) {
    return write_all(file, text, size, "printf()");
  });
}

template <class Format>
int print(int fd, va_list list, Format format_to) noexcept {
  return print(list, format_to, [fd](const char* text, std::size_t size) {
    while (size > 0) {
      ssize_t wrote = green::write(fd, text, size);
      if (wrote < 0) return false;
      text += wrote;
      size -= static_cast<std::size_t>(wrote);
    }
    return true;
  });
}

bool is_wide(const FILE* file) noexcept { return file->_mode > 0; }

}  // namespace

std::size_t fwrite(const void* data, std::size_t size, std::size_t count, FILE* file) noexcept {
  std::size_t total = 0;
  if (__builtin_mul_overflow(size, count, &total) || total == 0 || is_wide(file)) {
    return native::fwrite(data, size, count, file);
  }
  int saved = errno;
  std::size_t done = write_out(file, static_cast<const char*>(data), total, "fwrite()");
  if (done < total) return done / size;
  errno = saved;
  return count;
}
std::size_t fwrite_unlocked(const void* data, std::size_t size, std::size_t count,
                            FILE* file) noexcept {
  return green::fwrite(data, size, count, file);
}

int fputs(const char* text, FILE* file) noexcept {
  if (is_wide(file)) return native::fputs(text, file);
  std::size_t size = std::strlen(text);
  return write_all(file, text, size, "fputs()") ? 1 : EOF;
}
int fputs_unlocked(const char* text, FILE* file) noexcept { return green::fputs(text, file); }

int puts(const char* text) noexcept {
  if (is_wide(stdout)) return native::puts(text);
  std::size_t size = std::strlen(text);
  if (!write_all(stdout, text, size, "puts()")) return EOF;
  if (!write_all(stdout, "\n", 1, "puts()")) return EOF;
  return static_cast<int>(std::min<std::size_t>(size + 1, INT_MAX));
}

int fputc(int c, FILE* file) noexcept {
  if (is_wide(file) || (room(file) > 0 && !Turn::taken(file, Direction::Write))) {
    return native::fputc(c, file);
  }
  auto byte = static_cast<unsigned char>(c);
  char text = static_cast<char>(byte);
  return write_all(file, &text, 1, "fputc()") ? byte : EOF;
}
int fputc_unlocked(int c, FILE* file) noexcept { return green::fputc(c, file); }
int putc_unlocked(int c, FILE* file) noexcept { return green::fputc(c, file); }
int putchar(int c) noexcept { return green::fputc(c, stdout); }
int putchar_unlocked(int c) noexcept { return green::fputc(c, stdout); }

// What putc_unlocked() calls, inline, when the buffer is full.
int __overflow(FILE* file, int c) noexcept {
  if (c == EOF || is_wide(file)) return native::__overflow(file, c);
  return green::fputc(c, file);
}

int vfprintf(FILE* file, const char* format, va_list list) noexcept {
  if (is_wide(file)) return native::vfprintf(file, format, list);
  return print(file, list, [&](char* text, std::size_t size, va_list with) {
    return std::vsnprintf(text, size, format, with);
  });
}
int __vfprintf_chk(FILE* file, int flag, const char* format, va_list list) noexcept {
  if (is_wide(file)) return native::__vfprintf_chk(file, flag, format, list);
  return print(file, list, [&](char* text, std::size_t size, va_list with) {
    return checked_format(text, size, flag, size, format, with);
  });
}
int vprintf(const char* format, va_list list) noexcept {
  return green::vfprintf(stdout, format, list);
}
int __vprintf_chk(int flag, const char* format, va_list list) noexcept {
  return green::__vfprintf_chk(stdout, flag, format, list);
}

int vdprintf(int fd, const char* format, va_list list) noexcept {
  return print(fd, list, [&](char* text, std::size_t size, va_list with) {
    return std::vsnprintf(text, size, format, with);
  });
}
int __vdprintf_chk(int fd, int flag, const char* format, va_list list) noexcept {
  return print(fd, list, [&](char* text, std::size_t size, va_list with) {
    return checked_format(text, size, flag, size, format, with);
  });
}

int putw(int word, FILE* file) noexcept {
  return green::fwrite(&word, sizeof word, 1, file) == 1 ? 0 : EOF;
}

// libc's own words, which are few.
void perror(const char* text) noexcept {
  int error = errno;
  if (!wait_to_write(stderr, "perror()")) return;
  errno = error;
  native::perror(text);
}
void psignal(int number, const char* text) noexcept {
  if (wait_to_write(stderr, "psignal()")) native::psignal(number, text);
}
void psiginfo(const siginfo_t* info, const char* text) noexcept {
  if (wait_to_write(stderr, "psiginfo()")) native::psiginfo(info, text);
}

int fflush(FILE* file) noexcept {
  FILE* first = file != nullptr ? file : stdout;
  if (first != nullptr && !(is_wide(first) ? flush_wide : drain)(first, "fflush()")) return EOF;
  return native::fflush(file);
}
int fflush_unlocked(FILE* file) noexcept { return green::fflush(file); }

}  // namespace fern::monkey::green

namespace fern::monkey {
namespace {

// drain() before the FILE is closed: what cannot be written is lost.
bool finish(FILE* file) noexcept {
  if (file->_mode > 0 ? flush_wide(file, "fclose()") : drain(file, "fclose()")) return true;
  int error = errno;
  __fpurge(file);
  errno = error;
  return false;
}

}  // namespace

int close_drained(FILE* file, int (*close)(FILE*)) noexcept {
  int saved = errno;
  bool written = finish(file);
  int error = errno;
  if (written) errno = saved;
  int result = close(file);
  if (written) return result;
  errno = error;
  return EOF;
}

}  // namespace fern::monkey
