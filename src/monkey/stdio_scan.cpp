// scanf. How much it needs is known when it has read it, so libc's own reads from a FILE of ours,
// whose bytes come from here: where there are none yet, the greenlet parks inside of libc's scanf.
// That FILE is nobody else's and takes no lock. What has not been used stays in the caller's.

#include "monkey/ask.hpp"
#include "monkey/by_worker.hpp"
#include "monkey/green.hpp"
#include "monkey/original.hpp"
#include "monkey/stream_flags.hpp"

#include <locale.h>
#include <pthread.h>
#include <stdio_ext.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <cwchar>
#include <utility>

namespace fern::monkey::green {
namespace {

using CleanupEntry = _pthread_cleanup_buffer;
constinit Original<void(CleanupEntry*, void (*)(void*), void*)> push_cleanup{
    "_pthread_cleanup_push"};
constinit Original<void(CleanupEntry*, int)> pop_cleanup{"_pthread_cleanup_pop"};

// The OS thread's list of what libc is to call if the thread ends (pthread_exit, a cancel). Its
// head is reached by an entry of ours.
CleanupEntry* exchange_cleanups(CleanupEntry* head) noexcept {
  CleanupEntry ours{};
  push_cleanup(&ours, [](void*) {}, nullptr);
  CleanupEntry* before = std::exchange(ours.__prev, head);
  pop_cleanup(&ours, 0);
  return before;
}

// The bytes of a FILE. What has been given of its buffer is taken from it when it is known to have
// been used.
//
// While libc is in its scanf an entry in the list of cleanups stands on this stack, and at the end
// the head becomes what it was before. A greenlet that parks takes its entry off: another's scanf
// would find it there, and put it back when this one has ended.
class Bytes {
 public:
  explicit Bytes(FILE* file) noexcept : file_(file), cleanups_(exchange_cleanups(nullptr)) {
    exchange_cleanups(cleanups_);
  }

  ssize_t read(char* to, std::size_t size) noexcept {
    take(given_);
    given_ = 0;
    while (window(file_) == 0) {
      if (wait()) continue;
      return feof_unlocked(file_) != 0 ? 0 : -1;
    }
    given_ = std::min(window(file_), size);
    std::memcpy(to, file_->_IO_read_ptr, given_);
    return static_cast<ssize_t>(given_);
  }

  // scanf may give back more than it got last: a few.
  void end(FILE* cookie) noexcept {
    std::size_t unused = buffered(cookie);
    take(given_ - std::min(given_, unused));
    if (unused <= given_) return;
    std::array<char, 64> earlier;
    std::size_t count = std::min(unused - given_, earlier.size());
    count = native::fread(earlier.data(), 1, count, cookie);
    while (count > 0) native::ungetc(static_cast<unsigned char>(earlier[--count]), file_);
  }

 private:
  bool wait() noexcept {
    CleanupEntry* scanfs = exchange_cleanups(cleanups_);
    bool filled = fill(file_, "scanf()");
    exchange_cleanups(scanfs);
    return filled;
  }

  void take(std::size_t size) noexcept {
    Locked lock(file_);
    file_->_IO_read_ptr += std::min(size, window(file_));
  }

  FILE* file_;
  CleanupEntry* cleanups_;  // as it was before scanf
  std::size_t given_ = 0;
};

// Cookie is a FILE of somebody else's bytes.
class Cookie {
 public:
  explicit Cookie(Bytes& source) noexcept {
    cookie_io_functions_t calls{};
    calls.read = [](void* self, char* to, std::size_t size) -> ssize_t {
      return static_cast<Bytes*>(self)->read(to, size);
    };
    file_ = fopencookie(&source, "r", calls);
    if (file_ == nullptr) return;
    __fsetlocking(file_, FSETLOCKING_BYCALLER);
    native::setvbuf(file_, room_, _IOFBF, sizeof room_);
  }
  Cookie(const Cookie&) = delete;
  Cookie& operator=(const Cookie&) = delete;
  ~Cookie() {
    int saved = errno;
    if (file_ != nullptr) natively([&] { return std::fclose(file_); });
    errno = saved;
  }
  FILE* file() const noexcept { return file_; }

 private:
  FILE* file_ = nullptr;
  char room_[256];
};

// `call` is libc's, of a FILE.
template <class Call>
int scan_bytes(FILE* file, Call call) noexcept {
  if (!may_wait(file)) return call(file);
  Turn turn(file, Direction::Read);
  if (!turn.come()) return EOF;
  Bytes bytes(file);
  Cookie cookie(bytes);
  if (cookie.file() == nullptr) return EOF;
  int result = call(cookie.file());
  bytes.end(cookie.file());
  return result;
}

// A FILE of ours cannot be one of wide characters. So libc reads in a worker's thread once there is
// something, and no kill ends that.
template <class Call>
int scan_wide(FILE* file, Call call) noexcept {
  if (!becomes_wide(file) || !may_wait_wide(file)) return call(file);
  Turn turn(file, Direction::Read);
  if (!turn.come()) return EOF;
  if (!wide_buffered(file) && window(file) == 0) {
    wint_t first = next_wide(file, "wscanf()");
    if (first == WEOF) return EOF;
    std::ungetwc(first, file);
  }
  locale_t locale = uselocale(nullptr);
  return by_worker("wscanf()", [=] {
    locale_t before = uselocale(locale);
    int result = call(file);
    uselocale(before);
    return result;
  });
}

}  // namespace

int vfscanf(FILE* file, const char* format, va_list list) noexcept {
  return scan_bytes(file, [&](FILE* from) { return native::vfscanf(from, format, list); });
}
int __isoc99_vfscanf(FILE* file, const char* format, va_list list) noexcept {
  return scan_bytes(file, [&](FILE* from) { return native::__isoc99_vfscanf(from, format, list); });
}
int vscanf(const char* format, va_list list) noexcept {
  return green::vfscanf(stdin, format, list);
}
int __isoc99_vscanf(const char* format, va_list list) noexcept {
  return green::__isoc99_vfscanf(stdin, format, list);
}

int vfwscanf(FILE* file, const wchar_t* format, va_list list) noexcept {
  return scan_wide(file, [=](FILE* from) { return native::vfwscanf(from, format, list); });
}
int __isoc99_vfwscanf(FILE* file, const wchar_t* format, va_list list) noexcept {
  return scan_wide(file, [=](FILE* from) { return native::__isoc99_vfwscanf(from, format, list); });
}
int vwscanf(const wchar_t* format, va_list list) noexcept {
  return green::vfwscanf(stdin, format, list);
}
int __isoc99_vwscanf(const wchar_t* format, va_list list) noexcept {
  return green::__isoc99_vfwscanf(stdin, format, list);
}

}  // namespace fern::monkey::green
