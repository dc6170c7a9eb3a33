// Waiting for signals: for those that are blocked, by a signalfd, which only tells when to ask; and
// for handlers.

#include "base/real.hpp"
#include "core/hub.hpp"
#include "monkey/descriptor.hpp"
#include "monkey/green.hpp"
#include "monkey/handlers.hpp"
#include "monkey/times.hpp"
#include "monkey/wait.hpp"

#include <sys/signalfd.h>

#include <chrono>

namespace fern::monkey::green {
namespace {

// SignalWait waits until one of the signals is pending, blocked as it is.
class SignalWait {
 public:
  SignalWait(const sigset_t* set, const char* what, Deadline limit, Interrupts::By by) noexcept
      : fd_(signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK)),
        wait_(fd_.get(), Direction::Read, what, limit, by) {}

  // again() is Wait's.
  bool again() noexcept { return wait_.again(); }

 private:
  Descriptor fd_;
  Wait wait_;  // goes first
};

// The call of the family that has all arguments.
int wait_for_signal(const sigset_t* set, siginfo_t* info, const timespec* timeout,
                    const char* what) noexcept {
  const timespec at_most{};
  if (timeout != nullptr && !is_time(timeout)) return native::sigtimedwait(set, info, timeout);
  int number = native::sigtimedwait(set, info, &at_most);
  if (number >= 0 || errno != EAGAIN) {
    fair();
    return number;
  }
  if (timeout != nullptr && timeout->tv_sec == 0 && timeout->tv_nsec == 0) {
    at_once();
    errno = EAGAIN;
    return -1;
  }
  Deadline limit;
  if (timeout != nullptr) limit = to_chrono(*timeout);
  SignalWait wait(set, what, limit, Interrupts::any_handler);
  do {
    if (!wait.again()) return -1;
    number = native::sigtimedwait(set, info, &at_most);
  } while (number < 0 && errno == EAGAIN);
  return number;
}

}  // namespace

int sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* timeout) noexcept {
  return wait_for_signal(set, info, timeout, "sigtimedwait()");
}

int sigwaitinfo(const sigset_t* set, siginfo_t* info) noexcept {
  return wait_for_signal(set, info, nullptr, "sigwaitinfo()");
}

// It returns its errors, and is the only one of its family that goes on after a handler.
int sigwait(const sigset_t* set, int* number) noexcept {
  int got;
  do {
    got = wait_for_signal(set, nullptr, nullptr, "sigwait()");
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno;
  *number = got;
  return 0;
}

// The thread keeps its mask while others run. What is pending and blocked by it, but not by `mask`,
// is let through here, so that its handler runs in this greenlet.
int sigsuspend(const sigset_t* mask) noexcept {
  const timespec at_once{};
  sigset_t let_through;
  if (mask == nullptr) return native::sigsuspend(mask);
  if (native::ppoll(nullptr, 0, &at_once, mask) < 0) return -1;
  sigfillset(&let_through);
  for (int number = 1; number < NSIG; ++number) {
    if (sigismember(mask, number) == 1) sigdelset(&let_through, number);
  }
  SignalWait wait(&let_through, "sigsuspend()", {}, Interrupts::awaited_handler);
  while (wait.again()) {
    // What is ignored, or does nothing, is gone after this, and no reason to return.
    if (native::ppoll(nullptr, 0, &at_once, mask) < 0) return -1;
  }
  return -1;
}

int pause() noexcept {
  core::Hub& hub = *core::Hub::here();
  core::Hub::External from_outside(hub);
  Interrupts interrupts(Interrupts::awaited_handler);
  while (!interrupts.came()) {
    if (hub.try_park("pause()") != core::Wake::Interrupted) continue;
    errno = core::refuse(hub.running());
    return -1;
  }
  errno = EINTR;
  return -1;
}

int __xpg_sigpause(int number) noexcept {
  sigset_t mask;
  sigprocmask(SIG_SETMASK, nullptr, &mask);
  return sigdelset(&mask, number) < 0 ? -1 : green::sigsuspend(&mask);
}

int sigpause(int first_signals) noexcept {
  sigset_t mask;
  sigemptyset(&mask);
  for (int number = 1; number <= 32; ++number) {
    if ((static_cast<unsigned>(first_signals) >> (number - 1) & 1) != 0) sigaddset(&mask, number);
  }
  return green::sigsuspend(&mask);
}

int __sigpause(int which, int is_signal) noexcept {
  return is_signal != 0 ? green::__xpg_sigpause(which) : green::sigpause(which);
}

}  // namespace fern::monkey::green
