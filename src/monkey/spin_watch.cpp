#include "monkey/spin_watch.hpp"

#include "base/real.hpp"
#include "core/hub.hpp"
#include "monkey/green.hpp"
#include "monkey/hubs.hpp"
#include "monkey/thread.hpp"

#include <execinfo.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

namespace fern::monkey {
namespace {

constexpr long seconds = 1;

// By default it is ignored: a program that resets or awaits all signals is not hurt.
constexpr int number = SIGURG;

std::uint64_t seen_switches = 0;
bool told = false;

// In a handler: no memory is taken. backtrace() has been called before, so that what it loads is
// there.
void tell(core::Hub& hub) noexcept {
  char who[64] = "main";
  if (auto* thread = static_cast<Thread*>(hub.running().timer)) {
    std::snprintf(who, sizeof who, "green thread %u %s", thread->id & 0x3fffffff, thread->name);
  }
  char text[192];
  int size = std::snprintf(
      text, sizeof text, "fern: %s has run for a second and let no other green thread run:\n", who);
  real::write_all(2, text, static_cast<std::size_t>(size));
  void* frames[32];
  constexpr int ours = 3;  // this, the handler, and what libc puts below it
  int count = backtrace(frames, 32);
  if (count > ours) backtrace_symbols_fd(frames + ours, count - ours, 2);
}

void on_tick(int) noexcept {
  int saved = errno;
  core::Hub* hub = core::Hub::here();
  if (hub != nullptr && hub == first_hub() && !hub->on_own_stack()) {
    std::uint64_t now = hub->switches();
    if (now != seen_switches) {
      seen_switches = now;
      told = false;
    } else if (!told) {
      told = true;
      tell(*hub);
    }
  }
  errno = saved;
}

}  // namespace

void watch_for_spins() noexcept {
  void* frame[1];
  backtrace(frame, 1);
  struct sigaction action{};
  action.sa_handler = on_tick;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  if (native::sigaction(number, &action, nullptr) != 0) return;
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = number;
  timer_t timer{};
  if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) != 0) return;
  itimerspec each{};
  each.it_interval.tv_sec = each.it_value.tv_sec = seconds;
  timer_settime(timer, 0, &each, nullptr);
}

}  // namespace fern::monkey
