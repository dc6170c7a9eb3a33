// system(), in every thread while Os is patched: POSIX has it ignore SIGINT and SIGQUIT meanwhile,
// which is a matter of the process, so one place must know who is the last. It blocks SIGCHLD too,
// which is one of the thread: of all its greenlets, then, from the first system() of a thread to
// the end of the last. So a handler of the program's that reaps whatever has ended does not take
// the command's status away.

#include "monkey/commands.hpp"
#include "monkey/green.hpp"
#include "monkey/specials.hpp"
#include "monkey/state.hpp"
#include "monkey/thread.hpp"
#include "monkey/wait.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <cerrno>
#include <mutex>

namespace fern::monkey {
namespace {

constinit Original<int(const char*)> libc_system{"system"};

constinit std::mutex ignoring_mutex;
constinit unsigned ignoring = 0;  // calls under way in the process; under the mutex, as these
constinit struct sigaction interrupt_before{};
constinit struct sigaction quit_before{};

// Who shares a signal mask: a thread's greenlets, or one green thread, which has its own.
struct Blocking {
  unsigned calls = 0;  // under way
  bool before = false;
};
constinit thread_local Blocking of_thread;

class Signals {
 public:
  Signals() noexcept {
    posix_spawnattr_init(&attributes);
    sigset_t defaults;
    sigemptyset(&defaults);
    {
      std::lock_guard lock(ignoring_mutex);
      if (ignoring++ == 0) {
        struct sigaction ignore{};
        ignore.sa_handler = SIG_IGN;
        ::sigaction(SIGINT, &ignore, &interrupt_before);
        ::sigaction(SIGQUIT, &ignore, &quit_before);
      }
      if (interrupt_before.sa_handler != SIG_IGN) sigaddset(&defaults, SIGINT);
      if (quit_before.sa_handler != SIG_IGN) sigaddset(&defaults, SIGQUIT);
    }
    sigset_t child_signal;
    sigset_t mask;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    ::pthread_sigmask(SIG_BLOCK, &child_signal, &mask);
    if (blocking_.calls++ == 0) blocking_.before = sigismember(&mask, SIGCHLD) == 1;
    if (!blocking_.before) sigdelset(&mask, SIGCHLD);
    posix_spawnattr_setsigmask(&attributes, &mask);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() {
    posix_spawnattr_destroy(&attributes);
    if (--blocking_.calls == 0 && !blocking_.before) {
      sigset_t child_signal;
      sigemptyset(&child_signal);
      sigaddset(&child_signal, SIGCHLD);
      ::pthread_sigmask(SIG_UNBLOCK, &child_signal, nullptr);
    }
    std::lock_guard lock(ignoring_mutex);
    if (--ignoring > 0) return;
    ::sigaction(SIGINT, &interrupt_before, nullptr);
    ::sigaction(SIGQUIT, &quit_before, nullptr);
  }

  posix_spawnattr_t attributes;

 private:
  Blocking own_;
  Blocking& blocking_ = self() != nullptr ? own_ : of_thread;
};

// The status of a shell that cannot be started is that of one that cannot start the command.
constexpr int no_shell = 127 << 8;

int run(const char* command) noexcept {
  Signals signals;
  pid_t child = 0;
  if (int error = spawn_shell(child, command, nullptr, &signals.attributes); error != 0) {
    errno = error;
    return no_shell;
  }
  // As glibc does for a thread that is cancelled.
  return wait_for_command(child, GivenUp::Killed);
}

}  // namespace

extern "C" FERN_EXPORT int fern_wrapped_system(const char* command) {
  if (!is_patched(Part::Os)) return libc_system(command);
  if (goes_green(Part::Os)) {
    green_calls.fetch_add(1, std::memory_order_relaxed);
    if (refused()) return -1;
  }
  return command == nullptr ? static_cast<int>(run("exit 0") == 0) : run(command);
}

}  // namespace fern::monkey
