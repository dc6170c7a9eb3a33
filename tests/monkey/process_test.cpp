// Who waits for a child, a command or a stream of one parks, and gets what the native call gives.

#include "monkey/child.hpp"
#include "monkey/patched.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using fern::testing::Child;

namespace {

class MonkeyProcess : public MonkeyTest {
 protected:
  MonkeyProcess() { may_keep_heap("threads that look after children"); }
};

template <class F>
auto natively(F f) {
  decltype(f()) result{};
  std::thread([&] { result = f(); }).join();
  return result;
}

// Runs `wait_for_it`, which waits for the child, in a greenlet: it must not end before the child.
template <class F>
auto waits_for(Child& child, F wait_for_it) {
  auto waiter = fern::spawn(wait_for_it);
  for (int i = 0; i < 3; ++i) fern::sleep(1ms);
  EXPECT_FALSE(waiter.ready());
  child.end();
  return waiter.get();
}

// --- waitpid and its kin

TEST_F(MonkeyProcess, WaitingForOneChildParks) {
  Child child(7);
  int status = 0;
  EXPECT_EQ(waits_for(child, [&] { return waitpid(child.pid, &status, 0); }), child.pid);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  EXPECT_EQ(waitpid(child.pid, &status, 0), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(MonkeyProcess, WaitingForAnyChildParks) {
  int status = 0;
  rusage usage{};
  const std::function<pid_t()> forms[] = {
      [&] { return wait(&status); },
      [&] { return waitpid(-1, &status, 0); },
      [&] { return waitpid(0, &status, 0); },
      [&] { return wait3(&status, 0, &usage); },
      [&] { return wait4(-1, &status, 0, &usage); },
      [&] { return wait(nullptr); },
  };
  for (const auto& form : forms) {
    Child child(3);
    EXPECT_EQ(waits_for(child, form), child.pid);
    EXPECT_EQ(WEXITSTATUS(status), 3);
  }
  EXPECT_GT(usage.ru_maxrss, 0);
}

TEST_F(MonkeyProcess, WaitingForAGroupParks) {
  Child child(4, 0);
  Child other(5);
  int status = 0;
  EXPECT_EQ(waits_for(child, [&] { return waitpid(-child.pid, &status, 0); }), child.pid);
  EXPECT_EQ(WEXITSTATUS(status), 4);
  other.end();
  EXPECT_EQ(waitpid(other.pid, nullptr, 0), other.pid);
}

TEST_F(MonkeyProcess, WaitidParksAndSaysWhatHappened) {
  auto told = [&](idtype_t which, Child& child, id_t id) {
    siginfo_t info{};
    EXPECT_EQ(waits_for(child, [&] { return waitid(which, id, &info, WEXITED); }), 0);
    EXPECT_EQ(info.si_pid, child.pid);
    EXPECT_EQ(info.si_code, CLD_EXITED);
    EXPECT_EQ(info.si_status, 6);
  };
  Child one(6);
  told(P_PID, one, static_cast<id_t>(one.pid));
  Child any(6);
  told(P_ALL, any, 0);
  Child group(6, 0);
  told(P_PGID, group, static_cast<id_t>(group.pid));
  Child by_descriptor(6);
  int fd = static_cast<int>(syscall(SYS_pidfd_open, by_descriptor.pid, 0));
  ASSERT_GE(fd, 0);
  told(P_PIDFD, by_descriptor, static_cast<id_t>(fd));
  close(fd);
}

TEST_F(MonkeyProcess, WaitidThatLeavesTheChildAloneFindsItAgain) {
  Child child(1);
  auto look = [&] {
    return waitid(P_PID, static_cast<id_t>(child.pid), nullptr, WEXITED | WNOWAIT);
  };
  EXPECT_EQ(waits_for(child, look), 0);
  EXPECT_EQ(look(), 0);
  EXPECT_EQ(waitpid(child.pid, nullptr, 0), child.pid);
}

TEST_F(MonkeyProcess, StatusesAreThoseOfTheNativeCall) {
  auto status_of = [](void (*end)()) {
    pid_t pid = fork();
    if (pid == 0) {
      rlimit none{0, 0};
      setrlimit(RLIMIT_CORE, &none);
      end();
      _exit(99);
    }
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status;
  };
  for (auto* end : {+[] { _exit(0); }, +[] { _exit(255); }, +[] { std::raise(SIGKILL); },
                    +[] {
                      std::signal(SIGTERM, SIG_DFL);
                      std::raise(SIGTERM);
                    }}) {
    EXPECT_EQ(fern::spawn([&] { return status_of(end); }).get(),
              natively([&] { return status_of(end); }));
  }
}

TEST_F(MonkeyProcess, AStopAndAContinuationAreTold) {
  Child child;
  int status = 0;
  auto waiter = fern::spawn([&] { return waitpid(child.pid, &status, WUNTRACED); });
  fern::sleep(1ms);
  EXPECT_FALSE(waiter.ready());
  kill(child.pid, SIGSTOP);
  EXPECT_EQ(waiter.get(), child.pid);
  EXPECT_TRUE(WIFSTOPPED(status));
  auto second = fern::spawn([&] { return waitpid(-1, &status, WCONTINUED); });
  fern::sleep(1ms);
  EXPECT_FALSE(second.ready());
  kill(child.pid, SIGCONT);
  EXPECT_EQ(second.get(), child.pid);
  EXPECT_TRUE(WIFCONTINUED(status));
  child.end();
  EXPECT_EQ(waitpid(child.pid, &status, 0), child.pid);
}

TEST_F(MonkeyProcess, FiftyGreenletsWaitForFiftyChildren) {
  std::vector<std::unique_ptr<Child>> children;
  std::vector<fern::Greenlet<pid_t>> waiters;
  for (int i = 0; i < 50; ++i) {
    children.push_back(std::make_unique<Child>());
    pid_t pid = children.back()->pid;
    waiters.push_back(fern::spawn([pid] { return waitpid(pid, nullptr, 0); }));
  }
  fern::yield();
  for (std::size_t i = 50; i-- > 0;) {
    children[i]->end();
    EXPECT_EQ(waiters[i].get(), children[i]->pid);
  }
}

TEST_F(MonkeyProcess, OfSeveralWhoWaitForAnyChildEachGetsOthers) {
  std::multiset<pid_t> expected;
  std::multiset<pid_t> reaped;
  std::vector<std::unique_ptr<Child>> children;
  for (int i = 0; i < 12; ++i) {
    children.push_back(std::make_unique<Child>());
    expected.insert(children.back()->pid);
  }
  std::vector<fern::Greenlet<void>> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.push_back(fern::spawn([&] {
      for (pid_t pid = wait(nullptr); pid > 0; pid = wait(nullptr)) reaped.insert(pid);
      EXPECT_EQ(errno, ECHILD);
    }));
  }
  fern::yield();
  for (auto& child : children) child->end();
  fern::joinall(waiters);
  EXPECT_EQ(reaped, expected);
}

TEST_F(MonkeyProcess, AChildThatNobodyReapsIsInNobodysWay) {
  Child left;
  left.become_zombie();
  Child wanted(9, 0);
  int status = 0;
  EXPECT_EQ(waits_for(wanted, [&] { return waitpid(-wanted.pid, &status, 0); }), wanted.pid);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  EXPECT_EQ(waitpid(left.pid, nullptr, 0), left.pid);
}

TEST_F(MonkeyProcess, WhoHasNoChildrenIsToldSoAtOnce) {
  EXPECT_EQ(wait(nullptr), -1);
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(waitpid(1, nullptr, 0), -1);
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(waitpid(-1, nullptr, 0x1000), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(waitid(P_ALL, 0, nullptr, 0), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(MonkeyProcess, ALookWithoutWaitingLetsOthersRun) {
  Child child;
  bool other_ran = false;
  auto other = fern::spawn([&] { other_ran = true; });
  EXPECT_EQ(waitpid(child.pid, nullptr, WNOHANG), 0);
  EXPECT_TRUE(other_ran);
  child.end();
  while (waitpid(child.pid, nullptr, WNOHANG) == 0) continue;
}

TEST_F(MonkeyProcess, AKillEndsTheWaitAndLeavesTheChild) {
  for (pid_t any : {0, -1}) {
    Child child(2);
    auto waiter = fern::spawn([&] {
      EXPECT_EQ(waitpid(any == 0 ? child.pid : any, nullptr, 0), -1);
      EXPECT_EQ(errno, ECANCELED);
    });
    fern::yield();
    waiter.kill();
    EXPECT_TRUE(waiter.killed());
    int status = 0;
    child.end();
    EXPECT_EQ(waitpid(any == 0 ? child.pid : any, &status, 0), child.pid);
    EXPECT_EQ(WEXITSTATUS(status), 2);
  }
}

TEST_F(MonkeyProcess, ATimeoutEndsTheWait) {
  Child child;
  {
    fern::Timeout timeout(5ms);
    EXPECT_EQ(wait(nullptr), -1);
    EXPECT_EQ(errno, ETIMEDOUT);
  }
  child.end();
  EXPECT_EQ(wait(nullptr), child.pid);
}

TEST_F(MonkeyProcess, WhereChildrenAreIgnoredTheWaitEndsWithThem) {
  auto* before = std::signal(SIGCHLD, SIG_IGN);
  Child one;
  EXPECT_EQ(waits_for(one, [&] { return waitpid(one.pid, nullptr, 0); }), -1);
  Child any;
  int error = 0;
  EXPECT_EQ(waits_for(any,
                      [&] {
                        pid_t result = wait(nullptr);
                        error = errno;
                        return result;
                      }),
            -1);
  EXPECT_EQ(error, ECHILD);
  std::signal(SIGCHLD, before);
}

int told = 0;

TEST_F(MonkeyProcess, TheProgramsOwnHandlerIsStillCalled) {
  struct sigaction before{};
  struct sigaction handler{};
  handler.sa_handler = [](int) { ++told; };
  handler.sa_flags = SA_RESTART;
  sigaction(SIGCHLD, &handler, &before);
  Child child;
  EXPECT_EQ(waits_for(child, [] { return wait(nullptr); }), child.pid);
  EXPECT_EQ(told, 1);
  struct sigaction after{};
  sigaction(SIGCHLD, &before, &after);
  EXPECT_EQ(after.sa_handler, handler.sa_handler);
}

// --- system

TEST_F(MonkeyProcess, ACommandsStatusIsThatOfTheNativeCall) {
  for (const char* command : {"true", "exit 3", "kill -9 $$", "/no/such/command 2>/dev/null",
                              "kill -INT $$; exit 5", "", "exit 300"}) {
    auto run = [&] { return system(command); };
    EXPECT_EQ(fern::spawn(run).get(), natively(run)) << command;
  }
  EXPECT_EQ(system(nullptr), 1);
}

// A command that ends when the pipe is closed.
class Command {
 public:
  Command() {
    EXPECT_EQ(pipe(ends_), 0);
    fcntl(ends_[1], F_SETFD, FD_CLOEXEC);
    text = "exec cat </dev/fd/" + std::to_string(ends_[0]);
  }
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  ~Command() {
    end();
    forget();
  }
  void end() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }
  // Our end of what it reads: then nobody but the command has it.
  void forget() {
    if (ends_[0] >= 0) ::close(ends_[0]);
    ends_[0] = -1;
  }
  bool has_reader() const {
    pollfd one{ends_[1], 0, 0};
    fern::monkey::native_scope native;
    ::poll(&one, 1, 0);
    return (one.revents & POLLERR) == 0;
  }
  std::string text;

 private:
  int ends_[2];
};

TEST_F(MonkeyProcess, OthersRunWhileACommandDoes) {
  Command first;
  Command second;
  auto one = fern::spawn([&] { return system(first.text.c_str()); });
  auto two = fern::spawn([&] { return system(second.text.c_str()); });
  fern::sleep(1ms);
  EXPECT_FALSE(one.ready() || two.ready());
  second.end();
  EXPECT_EQ(two.get(), 0);
  EXPECT_FALSE(one.ready());
  first.end();
  EXPECT_EQ(one.get(), 0);
}

TEST_F(MonkeyProcess, SignalsAreIgnoredWhileAnyCommandRuns) {
  auto handler_of = [](int number) {
    struct sigaction now{};
    sigaction(number, nullptr, &now);
    return now.sa_handler;
  };
  auto child_blocked = [] {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return sigismember(&mask, SIGCHLD) == 1;
  };
  auto mine = [](int) {};
  auto* before = std::signal(SIGINT, mine);
  Command first;
  Command second;
  auto one = fern::spawn([&] { return system(first.text.c_str()); });
  auto two = fern::spawn([&] { return system(second.text.c_str()); });
  fern::sleep(1ms);
  EXPECT_EQ(handler_of(SIGINT), SIG_IGN);
  EXPECT_EQ(handler_of(SIGQUIT), SIG_IGN);
  EXPECT_TRUE(child_blocked());
  first.end();
  one.join();
  EXPECT_EQ(handler_of(SIGINT), SIG_IGN);
  EXPECT_TRUE(child_blocked());
  second.end();
  two.join();
  EXPECT_EQ(handler_of(SIGINT), static_cast<sighandler_t>(mine));
  EXPECT_EQ(handler_of(SIGQUIT), SIG_DFL);
  EXPECT_FALSE(child_blocked());
  std::signal(SIGINT, before);
}

TEST_F(MonkeyProcess, ACommandBeginsWithTheSignalsOfItsCaller) {
  Command other;
  auto one = fern::spawn([&] { return system(other.text.c_str()); });
  fern::sleep(1ms);
  EXPECT_EQ(system("grep -q '^SigBlk:.*\\<0*$' /proc/self/status"), 0);
  EXPECT_EQ(WTERMSIG(system("kill -QUIT $$; exit 1")), SIGQUIT);
  other.end();
  EXPECT_EQ(one.get(), 0);
}

TEST_F(MonkeyProcess, AKillEndsTheCommand) {
  Command command;
  auto runner = fern::spawn([&] {
    EXPECT_EQ(system(command.text.c_str()), -1);
    EXPECT_EQ(errno, ECANCELED);
    EXPECT_EQ(system("true"), -1);
  });
  fern::sleep(1ms);
  command.forget();
  EXPECT_TRUE(command.has_reader());
  runner.kill();
  while (command.has_reader()) fern::sleep(1ms);
  while (waitpid(-1, nullptr, WNOHANG) == 0) fern::sleep(1ms);  // until it has been reaped
}

long children_now() {
  std::ifstream list("/proc/thread-self/children");
  return std::distance(std::istream_iterator<int>(list), std::istream_iterator<int>());
}

TEST_F(MonkeyProcess, OthersRunBetweenTheStartsOfManyCommands) {
  if (!std::ifstream("/proc/thread-self/children")) GTEST_SKIP() << "this kernel lists no children";
  constexpr long commands = 20;
  Command command;
  std::vector<fern::Greenlet<void>> runners;
  for (long i = 0; i < commands; ++i) {
    runners.push_back(fern::spawn([&] { EXPECT_EQ(system(command.text.c_str()), 0); }));
  }
  long before = 0;
  while (before < commands) {
    fern::yield();
    fern::monkey::native_scope native;
    long now = children_now();
    EXPECT_LE(now, before + 1);
    before = now;
  }
  command.end();
  fern::joinall(runners);
}

TEST_F(MonkeyProcess, AForkAmongThoseWhoWaitToStartACommandKeepsNobodyWaiting) {
  std::vector<fern::Greenlet<void>> runners;
  for (int i = 0; i < 3; ++i) {
    runners.push_back(fern::spawn([] { EXPECT_EQ(system("exit 0"), 0); }));
  }
  pid_t child = 0;
  auto forker = fern::spawn([&] {
    child = fork();
    if (child == 0) _exit(system("exit 7") == 7 << 8 ? 0 : 1);
  });
  fern::joinall(runners);
  forker.join();
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// --- popen

std::string all_of(FILE* file) {
  std::string text;
  char part[64];
  while (std::fgets(part, sizeof part, file) != nullptr) text += part;
  return text;
}

TEST_F(MonkeyProcess, ACommandsOutputIsRead) {
  FILE* file = popen("echo one; echo two; exit 4", "r");
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(all_of(file), "one\ntwo\n");
  EXPECT_EQ(WEXITSTATUS(pclose(file)), 4);
}

TEST_F(MonkeyProcess, ACommandReadsWhatIsWritten) {
  FILE* file = popen("read line; test \"$line\" = hello", "w");
  ASSERT_NE(file, nullptr);
  std::fputs("hello\n", file);
  EXPECT_EQ(pclose(file), 0);
}

TEST_F(MonkeyProcess, PcloseParksUntilTheCommandEnds) {
  Command command;
  FILE* file = popen(command.text.c_str(), "r");
  auto closer = fern::spawn([&] { return pclose(file); });
  fern::sleep(1ms);
  EXPECT_FALSE(closer.ready());
  command.end();
  EXPECT_EQ(closer.get(), 0);
}

TEST_F(MonkeyProcess, AStreamIsNotLeftOpenInLaterCommands) {
  FILE* first = popen("cat >/dev/null", "w");
  Command holding;
  FILE* second = popen(holding.text.c_str(), "r");
  EXPECT_EQ(pclose(first), 0);  // would wait for the second to end
  holding.end();
  EXPECT_EQ(pclose(second), 0);
}

TEST_F(MonkeyProcess, ModesAreThoseOfTheNativeCall) {
  for (const char* mode : {"r", "w", "re", "we", "er", "rw", "", "x", "r+", "rr"}) {
    auto open = [&] {
      errno = 0;
      FILE* file = popen("cat </dev/null", mode);
      if (file == nullptr) return std::to_string(errno);
      int flags = fcntl(fileno(file), F_GETFD) * 10 + (fcntl(fileno(file), F_GETFL) & O_ACCMODE);
      return "file " + std::to_string(flags) + ", " + std::to_string(pclose(file));
    };
    EXPECT_EQ(fern::spawn(open).get(), natively(open)) << mode;
  }
}

TEST_F(MonkeyProcess, AStreamWhoseChildAnotherReapedIsEchild) {
  FILE* file = popen("true", "r");
  EXPECT_GT(wait(nullptr), 0);
  EXPECT_EQ(pclose(file), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(MonkeyProcess, StreamsMayBeClosedElsewhereThanTheyWereOpened) {
  FILE* green = popen("exit 2", "r");
  EXPECT_EQ(WEXITSTATUS(natively([&] { return pclose(green); })), 2);
  FILE* native = natively([] { return popen("exit 3", "r"); });
  EXPECT_EQ(WEXITSTATUS(fern::spawn([&] { return pclose(native); }).get()), 3);
}

TEST_F(MonkeyProcess, AKillEndsPcloseAndTheCommandIsReapedAllTheSame) {
  Command command;
  FILE* file = popen(command.text.c_str(), "r");
  auto closer = fern::spawn([&] {
    EXPECT_EQ(pclose(file), -1);
    EXPECT_EQ(errno, ECANCELED);
  });
  fern::sleep(1ms);
  closer.kill();
  command.end();
  int left = 0;
  while ((left = waitpid(-1, nullptr, WNOHANG)) == 0) fern::sleep(1ms);
  EXPECT_TRUE(left > 0 || errno == ECHILD);
}

// --- vfork

TEST_F(MonkeyProcess, WhereCallsAreGreenVforkIsFork) {
  volatile int shared = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    shared = 1;
    _exit(5);
  }
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 5);
  EXPECT_EQ(shared, 0);
}

TEST_F(MonkeyProcess, AChildOfVforkClosesNothingOfWhatItsParentWaitsFor) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ssize_t got = -2;
  auto reader = fern::spawn([&] {
    char byte;
    got = read(ends[0], &byte, 1);
  });
  fern::yield();
  std::atomic<bool> done{false};
  std::thread parent([&] {
    pid_t pid = vfork();
    if (pid == 0) {
      close(ends[0]);
      _exit(0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    done = true;
  });
  while (!done) fern::sleep(1ms);
  parent.join();
  EXPECT_EQ(write(ends[1], "x", 1), 1);
  reader.join();
  EXPECT_EQ(got, 1);
  close(ends[0]);
  close(ends[1]);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(MonkeyProcess, ElsewhereVforkIsLibcs) {
  EXPECT_EQ(natively([] {
              volatile int shared = 0;
              pid_t pid = vfork();
              if (pid == 0) {
                shared = 1;
                _exit(6);
              }
              int status = 0;
              EXPECT_EQ(waitpid(pid, &status, 0), pid);
              EXPECT_EQ(WEXITSTATUS(status), 6);
              return static_cast<int>(shared);
            }),
            1);
}
#endif

}  // namespace
