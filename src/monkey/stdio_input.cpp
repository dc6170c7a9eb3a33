// Reading by stdio. Each call is libc's own when the buffer has what it needs.

#include "monkey/green.hpp"
#include "monkey/stream_flags.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace fern::monkey::green {
namespace {

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
  return turn.come() && (buffered(file) > 0 || fill(file, what) || feof_unlocked(file) != 0);
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
  int before = without_failure(file);
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
  bool broken = is(file, failed) && errno != EAGAIN;
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
  if (line == nullptr || capacity == nullptr || is(file, failed) ||
      find(file, end, window(file)) != nullptr || !may_wait(file)) {
    return native::getdelim(line, capacity, end, file);
  }
  return read_delimited(line, capacity, end, file);
}

ssize_t getline(char** line, std::size_t* capacity, FILE* file) noexcept {
  return green::getdelim(line, capacity, '\n', file);
}

int getw(FILE* file) noexcept {
  int word = EOF;
  return green::fread(&word, sizeof word, 1, file) == 1 ? word : EOF;
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

}  // namespace fern::monkey::green
