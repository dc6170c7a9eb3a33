// waitpid and its kin. The call itself is native and told not to wait (WNOHANG). What is waited for
// is a pidfd, when the end of one child is meant, or else the news that some child has changed.

#include "base/real.hpp"
#include "monkey/child_news.hpp"
#include "monkey/descriptor.hpp"
#include "monkey/green.hpp"
#include "monkey/naps.hpp"
#include "monkey/wait.hpp"

#include <optional>

namespace fern::monkey::green {
namespace {

// After the end of a wait: a child that has changed counts for more than a handler that has run,
// which may be that of its own SIGCHLD.
template <class Try>
int last_look(Try attempt) noexcept {
  int error = errno;
  if (error != EINTR) return -1;
  int result = attempt();
  if (result != 0) return result;
  errno = error;
  return -1;
}

// A try is 0 when nothing has happened yet; what else it is, is the call's result.
template <class Try>
int until_ended(int process, const char* what, Try attempt) noexcept {
  Naps naps(what);
  for (;;) {
    Wait wait(process, Direction::Read, what);
    if (!wait.again()) return last_look(attempt);
    if (int result = attempt(); result != 0) return result;
    // Ended, but not for us yet: somebody traces it.
    if (!naps.again()) return last_look(attempt);
  }
}

template <class Try>
int until_news(const char* what, Try attempt) noexcept {
  ChildNews news;
  Naps naps(what);
  std::optional<Wait> wait;
  if (news.fd() >= 0) wait.emplace(news.fd(), Direction::Read, what);
  for (;;) {
    bool come = news.expect();
    if (int result = attempt(); result != 0) return result;
    if (!(come ? wait->again() : naps.again())) return last_look(attempt);
  }
}

// `child` is the one whose end is meant, 0 when it is not that.
template <class Try>
int until_changed(pid_t child, const char* what, Try attempt) noexcept {
  if (int result = attempt(); result != 0) {
    fair();
    return result;
  }
  if (refused()) return -1;
  if (child > 0) {
    Descriptor process(real::pidfd_open(child));
    if (process.get() >= 0) return until_ended(process.get(), what, attempt);
  }
  return until_news(what, attempt);
}

}  // namespace

pid_t wait4(pid_t pid, int* status, int options, rusage* usage) noexcept {
  if ((options & WNOHANG) != 0) {
    pid_t result = native::wait4(pid, status, options, usage);
    at_once();
    return result;
  }
  return until_changed(options == 0 ? pid : 0, "waitpid()",
                       [&] { return native::wait4(pid, status, options | WNOHANG, usage); });
}

pid_t waitpid(pid_t pid, int* status, int options) noexcept {
  return green::wait4(pid, status, options, nullptr);
}

pid_t wait(int* status) noexcept { return green::wait4(-1, status, 0, nullptr); }

pid_t wait3(int* status, int options, rusage* usage) noexcept {
  return green::wait4(-1, status, options, usage);
}

int waitid(idtype_t which, id_t id, siginfo_t* info, int options) noexcept {
  bool of_descriptor = which == P_PIDFD;
  if ((options & WNOHANG) != 0 || (of_descriptor && nonblocking(static_cast<int>(id)))) {
    int result = native::waitid(which, id, info, options);
    at_once();
    return result;
  }
  siginfo_t unseen{};
  siginfo_t* seen = info != nullptr ? info : &unseen;
  auto attempt = [&] {
    if (native::waitid(which, id, seen, options | WNOHANG) != 0) return -1;
    return seen->si_signo == 0 ? 0 : 1;
  };
  bool end_of_one = (options & ~WNOWAIT) == WEXITED;
  int result = 0;
  if (end_of_one && of_descriptor) {
    result = attempt();
    if (result == 0) result = until_ended(static_cast<int>(id), "waitid()", attempt);
  } else {
    pid_t child = end_of_one && which == P_PID ? static_cast<pid_t>(id) : 0;
    result = until_changed(child, "waitid()", attempt);
  }
  return result > 0 ? 0 : result;
}

}  // namespace fern::monkey::green
