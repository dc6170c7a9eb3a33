#include "monkey/flags.hpp"

#include "base/native.hpp"
#include "base/real.hpp"
#include "monkey/files.hpp"
#include "monkey/original.hpp"
#include "monkey/specials.hpp"
#include "monkey/state.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <atomic>
#include <cstdarg>

namespace fern::monkey {
namespace {

// Many numbers share a lock. A duplicate of a descriptor has another one: it may see the instant.
constexpr unsigned places = 64;
constinit std::atomic<bool> taken[places];

namespace native {
constinit Original<int(int, int, void*)> fcntl{"fcntl"};
constinit Original<int(int, unsigned long, void*)> ioctl{"ioctl"};
}  // namespace native

bool patched_at_all() noexcept {
  return patched.load(std::memory_order_relaxed) != 0 && base::native_depth == 0;
}

int any_fcntl(int fd, int command, void* argument) noexcept {
  if (patched_at_all()) {
    if (command == F_GETFL || command == F_SETFL) {
      FlagsLock lock(fd);
      return native::fcntl(fd, command, argument);
    }
    if ((command == F_SETLKW || command == F_OFD_SETLKW) && goes_green(Part::Files)) {
      return lock_file(fd, command, static_cast<struct flock*>(argument));
    }
  }
  return native::fcntl(fd, command, argument);
}

}  // namespace

FlagsLock::FlagsLock(int fd) noexcept : place_(static_cast<unsigned>(fd) % places) {
  constexpr unsigned busy_tries = 64;
  constexpr unsigned most_tries = 20'000;
  for (unsigned i = 0; i < most_tries && !held_; ++i) {
    held_ = !taken[place_].exchange(true, std::memory_order_acquire);
    if (!held_ && i > busy_tries) sched_yield();
  }
}

FlagsLock::~FlagsLock() {
  if (held_) taken[place_].store(false, std::memory_order_release);
}

int owners_flags(int fd) noexcept {
  FlagsLock lock(fd);
  return real::fcntl(fd, F_GETFL, 0);
}

}  // namespace fern::monkey

// The argument is an int, a pointer or nothing: as wide as a register, it is handed on as it came.
#define FERN_LAST_ARGUMENT(name, after) \
  va_list list;                         \
  va_start(list, after);                \
  void* name = va_arg(list, void*);     \
  va_end(list)

extern "C" {

int fern_wrapped_fcntl(int fd, int command, ...) {
  FERN_LAST_ARGUMENT(argument, command);
  return fern::monkey::any_fcntl(fd, command, argument);
}
int fern_wrapped_fcntl64(int fd, int command, ...) {
  FERN_LAST_ARGUMENT(argument, command);
  return fern::monkey::any_fcntl(fd, command, argument);
}
int fern_wrapped___fcntl(int fd, int command, ...) {
  FERN_LAST_ARGUMENT(argument, command);
  return fern::monkey::any_fcntl(fd, command, argument);
}

int fern_wrapped_ioctl(int fd, unsigned long request, ...) {
  FERN_LAST_ARGUMENT(argument, request);
  if (request == FIONBIO && fern::monkey::patched_at_all()) {
    fern::monkey::FlagsLock lock(fd);
    return fern::monkey::native::ioctl(fd, request, argument);
  }
  return fern::monkey::native::ioctl(fd, request, argument);
}

}  // extern "C"
