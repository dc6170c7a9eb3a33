#include "monkey/wait.hpp"

#include "base/real.hpp"
#include "core/hub.hpp"
#include "monkey/flags.hpp"
#include "monkey/state.hpp"
#include "monkey/times.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <chrono>

namespace fern::monkey {
namespace {

// Ready calls in a row, in this thread, since others last ran by fair().
constinit thread_local unsigned ready_calls = 0;
constexpr unsigned most_ready_calls = 16;

std::int64_t now_ns() noexcept {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

void give_way() noexcept {
  int saved = errno;
  ready_calls = 0;
  core::Hub::here()->give_way();
  errno = saved;
}

Deadline limit_of(int fd, int option) noexcept {
  int saved = errno;
  timeval limit{};
  socklen_t size = sizeof limit;
  Deadline until;
  if (real::getsockopt(fd, SOL_SOCKET, option, &limit, &size) == 0 &&
      (limit.tv_sec != 0 || limit.tv_usec != 0)) {
    until = to_chrono({limit.tv_sec, limit.tv_usec * 1000});
  }
  errno = saved;
  return until;
}

}  // namespace

void fair() noexcept {
  if (++ready_calls >= most_ready_calls) [[unlikely]]
    give_way();
}

void at_once() noexcept { give_way(); }

bool refused() noexcept {
  core::Hub& hub = *core::Hub::here();
  core::Greenlet& self = hub.running();
  if (!core::interruptible(self, hub.live_eh())) return false;
  errno = core::refuse(self);
  return true;
}

bool nonblocking(int fd) noexcept {
  int flags = owners_flags(fd);
  return flags >= 0 && (flags & O_NONBLOCK) != 0;
}

Deadline receive_limit(int fd) noexcept { return limit_of(fd, SO_RCVTIMEO); }
Deadline send_limit(int fd) noexcept { return limit_of(fd, SO_SNDTIMEO); }

void Ending::begin() noexcept { began_ = now_ns(); }

bool Ending::again(int error) noexcept {
  constexpr std::int64_t at_once_ns = 50'000;
  quick_ = error == 0 && !in_vain() && now_ns() - began_ < at_once_ns ? quick_ + 1 : 0;
  ready_calls = 0;
  if (error == io::error_deadline) {
    late_ = true;
    return true;
  }
  if (error == 0 && !interrupts_.came()) return true;
  if (error == 0) {
    error = EINTR;
  } else if (error == io::error_interrupted) {
    error = core::refuse(core::Hub::here()->running());
  }
  errno = error;
  return false;
}

int rest(const char* what, int fd, Deadline limit, std::chrono::milliseconds pause) noexcept {
  Deadline soon = pause;
  Deadline until = std::min(soon, limit);
  core::Wake why = core::Hub::here()->try_park(what, fd, until);
  if (why == core::Wake::Interrupted) return io::error_interrupted;
  return why == core::Wake::TimedOut && until == limit ? io::error_deadline : 0;
}

bool Wait::again() noexcept {
  if (ending_.in_vain()) return again_later();
  if (ending_.late()) {
    errno = EAGAIN;
    return false;
  }
  ending_.begin();
  return ending_.again(wait_.park(what_, limit_));
}

bool Wait::again_later() noexcept {
  if (ending_.late()) {
    errno = EAGAIN;
    return false;
  }
  return ending_.again(rest(what_, fd_, limit_));
}

}  // namespace fern::monkey
