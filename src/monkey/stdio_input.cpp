// Reading by stdio. Each call is libc's own when the buffer has what it needs.

#include "monkey/ask.hpp"
#include "monkey/green.hpp"
#include "monkey/stream.hpp"

#include <stdio_ext.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <cwchar>

namespace fern::monkey::green {
namespace {

constexpr int failed = 0x20;

const char* find(const FILE* file, int end, std::size_t size) noexcept {
  if (size == 0) return nullptr;  // there may be no buffer yet
  return static_cast<const char*>(std::memchr(file->_IO_read_ptr, end, size));
}

// Takes a number of bytes that lie in the buffer.
void take(FILE* file, char* to, std::size_t size) noexcept { native::fread(to, 1, size, file); }

// Whether a call that needs one byte finds it, or its end, at once.
bool one_byte(FILE* file, const char* what) noexcept {
  if (buffered(file) > 0 || !may_wait(file)) return true;
  Turn turn(file, Direction::Read);
  return turn.come() && (buffered(file) > 0 || wait_readable(file, what));
}

std::size_t read_block(char* to, std::size_t size, FILE* file) noexcept {
  std::size_t done = 0;
  Turn turn(file, Direction::Read);
  if (!turn.come()) return done;
  while (done < size) {
    std::size_t step = std::min(window(file), size - done);
    if (step > 0) {
      take(file, to + done, step);
      done += step;
    } else if (!fill(file, "fread()")) {
      break;
    }
  }
  return done;
}

char* read_line(char* to, std::size_t size, FILE* file) noexcept {
  Turn turn(file, Direction::Read);
  if (!turn.come()) return nullptr;
  int before = file->_flags & failed;
  file->_flags &= ~failed;
  std::size_t length = 0;
  bool complete = false;
  while (length < size && !complete) {
    std::size_t step = std::min(window(file), size - length);
    if (step == 0) {
      if (!fill(file, "fgets()")) break;
      continue;
    }
    const char* end = find(file, '\n', step);
    complete = end != nullptr;
    if (complete) step = static_cast<std::size_t>(end - file->_IO_read_ptr) + 1;
    take(file, to + length, step);
    length += step;
  }
  bool broken = (file->_flags & failed) != 0 && errno != EAGAIN;
  file->_flags |= before;
  if (length == 0 || broken) return nullptr;
  to[length] = '\0';
  return to;
}

bool line_is_there(FILE* file, std::size_t size) noexcept {
  std::size_t there = std::min(window(file), size);
  return there == size || find(file, '\n', there) != nullptr;
}

// As large as it has to be, and twice as large as it was.
bool grow(char** line, std::size_t* capacity, std::size_t needed) noexcept {
  if (*line != nullptr && *capacity >= needed) return true;
  if (*line == nullptr) *capacity = 0;
  std::size_t larger = std::max(needed, *capacity == 0 ? std::size_t{120} : *capacity * 2);
  auto* grown = static_cast<char*>(std::realloc(*line, larger));
  if (grown == nullptr) return false;
  *line = grown;
  *capacity = larger;
  return true;
}

ssize_t read_delimited(char** line, std::size_t* capacity, int end, FILE* file) noexcept {
  Turn turn(file, Direction::Read);
  if (!turn.come() || !grow(line, capacity, 1)) return -1;
  std::size_t length = 0;
  bool complete = false;
  while (!complete) {
    std::size_t step = window(file);
    if (step == 0) {
      if (!fill(file, "getline()")) break;
      continue;
    }
    const char* found = find(file, end, step);
    complete = found != nullptr;
    if (complete) step = static_cast<std::size_t>(found - file->_IO_read_ptr) + 1;
    if (!grow(line, capacity, length + step + 1)) return -1;
    take(file, *line + length, step);
    length += step;
  }
  if (length == 0) return -1;
  (*line)[length] = '\0';
  return static_cast<ssize_t>(length);
}

// A scanf reads as far as its format goes, which nobody knows before. So it gets a FILE of its own,
// without a buffer and without a lock, that reads the one that is meant, and what it has put back
// goes back there.
class Scanned {
 public:
  explicit Scanned(FILE* file) noexcept : file_(file) {
    cookie_io_functions_t calls{};
    calls.read = read;
    stream_ = fopencookie(file, "r", calls);
    if (stream_ == nullptr) return;
    setvbuf(stream_, nullptr, _IONBF, 0);
    __fsetlocking(stream_, FSETLOCKING_BYCALLER);
  }
  Scanned(const Scanned&) = delete;
  Scanned& operator=(const Scanned&) = delete;
  ~Scanned() {
    if (stream_ == nullptr) return;
    int saved = errno;
    give_back();
    natively([this] { return fclose(stream_); });
    errno = saved;
  }

  FILE* stream() const noexcept { return stream_; }

 private:
  static ssize_t read(void* self, char* to, std::size_t size) noexcept {
    auto* file = static_cast<FILE*>(self);
    if (size == 0) return 0;
    if (buffered(file) == 0 && !fill(file, "scanf()")) return feof(file) != 0 ? 0 : -1;
    *to = static_cast<char>(native::fgetc(file));
    return 1;
  }

  void give_back() noexcept {
    if (buffered(stream_) == 0) return;
    int c = native::fgetc(stream_);
    give_back();
    ungetc(c, file_);
  }

  FILE* file_;
  FILE* stream_;
};

template <class Scan>
int scan(FILE* file, Scan scan_from) noexcept {
  if (!may_wait(file)) return scan_from(file);
  Turn turn(file, Direction::Read);
  if (!turn.come()) return EOF;
  Scanned scanned(file);
  return scanned.stream() == nullptr ? EOF : scan_from(scanned.stream());
}

// Wide characters that are decoded already. The structure begins with where they are.
bool wide_buffered(const FILE* file) noexcept {
  if (file->_mode <= 0) return false;
  auto* area = reinterpret_cast<wchar_t* const*>(file->_wide_data);
  return area[0] < area[1];
}

bool one_wide(FILE* file) noexcept {
  if (wide_buffered(file) || buffered(file) > 0) return true;
  FILE bytes = *file;
  bytes._mode = 0;
  if (!may_wait(&bytes)) return true;
  Turn turn(file, Direction::Read);
  return turn.come() &&
         (wide_buffered(file) || buffered(file) > 0 || wait_readable(file, "fgetwc()"));
}

}  // namespace

// --- blocks and lines -------------------------------------------------------------------------

std::size_t fread(void* to, std::size_t size, std::size_t count, FILE* file) noexcept {
  std::size_t total = 0;
  if (__builtin_mul_overflow(size, count, &total) || total <= window(file) || !may_wait(file)) {
    return native::fread(to, size, count, file);
  }
  return read_block(static_cast<char*>(to), total, file) / size;
}

std::size_t fread_unlocked(void* to, std::size_t size, std::size_t count, FILE* file) noexcept {
  return green::fread(to, size, count, file);
}

char* fgets(char* to, int size, FILE* file) noexcept {
  if (size <= 1 || line_is_there(file, static_cast<std::size_t>(size) - 1) || !may_wait(file)) {
    return native::fgets(to, size, file);
  }
  return read_line(to, static_cast<std::size_t>(size) - 1, file);
}

char* fgets_unlocked(char* to, int size, FILE* file) noexcept {
  return green::fgets(to, size, file);
}

ssize_t getdelim(char** line, std::size_t* capacity, int end, FILE* file) noexcept {
  if (line == nullptr || capacity == nullptr || (file->_flags & failed) != 0 ||
      find(file, end, window(file)) != nullptr || !may_wait(file)) {
    return native::getdelim(line, capacity, end, file);
  }
  return read_delimited(line, capacity, end, file);
}

ssize_t getline(char** line, std::size_t* capacity, FILE* file) noexcept {
  return green::getdelim(line, capacity, '\n', file);
}

// --- characters -------------------------------------------------------------------------------

int fgetc(FILE* file) noexcept { return one_byte(file, "fgetc()") ? native::fgetc(file) : EOF; }
int fgetc_unlocked(FILE* file) noexcept {
  return one_byte(file, "fgetc()") ? native::fgetc_unlocked(file) : EOF;
}
int getc_unlocked(FILE* file) noexcept { return green::fgetc_unlocked(file); }
int getchar() noexcept { return green::fgetc(stdin); }
int getchar_unlocked() noexcept { return green::fgetc_unlocked(stdin); }

// What getc_unlocked() calls, inline, when the buffer is empty.
int __uflow(FILE* file) noexcept { return one_byte(file, "fgetc()") ? native::__uflow(file) : EOF; }

wint_t fgetwc(FILE* file) noexcept { return one_wide(file) ? native::fgetwc(file) : WEOF; }
wint_t fgetwc_unlocked(FILE* file) noexcept {
  return one_wide(file) ? native::fgetwc_unlocked(file) : WEOF;
}
wint_t getwchar() noexcept { return green::fgetwc(stdin); }
wint_t getwchar_unlocked() noexcept { return green::fgetwc_unlocked(stdin); }

wchar_t* fgetws(wchar_t* to, int size, FILE* file) noexcept {
  if (size <= 1) return native::fgetws(to, size, file);
  int before = file->_flags & failed;
  file->_flags &= ~failed;
  int length = 0;
  wint_t next = 0;
  while (length < size - 1 && next != L'\n' && (next = green::fgetwc(file)) != WEOF) {
    to[length++] = static_cast<wchar_t>(next);
  }
  bool broken = (file->_flags & failed) != 0 && errno != EAGAIN;
  file->_flags |= before;
  if (length == 0 || broken) return nullptr;
  to[length] = L'\0';
  return to;
}
wchar_t* fgetws_unlocked(wchar_t* to, int size, FILE* file) noexcept {
  return green::fgetws(to, size, file);
}

// --- scanf ------------------------------------------------------------------------------------

int vfscanf(FILE* file, const char* format, va_list list) noexcept {
  return scan(file, [&](FILE* from) { return native::vfscanf(from, format, list); });
}
int __isoc99_vfscanf(FILE* file, const char* format, va_list list) noexcept {
  return scan(file, [&](FILE* from) { return native::__isoc99_vfscanf(from, format, list); });
}
int vscanf(const char* format, va_list list) noexcept {
  return green::vfscanf(stdin, format, list);
}
int __isoc99_vscanf(const char* format, va_list list) noexcept {
  return green::__isoc99_vfscanf(stdin, format, list);
}

}  // namespace fern::monkey::green
