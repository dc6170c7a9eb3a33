#include "monkey/spin_watch.hpp"

#include "base/real.hpp"
#include "core/hub.hpp"
#include "monkey/green.hpp"
#include "monkey/thread.hpp"
#include "monkey/tls.hpp"

#include <execinfo.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

namespace fern::monkey {
namespace {

constexpr long seconds = 1;

// Set before there is another hub.
constinit bool watching = false;

// Of a hub, in its thread.
struct Watch {
  std::uint64_t switches = 0;
  bool told = false;
};
__attribute__((tls_model("initial-exec"))) constinit thread_local Watch watch_here;

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

void on_tick(int, siginfo_t* info, void*) noexcept {
  int saved = errno;
  core::Hub* hub = core::Hub::here();
  if (info->si_code == SI_TIMER && hub != nullptr && !hub->on_own_stack()) {
    Watch& watch = of_os_thread(watch_here);
    std::uint64_t now = hub->switches();
    if (now != watch.switches) {
      watch.switches = now;
      watch.told = false;
    } else if (!watch.told) {
      watch.told = true;
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
  if (native::sigaction(spin_signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
  action.sa_sigaction = on_tick;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  if (native::sigaction(spin_signal, &action, nullptr) != 0) return;
  watching = true;
  watch_this_hub();
}

void watch_this_hub() noexcept {
  if (!watching) return;
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = spin_signal;
  event._sigev_un._tid = gettid();
  timer_t timer{};
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0) return;
  itimerspec each{};
  each.it_interval.tv_sec = each.it_value.tv_sec = seconds;
  timer_settime(timer, 0, &each, nullptr);
}

}  // namespace fern::monkey
