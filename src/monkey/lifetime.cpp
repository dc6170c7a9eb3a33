// Descriptors that change hands: whoever waits for the number is told (EBADF, POLLNVAL), in every
// hub, before it is free. Not only greenlets close what greenlets wait for: these calls do it in
// every thread, and in a hub's own stack. Where nobody has waited they cost a load.
//
// What libc closes by itself (closedir, pclose, the old one of freopen) is not seen. Nothing needs
// telling of new descriptors: what is remembered of a number is checked, or harmless.

#include "monkey/lifetime.hpp"
#include "base/native.hpp"
#include "base/real.hpp"
#include "io/fd_table.hpp"
#include "monkey/kind.hpp"
#include "monkey/original.hpp"
#include "monkey/specials.hpp"
#include "monkey/state.hpp"
#include "monkey/stream.hpp"
#include "monkey/stream_locks.hpp"

#include <fcntl.h>
#include <linux/close_range.h>

#include <algorithm>
#include <cerrno>

namespace fern::monkey {
namespace {

namespace native {
constinit Original<int(int)> close{"close"};
constinit Original<int(unsigned, unsigned, int)> close_range{"close_range"};
constinit Original<void(int)> closefrom{"closefrom"};
constinit Original<int(int, int)> dup2{"dup2"};
constinit Original<int(int, int, int)> dup3{"dup3"};
constinit Original<int(FILE*)> fclose{"fclose"};
}  // namespace native

}  // namespace

// The child of libc's vfork has its parent's memory, but descriptors of its own.
bool watches_closing() noexcept {
  unsigned parts = patched.load(std::memory_order_relaxed);
  if ((parts & static_cast<unsigned>(Part::Os)) == 0 || base::native_depth != 0) return false;
  return vforked_by == 0 || !in_vforked_child();
}

namespace {

int close_one(int fd) noexcept {
  if (!watches_closing()) return native::close(fd);
  return change_hands(fd, [&] { return native::close(fd); });
}

// `replace()` fails, and leaves the number alone, if what is to replace it is not open.
template <class Replace>
int replace_one(int from, int to, Replace replace) noexcept {
  if (!watches_closing() || from == to) return replace();
  if (io::waited_for(to) && real::fcntl(from, F_GETFD, 0) < 0) return replace();
  return change_hands(to, replace);
}

int close_stream(FILE* stream) noexcept {
  if (!watches_closing()) return native::fclose(stream);
  int saved = errno;
  int fd = fileno(stream);
  errno = saved;
  if (threads_green()) {
    if (goes_green(Part::Stdio)) await_unlocked(stream);
    forget_lock(stream);
  }
  if (fd < 0) return native::fclose(stream);
  return change_hands(fd, [&] {
    if (goes_green(Part::Stdio)) return close_drained(stream, native::fclose.get());
    return native::fclose(stream);
  });
}

void release_range(unsigned first, unsigned last) noexcept {
  io::release(first, last);
  for (unsigned fd = first; fd <= last && fd < 65536; ++fd) forget_kind(static_cast<int>(fd));
}

}  // namespace
}  // namespace fern::monkey

namespace monkey = fern::monkey;

extern "C" {

int fern_wrapped_close(int fd) { return monkey::close_one(fd); }
int fern_wrapped___close(int fd) { return monkey::close_one(fd); }

int fern_wrapped_close_range(unsigned first, unsigned last, int flags) {
  bool closes = (flags & CLOSE_RANGE_CLOEXEC) == 0 && first <= last;
  if (!closes || !monkey::watches_closing()) return monkey::native::close_range(first, last, flags);
  monkey::release_range(first, last);
  int result = monkey::native::close_range(first, last, flags);
  fern::io::changed(first, last);
  return result;
}

void fern_wrapped_closefrom(int first) {
  if (!monkey::watches_closing()) return monkey::native::closefrom(first);
  auto lowest = static_cast<unsigned>(std::max(first, 0));
  monkey::release_range(lowest, ~0U);
  monkey::native::closefrom(first);
  fern::io::changed(lowest, ~0U);
}

int fern_wrapped_dup2(int from, int to) {
  return monkey::replace_one(from, to, [&] { return monkey::native::dup2(from, to); });
}
int fern_wrapped___dup2(int from, int to) { return fern_wrapped_dup2(from, to); }

int fern_wrapped_dup3(int from, int to, int flags) {
  auto replace = [&] { return monkey::native::dup3(from, to, flags); };
  if ((flags & ~O_CLOEXEC) != 0) return replace();
  return monkey::replace_one(from, to, replace);
}

int fern_wrapped_fclose(FILE* stream) { return monkey::close_stream(stream); }
int fern_wrapped__IO_fclose(FILE* stream) { return monkey::close_stream(stream); }

}  // extern "C"
