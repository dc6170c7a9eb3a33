#pragma once

// Running part of a test in a process or thread of its own.

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "fern/greenlet.hpp"
#include "support.hpp"

namespace fern::testing {

// TSan knows only the greenlet that forked; in the child it takes the others for racing threads.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FERN_TSAN_CHILD 1
#endif
#endif
#ifdef FERN_TSAN_CHILD
constexpr bool children_may_switch = false;
#else
constexpr bool children_may_switch = true;
#endif

// A thread that Fern makes and that has used Fern ends with its job, for its hub's sake. The kernel
// orders its last close before our next use of the number; TSan does not see that.
constexpr bool ends_of_threads_are_seen = children_may_switch;

inline void wait_for_the_end_of(pid_t task) {
  while (std::filesystem::exists("/proc/self/task/" + std::to_string(task))) {
    fern::sleep(std::chrono::milliseconds(1));
  }
}

// Ends a child at once. What gone greenlets still held is no leak: nobody looks for one.
[[noreturn]] inline void end_child(int status) {
  if (under_valgrind()) ::execl(status == 0 ? "/bin/true" : "/bin/false", "child", nullptr);
  ::_exit(status);
}

// Forks, runs f in the child, and returns what waitpid says of it. The child ends with what f
// returns, without exit handlers.
inline int in_child(const std::function<int()>& f) {
  pid_t child = ::fork();
  if (child == 0) {
    ::alarm(50);
    end_child(f());
  }
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// Whether in_child's f returned 0.
inline bool succeeded(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

// Runs f in a thread and waits, blocking, until it has ended with its hub.
inline void in_thread(const std::function<void()>& f) { std::thread(f).join(); }

}  // namespace fern::testing
