#include "monkey/rescue.hpp"

#include "base/native.hpp"
#include "base/proc.hpp"
#include "base/real.hpp"
#include "core/hub.hpp"
#include "io/workers.hpp"

#include <fern/deadline.hpp>

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

namespace fern::monkey {
namespace {

using std::chrono::milliseconds;

#if defined(__x86_64__) || defined(__aarch64__)
constexpr bool has_rescue = true;
#else
constexpr bool has_rescue = false;
#endif

constexpr int number = 32;

// State is a hub's word: is its thread in such a call, is a signal on its way, has one come.
constexpr unsigned calling = 1;
constexpr unsigned sent = 2;
constexpr unsigned called_back = 4;

// Hubs are never freed, and serve one thread at a time: each keeps its place.
struct Place {
  std::atomic<core::Hub*> hub{nullptr};
  std::atomic<unsigned> state{0};
};
constexpr std::size_t places = 64;
constinit Place all[places];

constinit std::atomic<std::uint64_t> rescued_calls{0};
constinit std::atomic<bool> deaf{false};  // a signal has been sent, and has not come

// Null when there are too many hubs: their calls block.
std::atomic<unsigned>* state_of(core::Hub& hub) noexcept {
  std::size_t first = reinterpret_cast<std::uintptr_t>(&hub) / alignof(std::max_align_t) % places;
  for (std::size_t i = 0; i < places; ++i) {
    Place& place = all[(first + i) % places];
    core::Hub* owner = place.hub.load(std::memory_order_relaxed);
    if (owner == nullptr) place.hub.compare_exchange_strong(owner, &hub, std::memory_order_acq_rel);
    if (owner == nullptr || owner == &hub) return &place.state;
  }
  return nullptr;
}

// --- the signal -------------------------------------------------------------------------------

// The kernel's, for its own call: glibc's keeps the numbers that are its own from us.
struct KernelAction {
  void (*handler)(int, siginfo_t*, void*);
  unsigned long flags;
  void (*restorer)();
  std::uint64_t mask;
};
constexpr unsigned long with_restorer = 0x04000000;

#ifdef __x86_64__
// What a handler returns to, byte for byte what unwinders and debuggers know.
extern "C" void fern_rescue_restorer() asm("fern_rescue_restorer");
asm(".text\n"
    ".hidden fern_rescue_restorer\n"
    ".type fern_rescue_restorer, @function\n"
    "nop\n"
    "fern_rescue_restorer:\n"
    ".byte 0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00\n"
    "syscall\n"
    ".size fern_rescue_restorer, . - fern_rescue_restorer\n");
#endif

constinit std::atomic<void (*)(int, siginfo_t*, void*)> glibcs{nullptr};

// Not noexcept: a thread may be unwound from glibc's.
void on_signal(int signal, siginfo_t* info, void* machine) {
  auto place = reinterpret_cast<std::uintptr_t>(info->si_value.sival_ptr);
  auto first = reinterpret_cast<std::uintptr_t>(&all[0]);
  if (info->si_code == SI_QUEUE && place - first < sizeof all) {
    std::atomic<unsigned>& state = reinterpret_cast<Place*>(place)->state;
    // Nobody else writes while it says that a signal is on its way; who calls may have given it up.
    bool calls = (state.load(std::memory_order_acquire) & calling) != 0;
    state.store(calls ? calling | called_back : 0, std::memory_order_release);
    return;
  }
  auto* handler = glibcs.load(std::memory_order_acquire);
  if (handler != nullptr) handler(signal, info, machine);
}

long action(const KernelAction* set, KernelAction* old) noexcept {
  return syscall(SYS_rt_sigaction, number, set, old, sizeof set->mask);
}

// glibc sets its own when a thread is cancelled for the first time: whenever that is.
bool listening() noexcept {
  KernelAction now{};
  if (action(nullptr, &now) != 0) return false;
  if (now.handler == on_signal) return true;
  bool is_default = reinterpret_cast<std::uintptr_t>(now.handler) <= 1;
  glibcs.store(is_default ? nullptr : now.handler, std::memory_order_release);
  KernelAction ours{};
  ours.handler = on_signal;
  ours.flags = SA_SIGINFO | SA_ONSTACK;
  if (!is_default) {
    // A thread that is cancelled runs its clean-up in it. What is called back may not begin again.
    ours.flags = (now.flags | SA_SIGINFO) & ~static_cast<unsigned long>(SA_RESTART);
    ours.mask = now.mask;
  }
#ifdef __x86_64__
  ours.flags |= with_restorer;
  ours.restorer = fern_rescue_restorer;
#endif
  return action(&ours, nullptr) == 0;
}

bool send(Place& place) noexcept {
  siginfo_t info{};
  info.si_signo = number;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_ptr = &place;
  int thread = place.hub.load(std::memory_order_acquire)->thread();
  return syscall(SYS_rt_tgsigqueueinfo, info.si_pid, thread, number, &info) == 0;
}

// --- the watch --------------------------------------------------------------------------------

// While there are such calls it looks often, and more often where one has been called back. It ends
// when there has been none for a second, and wakes nobody. Who calls looks whether it is there:
// `watch` is 1 and base::forks() of the process that it is in.
constinit std::atomic<unsigned> watch{0};
constinit std::atomic<bool> called{false};

constexpr milliseconds pause_of_all(5);
constexpr milliseconds pause_where_it_happens(1);
constexpr milliseconds idle_limit(1000);

bool call_back(Place& place) noexcept {
  unsigned now = place.state.load(std::memory_order_relaxed);
  if ((now & calling) == 0 || (now & sent) != 0) return false;
  if (!place.state.compare_exchange_strong(now, now | sent, std::memory_order_acq_rel)) {
    return false;
  }
  if (send(place)) return true;
  // Without a thread nobody calls.
  place.state.store(errno == ESRCH ? 0 : now, std::memory_order_release);
  return false;
}

void look_around() noexcept {
  milliseconds pause = pause_of_all;
  milliseconds idle{0};
  for (;;) {
    std::this_thread::sleep_for(pause);
    idle += pause;
    for (Place& place : all) {
      if ((place.state.load(std::memory_order_seq_cst) & calling) == 0) continue;
      idle = milliseconds(0);
      if (listening() && call_back(place)) pause = pause_where_it_happens;
    }
    if (called.exchange(false, std::memory_order_seq_cst)) idle = milliseconds(0);
    if (idle < idle_limit) continue;
    watch.store(0, std::memory_order_seq_cst);
    // Who has called before that may have relied on us.
    bool again = called.load(std::memory_order_seq_cst);
    unsigned none = 0;
    if (!again || !watch.compare_exchange_strong(none, base::forks() + 1)) return;
    idle = milliseconds(0);
    pause = pause_of_all;
  }
}

// In a fork's child nobody else calls, and the signal may come again.
void forked() noexcept {
  for (Place& place : all) place.state.store(0, std::memory_order_relaxed);
  called.store(false, std::memory_order_relaxed);
  deaf.store(false, std::memory_order_relaxed);
}

struct Look : io::Job {
  Look() {
    pthread_atfork(nullptr, nullptr, forked);
    work = [](io::Job&) noexcept {
      core::service_thread_idle(1);
      look_around();
      core::service_thread_idle(-1);
    };
    finish = [](io::Job&) noexcept {};
  }
  io::Workers threads{1};
};

// Never destroyed: its thread may outlive every static object.
void begin_to_look(unsigned before) noexcept {
  unsigned now = base::forks() + 1;
  if (!watch.compare_exchange_strong(before, now, std::memory_order_acq_rel)) return;
  try {
    static auto* look = new Look;
    base::NativeScope native;  // the watch is no green thread
    if (look->threads.submit(*look) == 0) return;
  } catch (...) {
  }
  watch.store(0, std::memory_order_release);
}

}  // namespace

Rescue::Rescue() noexcept : state_(nullptr) {
  if (!has_rescue || deaf.load(std::memory_order_relaxed)) return;
  state_ = state_of(*core::Hub::here());
  if (state_ == nullptr) return;
  state_->store(calling, std::memory_order_seq_cst);
  if (!called.load(std::memory_order_seq_cst)) called.store(true, std::memory_order_seq_cst);
  unsigned now = watch.load(std::memory_order_seq_cst);
  if (now != base::forks() + 1) [[unlikely]]
    begin_to_look(now);
}

bool Rescue::end() noexcept {
  if (state_ == nullptr) return false;
  unsigned now = calling;
  // A signal that is on its way comes before we go: it would end somebody else's call. It does not
  // come where somebody has blocked it behind glibc's back.
  constexpr std::chrono::seconds patience(1);
  Deadline limit;
  while (!state_->compare_exchange_weak(now, 0, std::memory_order_acq_rel)) {
    if ((now & sent) == 0) continue;
    if (limit.is_never()) limit = patience;
    if (limit.expired()) {
      now = calling | sent;
      if (!state_->compare_exchange_strong(now, sent, std::memory_order_acq_rel)) continue;
      deaf.store(true, std::memory_order_relaxed);
      state_ = nullptr;
      return false;
    }
    real::sched_yield();
    now = calling;
  }
  state_ = nullptr;
  if ((now & called_back) == 0) return false;
  rescued_calls.fetch_add(1, std::memory_order_relaxed);
  return true;
}

std::uint64_t rescues() noexcept { return rescued_calls.load(std::memory_order_relaxed); }

}  // namespace fern::monkey
