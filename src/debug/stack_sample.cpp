#include "debug/stack_sample.hpp"

#include "base/native.hpp"
#include "core/fault.hpp"

#include <execinfo.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <mutex>
#include <new>
#include <system_error>

namespace fern::debug {
namespace {

// One question at a time. Idle -> Asked -> Answering, in the thread that is asked -> Filled or
// Moved -> Idle.
enum class Stage { Idle, Asked, Answering, Filled, Moved };

struct Desk {
  std::atomic<Stage> stage{Stage::Idle};
  core::Hub* hub = nullptr;
  core::Hub::Pulse pulse{};
  sem_t answered;
  StackSample answer;
};

constinit std::mutex asking;
Desk desk;
int signal_number = 0;

void* interrupted_at(void* machine) noexcept {
  auto* context = static_cast<ucontext_t*>(machine);
#if defined(__x86_64__)
  return reinterpret_cast<void*>(context->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return reinterpret_cast<void*>(context->uc_mcontext.pc);
#else
  static_cast<void>(context);
  return nullptr;
#endif
}

void fill(StackSample& sample, core::Hub& hub, void* machine) noexcept {
  sample.count = backtrace(sample.frames, most_frames);
  // Without the handler's own frames.
  void** end = sample.frames + sample.count;
  void** first = std::find(sample.frames, end, interrupted_at(machine));
  if (first != end) {
    std::copy(first, end, sample.frames);
    sample.count = static_cast<int>(end - first);
    // It is where the thread is, not where a call returns to.
    sample.frames[0] = static_cast<char*>(sample.frames[0]) + 1;
  }
  const core::Greenlet& running = hub.running();
  sample.in_hub = hub.on_own_stack();
  sample.id = core::id_of(running);
  char room[sizeof sample.name];
  std::strncpy(sample.name, core::plain_name(running, room, sizeof room), sizeof sample.name - 1);
  sample.taken = true;
}

// Async-signal-safe as far as backtrace() is once it has been loaded.
void on_question(int, siginfo_t*, void* machine) {
  int saved = errno;
  Stage asked = Stage::Asked;
  core::Hub* hub = core::Hub::here();
  if (hub != nullptr && desk.stage.compare_exchange_strong(asked, Stage::Answering)) {
    bool there = hub == desk.hub && hub->pulse() == desk.pulse;
    if (there) fill(desk.answer, *hub, machine);
    desk.stage.store(there ? Stage::Filled : Stage::Moved);
    sem_post(&desk.answered);
  }
  errno = saved;
}

// For a second at most.
void wait_for_answer() noexcept {
  timespec until{};
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 1;
  while (sem_timedwait(&desk.answered, &until) != 0 && errno == EINTR) {
  }
}

}  // namespace

namespace {

// Whoever asked when the process forked does not exist in the child.
void forked() noexcept {
  ::new (&asking) std::mutex;
  desk.stage.store(Stage::Idle);
  sem_init(&desk.answered, 0, 0);
}

}  // namespace

void listen_for_samples() {
  std::lock_guard lock(asking);
  if (signal_number != 0) return;
  pthread_atfork(nullptr, nullptr, forked);
  sem_init(&desk.answered, 0, 0);
  void* frame;
  backtrace(&frame, 1);    // loads what it needs, which a signal handler may not
  base::NativeScope ours;  // no handler of the program's
  for (int number = SIGRTMAX - 1; number >= SIGRTMIN; --number) {
    struct sigaction now{};
    if (sigaction(number, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) continue;
    struct sigaction action{};
    action.sa_sigaction = on_question;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    if (sigaction(number, &action, nullptr) != 0) continue;
    signal_number = number;
    return;
  }
  throw std::system_error(EAGAIN, std::system_category(),
                          "fern::debug::BlockingDetector: no real-time signal is free");
}

bool take_sample(StackSample& sample, core::Hub& hub, const core::Hub::Pulse& pulse) {
  std::lock_guard lock(asking);
  while (sem_trywait(&desk.answered) == 0) {  // an answer that came too late
  }
  desk.hub = &hub;
  desk.pulse = pulse;
  desk.answer = {};
  desk.stage.store(Stage::Asked);
  bool sent = syscall(SYS_tgkill, getpid(), hub.thread(), signal_number) == 0;
  if (sent) wait_for_answer();
  Stage state = Stage::Asked;
  if (desk.stage.compare_exchange_strong(state, Stage::Idle)) {
    return sent && hub.pulse() == pulse;  // it has not answered
  }
  while (desk.stage.load() == Stage::Answering) sched_yield();
  state = desk.stage.exchange(Stage::Idle);
  sample = desk.answer;
  return state == Stage::Filled;
}

}  // namespace fern::debug
