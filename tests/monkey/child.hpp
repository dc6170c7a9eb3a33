#pragma once

// For tests of waiting for children.

#include "monkey/patched.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <utility>

namespace fern::testing {

// A child that waits until it is told to end, and then ends with this status. Whoever it is that
// waits for it, at the end it is gone.
class Child {
 public:
  explicit Child(int status = 0, pid_t group = -1) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    monkey::native_scope native;
    pid = fork();
    if (pid == 0) {
      if (group >= 0) setpgid(0, group);
      ::close(ends[1]);
      char byte;
      while (syscall(SYS_read, ends[0], &byte, 1) < 0) {
      }
      _exit(status);
    }
    if (group >= 0) setpgid(pid, group);
    ::close(ends[0]);
    tell_ = ends[1];
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    monkey::native_scope native;
    if (tell_ >= 0) ::close(tell_);
    if (waitpid(pid, nullptr, WNOHANG) != 0) return;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  void end() {
    EXPECT_EQ(write(tell_, "", 1), 1);  // later children have this end, too
    ::close(std::exchange(tell_, -1));
  }
  // Sends it this, and waits until what that does can be waited for.
  void become(int signal, int event) const {
    monkey::native_scope native;
    kill(pid, signal);
    siginfo_t info{};
    EXPECT_EQ(waitid(P_PID, id(), &info, event | WNOWAIT), 0);
  }
  // end() and wait until it has ended, without reaping it.
  void become_zombie() {
    end();
    become(0, WEXITED);
  }
  id_t id() const { return static_cast<id_t>(pid); }

  pid_t pid = -1;

 private:
  int tell_ = -1;
};

}  // namespace fern::testing
