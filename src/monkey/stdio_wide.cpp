// stdio in wide characters. libc has two buffers then: characters, and the bytes that they are made
// of or become.

#include "monkey/ask.hpp"
#include "monkey/green.hpp"
#include "monkey/stream_flags.hpp"

#include <algorithm>
#include <cstdlib>
#include <cwchar>

namespace fern::monkey::green {
namespace {

// What libc writes at once when a pipe is writable: so many characters are not more than PIPE_BUF.
constexpr std::size_t most_characters = 1024;

// A few of them, with an end. `text` may have zeros in it, which fputws would stop at.
std::size_t put_few(FILE* file, const wchar_t* text, std::size_t count) noexcept {
  if (count == 1 || text[0] == L'\0') return native::fputwc(text[0], file) == WEOF ? 0 : 1;
  constexpr std::size_t most = 256;
  wchar_t few[most + 1];
  const wchar_t* zero = std::wmemchr(text, L'\0', count);
  if (zero != nullptr) count = static_cast<std::size_t>(zero - text);
  count = std::min(count, most);
  std::wmemcpy(few, text, count);
  few[count] = L'\0';
  return native::fputws(few, file) < 0 ? 0 : count;
}

// All of it, or how many were taken, with errno.
std::size_t write_wide(FILE* file, const wchar_t* text, std::size_t count,
                       const char* what) noexcept {
  Turn turn(file, Direction::Write);
  if (!turn.come()) return 0;
  std::size_t done = 0;
  while (done < count) {
    constexpr std::size_t most = 256;
    std::size_t step = std::min(count - done, most);
    if (!wide_room(file, step, most_characters) && !flush_wide(file, what)) break;
    std::size_t put = put_few(file, text + done, step);
    if (put == 0) break;
    done += put;
  }
  fair();
  return done;
}

bool waits(FILE* file) noexcept { return becomes_wide(file) && may_wait_to_write_wide(file); }

// The text is made in memory first. What was made before an error is written all the same.
template <class Format>
int print(FILE* file, Format format_to) noexcept {
  wchar_t* text = nullptr;
  std::size_t size = 0;
  FILE* memory = open_wmemstream(&text, &size);
  if (memory == nullptr) return -1;
  int result = format_to(memory);
  int error = errno;
  if (natively([&] { return std::fclose(memory); }) != 0) result = -1;
  errno = error;
  if (text != nullptr && write_wide(file, text, size, "wprintf()") < size) result = -1;
  std::free(text);
  return result;
}

}  // namespace

// --- reading ----------------------------------------------------------------------------------

wint_t fgetwc(FILE* file) noexcept {
  if (wide_buffered(file) || !becomes_wide(file) || !may_wait_wide(file)) {
    return native::fgetwc(file);
  }
  Turn turn(file, Direction::Read);
  return turn.come() ? next_wide(file, "fgetwc()") : WEOF;
}
wint_t fgetwc_unlocked(FILE* file) noexcept { return green::fgetwc(file); }
wint_t getwchar() noexcept { return green::fgetwc(stdin); }
wint_t getwchar_unlocked() noexcept { return green::fgetwc(stdin); }

wchar_t* fgetws(wchar_t* to, int size, FILE* file) noexcept {
  if (size <= 1 || !becomes_wide(file) || !may_wait_wide(file)) {
    return native::fgetws(to, size, file);
  }
  Turn turn(file, Direction::Read);
  if (!turn.come()) return nullptr;
  int before = without_failure(file);
  int length = 0;
  wint_t next = 0;
  while (length < size - 1 && next != L'\n' && (next = next_wide(file, "fgetws()")) != WEOF) {
    to[length++] = static_cast<wchar_t>(next);
  }
  bool broken = is(file, failed) && errno != EAGAIN;
  file->_flags |= before;
  if (length == 0 || broken) return nullptr;
  to[length] = L'\0';
  return to;
}
wchar_t* fgetws_unlocked(wchar_t* to, int size, FILE* file) noexcept {
  return green::fgetws(to, size, file);
}

// --- writing ----------------------------------------------------------------------------------

wint_t fputwc(wchar_t c, FILE* file) noexcept {
  if (!waits(file) ||
      (wide_room(file, 1, most_characters) && !Turn::taken(file, Direction::Write))) {
    return native::fputwc(c, file);
  }
  return write_wide(file, &c, 1, "fputwc()") == 1 ? static_cast<wint_t>(c) : WEOF;
}
wint_t fputwc_unlocked(wchar_t c, FILE* file) noexcept { return green::fputwc(c, file); }
wint_t putwchar(wchar_t c) noexcept { return green::fputwc(c, stdout); }
wint_t putwchar_unlocked(wchar_t c) noexcept { return green::fputwc(c, stdout); }

int fputws(const wchar_t* text, FILE* file) noexcept {
  if (!waits(file)) return native::fputws(text, file);
  std::size_t size = std::wcslen(text);
  return write_wide(file, text, size, "fputws()") == size ? 1 : -1;
}
int fputws_unlocked(const wchar_t* text, FILE* file) noexcept { return green::fputws(text, file); }

int vfwprintf(FILE* file, const wchar_t* format, va_list list) noexcept {
  if (!waits(file)) return native::vfwprintf(file, format, list);
  return print(file, [&](FILE* to) { return native::vfwprintf(to, format, list); });
}
int __vfwprintf_chk(FILE* file, int flag, const wchar_t* format, va_list list) noexcept {
  if (!waits(file)) return native::__vfwprintf_chk(file, flag, format, list);
  return print(file, [&](FILE* to) { return native::__vfwprintf_chk(to, flag, format, list); });
}
int vwprintf(const wchar_t* format, va_list list) noexcept {
  return green::vfwprintf(stdout, format, list);
}
int __vwprintf_chk(int flag, const wchar_t* format, va_list list) noexcept {
  return green::__vfwprintf_chk(stdout, flag, format, list);
}

}  // namespace fern::monkey::green
