#include "monkey/handlers.hpp"

#include "base/native.hpp"
#include "core/hub.hpp"
#include "monkey/green.hpp"
#include "monkey/state.hpp"
#include "monkey/tls.hpp"

#include <fern/detail/wait_queue.hpp>

#include <dlfcn.h>

#include <csetjmp>

#include <atomic>
#include <cerrno>
#include <csignal>

namespace fern::monkey {

// The Interrupts of a thread, and what its handlers count. A handler may come between any two
// instructions: it reads and writes the atomics alone, and posts.
struct Listeners {
  std::atomic<std::uint64_t> handlers{0};      // that have run
  std::atomic<std::uint64_t> interrupting{0};  // of those, without SA_RESTART
  std::atomic<unsigned> count{0};
  Interrupts* first = nullptr;

  std::uint64_t heard(Interrupts::By by) const noexcept {
    auto& counter = by == Interrupts::unless_restarted ? interrupting : handlers;
    return counter.load(std::memory_order_relaxed);
  }

  // In a handler.
  void ran(bool restarts) noexcept {
    handlers.fetch_add(1, std::memory_order_relaxed);
    if (!restarts) interrupting.fetch_add(1, std::memory_order_relaxed);
    core::Hub* hub = core::Hub::here();
    if (count.load(std::memory_order_relaxed) == 0 || hub == nullptr || hub->closed()) return;
    // What was posted before a fork is lost in the child.
    unsigned now = hub->forks() + 1;
    if (posted.exchange(now, std::memory_order_relaxed) == now) return;
    post.run = tell;
    hub->post(post);
  }

  // On the hub's own stack.
  static void tell(fern::detail::Remote*) noexcept;

  std::atomic<unsigned> posted{0};  // 1 and the hub's forks when it was; 0: not in the mailbox
  fern::detail::Remote post{};
};

namespace {

__attribute__((tls_model("initial-exec"))) constinit thread_local Listeners listeners_here;

// The OS thread's, whatever thread-local storage its green threads have: a handler runs in whoever
// is running.
Listeners& listeners() noexcept { return of_os_thread(listeners_here); }

// --- the trampolines --------------------------------------------------------------------------

// A handler that runs in this thread, innermost first. `depth` was the native depth before it.
struct Running {
  Running() noexcept;
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running();
  Running* outer;
  unsigned depth;
};

__attribute__((tls_model("initial-exec"))) constinit thread_local Running* running = nullptr;

Running::Running() noexcept : outer(running), depth(base::native_depth) {
  running = this;
  ++base::native_depth;
}

Running::~Running() {
  running = outer;
  base::native_depth = depth;
}

// A handler that jumps out has ended. One that jumps inside itself is taken for it: the rest of it
// is not native then, and its end sets that right.
void leave_handlers() noexcept {
  if (running == nullptr) return;
  Running* outermost = running;
  while (outermost->outer != nullptr) outermost = outermost->outer;
  base::native_depth = outermost->depth;
  running = nullptr;
}

// Linux gives every handler all three arguments; one that takes the number alone does not look at
// the others.
using Handler = void (*)(int);
using FullHandler = void (*)(int, siginfo_t*, void*);

constexpr int signals = 65;

// The handlers behind the trampolines. Where the kernel has none of ours its word counts, so that
// the child of a vfork, which sets signals back to their defaults, changes nothing here.
constinit std::atomic<FullHandler> handlers[signals]{};

enum Kind { restarting, interrupting, silent };

template <Kind kind>
void trampoline(int number, siginfo_t* info, void* machine) {
  {
    Running here;
    handlers[number].load(std::memory_order_acquire)(number, info, machine);
  }
  constexpr auto part = static_cast<unsigned>(Part::Signals);
  if (kind != silent && (patched.load(std::memory_order_relaxed) & part) != 0) {
    listeners().ran(kind == restarting);
  }
}

FullHandler trampoline_for(const struct sigaction& action) noexcept {
  if (base::native_depth != 0 && running == nullptr) return trampoline<silent>;
  return (action.sa_flags & SA_RESTART) != 0 ? trampoline<restarting> : trampoline<interrupting>;
}

bool is_trampoline(FullHandler handler) noexcept {
  return handler == trampoline<restarting> || handler == trampoline<interrupting> ||
         handler == trampoline<silent>;
}

// What sysv_signal and siginterrupt say of signal().
constinit std::atomic<std::uint64_t> not_restarting{0};

bool valid(int number) noexcept { return number > 0 && number < signals; }
std::uint64_t bit(int number) noexcept { return std::uint64_t{1} << (number - 1); }

Handler set_handler(int number, Handler handler, int flags, bool block_itself) noexcept {
  if (handler == SIG_ERR || !valid(number)) {
    errno = EINVAL;
    return SIG_ERR;
  }
  struct sigaction action{};
  struct sigaction old{};
  action.sa_handler = handler;
  action.sa_flags = flags;
  if (block_itself) sigaddset(&action.sa_mask, number);
  return green::sigaction(number, &action, &old) < 0 ? SIG_ERR : old.sa_handler;
}

}  // namespace

void Listeners::tell(fern::detail::Remote*) noexcept {
  Listeners& here = listeners();
  here.posted.store(0, std::memory_order_relaxed);
  for (Interrupts* each = here.first; each != nullptr; each = each->next_) {
    if (each->came()) core::Hub::wake(*each->greenlet_, core::Wake::Notified);
  }
}

Interrupts::Interrupts(By by) noexcept : by_(by), seen_(listeners().heard(by)) {
  core::Hub& hub = *core::Hub::here();
  if (by != awaited_handler && &hub.running() != &hub.main()) return;
  greenlet_ = &hub.running();
  Listeners& here = listeners();
  next_ = here.first;
  if (next_ != nullptr) next_->previous_ = this;
  here.first = this;
  here.count.fetch_add(1, std::memory_order_relaxed);
}

Interrupts::~Interrupts() {
  if (greenlet_ == nullptr) return;
  Listeners& here = listeners();
  here.count.fetch_sub(1, std::memory_order_relaxed);
  (previous_ == nullptr ? here.first : previous_->next_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

bool Interrupts::came() const noexcept {
  return greenlet_ != nullptr && listeners().heard(by_) != seen_;
}

void Interrupts::by_any() noexcept {
  if (by_ == any_handler) return;
  by_ = any_handler;
  seen_ = listeners().heard(by_);
}

namespace {

int set_action(int number, const struct sigaction* action, struct sigaction* old) noexcept {
  if (!valid(number)) return native::sigaction(number, action, old);
  std::atomic<FullHandler>& slot = handlers[number];
  FullHandler before = slot.load(std::memory_order_acquire);
  struct sigaction replaced{};
  bool set = action != nullptr && action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
  if (!set) {
    if (native::sigaction(number, action, &replaced) < 0) return -1;
  } else {
    struct sigaction ours = *action;
    FullHandler handler = action->sa_sigaction;
    ours.sa_sigaction = trampoline_for(*action);
    before = slot.exchange(handler, std::memory_order_acq_rel);
    if (native::sigaction(number, &ours, &replaced) < 0) {
      slot.store(before, std::memory_order_release);
      return -1;
    }
    // Who sets it at the same time may have been between the two: the last one in the table has to
    // be the last one in the kernel.
    while (slot.load(std::memory_order_acquire) != handler) {
      slot.store(handler, std::memory_order_release);
      native::sigaction(number, &ours, nullptr);
    }
  }
  if (old == nullptr) return 0;
  *old = replaced;
  if (is_trampoline(old->sa_sigaction)) old->sa_sigaction = before;
  return 0;
}

}  // namespace

namespace green {

FERN_BARE int sigaction(int number, const struct sigaction* action,
                        struct sigaction* old) noexcept {
#ifdef FERN_TSAN
  // Its runtime comes here for its own handlers, before anything may be told to it.
  if (__atomic_load_n(reinterpret_cast<unsigned*>(&patched), __ATOMIC_RELAXED) == 0) {
    using Call = int (*)(int, const struct sigaction*, struct sigaction*);
    return reinterpret_cast<Call>(dlsym(RTLD_NEXT, "sigaction"))(number, action, old);
  }
#endif
  return set_action(number, action, old);
}

Handler signal(int number, Handler handler) noexcept {
  bool restart =
      !valid(number) || (not_restarting.load(std::memory_order_relaxed) & bit(number)) == 0;
  return set_handler(number, handler, restart ? SA_RESTART : 0, true);
}

Handler sysv_signal(int number, Handler handler) noexcept {
  return set_handler(number, handler, static_cast<int>(SA_RESETHAND | SA_NODEFER), false);
}

int siginterrupt(int number, int flag) noexcept {
  struct sigaction action{};
  if (!valid(number) || green::sigaction(number, nullptr, &action) < 0) {
    errno = EINVAL;
    return -1;
  }
  if (flag != 0) {
    not_restarting.fetch_or(bit(number), std::memory_order_relaxed);
    action.sa_flags &= ~SA_RESTART;
  } else {
    not_restarting.fetch_and(~bit(number), std::memory_order_relaxed);
    action.sa_flags |= SA_RESTART;
  }
  return green::sigaction(number, &action, nullptr);
}

// The signal is blocked by SIG_HOLD and unblocked by everything else.
Handler sigset(int number, Handler handler) noexcept {
  if (handler == SIG_ERR || !valid(number)) {
    errno = EINVAL;
    return SIG_ERR;
  }
  sigset_t itself;
  sigset_t blocked;
  sigemptyset(&itself);
  sigaddset(&itself, number);
  struct sigaction action{};
  struct sigaction old{};
  bool hold = handler == SIG_HOLD;
  action.sa_handler = handler;
  if (green::sigaction(number, hold ? nullptr : &action, &old) < 0 ||
      sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &itself, &blocked) < 0) {
    return SIG_ERR;
  }
  return sigismember(&blocked, number) == 1 ? SIG_HOLD : old.sa_handler;
}

void siglongjmp(__jmp_buf_tag* to, int value) noexcept {
  leave_handlers();
  native::siglongjmp(to, value);
}

void __longjmp_chk(__jmp_buf_tag* to, int value) noexcept {
  leave_handlers();
  native::__longjmp_chk(to, value);
}

}  // namespace green
}  // namespace fern::monkey
