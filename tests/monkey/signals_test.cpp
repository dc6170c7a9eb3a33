// Waiting for signals parks the greenlet, and handlers end waits as POSIX says they do.

#include "monkey/patched.hpp"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

volatile sig_atomic_t handled = 0;
volatile sig_atomic_t error_in_handler = 0;
int pipe_of_handler = -1;

void count(int) { handled = handled + 1; }
void count_with_info(int number, siginfo_t* info, void*) {
  handled = info->si_signo == number && info->si_pid == getpid() ? handled + 1 : -1000;
}

// The compiler knows nothing of what this returns.
template <class T>
T* unknown(T* pointer) {
  asm volatile("" : "+r"(pointer));
  return pointer;
}

class MonkeySignals : public MonkeyTest {
 protected:
  MonkeySignals() { handled = 0; }
  ~MonkeySignals() override {
    for (int number : {SIGUSR1, SIGUSR2, SIGALRM}) ::signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
  }

  static void handle(int number, void (*handler)(int), int flags = 0) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = flags;
    ASSERT_EQ(sigaction(number, &action, nullptr), 0);
  }

  static sigset_t only(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    return set;
  }

  static sigset_t block(int number) {
    sigset_t set = only(number);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    return set;
  }

  // Raises the signal as soon as the others have been let run.
  static auto soon(int number) {
    return fern::spawn([number] { kill(getpid(), number); });
  }
};

TEST_F(MonkeySignals, TheOldHandlerIsTheUsers) {
  struct sigaction action{};
  struct sigaction old{};
  action.sa_handler = count;
  action.sa_flags = SA_RESTART;
  sigaddset(&action.sa_mask, SIGUSR2);
  ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
  action = {};
  action.sa_sigaction = count_with_info;
  action.sa_flags = SA_SIGINFO;
  ASSERT_EQ(sigaction(SIGUSR1, &action, &old), 0);
  EXPECT_EQ(old.sa_handler, count);
  EXPECT_NE(old.sa_flags & SA_RESTART, 0);
  EXPECT_EQ(sigismember(&old.sa_mask, SIGUSR2), 1);
  ASSERT_EQ(sigaction(SIGUSR1, nullptr, &old), 0);
  EXPECT_EQ(old.sa_sigaction, count_with_info);
  raise(SIGUSR1);
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(reinterpret_cast<void*>(signal(SIGUSR1, SIG_IGN)),
            reinterpret_cast<void*>(count_with_info));
  raise(SIGUSR1);
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(signal(SIGUSR1, SIG_DFL), SIG_IGN);
}

TEST_F(MonkeySignals, OneStructMayBeTheNewActionAndTheOld) {
  handle(SIGUSR1, count);
  struct sigaction action{};
  struct sigaction* old = unknown(&action);
  action.sa_handler = SIG_IGN;
  ASSERT_EQ(sigaction(SIGUSR1, &action, old), 0);
  EXPECT_EQ(action.sa_handler, count);
  ASSERT_EQ(sigaction(SIGUSR1, &action, old), 0);
  EXPECT_EQ(action.sa_handler, SIG_IGN);
  raise(SIGUSR1);
  EXPECT_EQ(handled, 1);
}

TEST_F(MonkeySignals, ImpossibleSignalsAreRefused) {
  struct sigaction action{};
  action.sa_handler = count;
  for (int number : {0, -1, 65, SIGKILL, SIGSTOP, 32, 33}) {
    EXPECT_EQ(sigaction(number, &action, nullptr), -1) << number;
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(signal(number, count), SIG_ERR) << number;
  }
  EXPECT_EQ(signal(SIGUSR1, SIG_ERR), SIG_ERR);
}

TEST_F(MonkeySignals, SignalAndItsOldFormsSetTheFlagsOfOld) {
  struct sigaction now{};
  EXPECT_EQ(signal(SIGUSR1, count), SIG_DFL);
  sigaction(SIGUSR1, nullptr, &now);
  EXPECT_NE(now.sa_flags & SA_RESTART, 0);
  EXPECT_EQ(sigismember(&now.sa_mask, SIGUSR1), 1);
  EXPECT_EQ(sysv_signal(SIGUSR1, count), count);
  sigaction(SIGUSR1, nullptr, &now);
  EXPECT_EQ(now.sa_flags & SA_RESTART, 0);
  raise(SIGUSR1);
  EXPECT_EQ(handled, 1);
  sigaction(SIGUSR1, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);  // one shot
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST_F(MonkeySignals, SiginterruptTakesTheRestartFromSignal) {
  struct sigaction now{};
  EXPECT_EQ(siginterrupt(SIGUSR1, 1), 0);
  signal(SIGUSR1, count);
  sigaction(SIGUSR1, nullptr, &now);
  EXPECT_EQ(now.sa_flags & SA_RESTART, 0);
  EXPECT_EQ(siginterrupt(SIGUSR1, 0), 0);
  sigaction(SIGUSR1, nullptr, &now);
  EXPECT_NE(now.sa_flags & SA_RESTART, 0);
  EXPECT_EQ(now.sa_handler, count);
  EXPECT_EQ(siginterrupt(99, 1), -1);
}

TEST_F(MonkeySignals, SigsetHoldsAndLetsGo) {
  EXPECT_EQ(sigset(SIGUSR1, count), SIG_DFL);
  EXPECT_EQ(sigset(SIGUSR1, SIG_HOLD), count);
  raise(SIGUSR1);
  EXPECT_EQ(handled, 0);
  EXPECT_EQ(sigset(SIGUSR1, count), SIG_HOLD);
  EXPECT_EQ(handled, 1);
}
#pragma GCC diagnostic pop

TEST_F(MonkeySignals, AHandlerEndsAReceiveOfTheMainGreenlet) {
  Pair pair;
  handle(SIGALRM, count);
  // Again and again, for the first may come before the call.
  itimerval often{{0, 20'000}, {0, 20'000}};
  setitimer(ITIMER_REAL, &often, nullptr);
  char byte;
  EXPECT_EQ(recv(pair[0], &byte, 1, 0), -1);
  EXPECT_EQ(errno, EINTR);
  often = {};
  setitimer(ITIMER_REAL, &often, nullptr);
  EXPECT_GE(handled, 1);
}

TEST_F(MonkeySignals, AHandlerWithRestartDoesNot) {
  Pair pair;
  handle(SIGUSR1, count, SA_RESTART);
  auto other = fern::spawn([&] {
    kill(getpid(), SIGUSR1);
    fern::yield();
    send(pair[1], "x", 1, 0);
  });
  char byte;
  EXPECT_EQ(recv(pair[0], &byte, 1, 0), 1);
  EXPECT_EQ(handled, 1);
  other.join();
}

TEST_F(MonkeySignals, AReceiveWithATimeLimitIsNeverRestarted) {
  Pair pair;
  timeval limit{60, 0};
  setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  handle(SIGUSR1, count, SA_RESTART);
  auto other = soon(SIGUSR1);
  char byte;
  EXPECT_EQ(recv(pair[0], &byte, 1, 0), -1);
  EXPECT_EQ(errno, EINTR);
  other.join();
}

TEST_F(MonkeySignals, OtherGreenletsWaitOn) {
  Pair pair;
  handle(SIGUSR1, count);
  auto receiver = fern::spawn([&] {
    char byte;
    return recv(pair[0], &byte, 1, 0);
  });
  fern::yield();
  raise(SIGUSR1);
  fern::sleep(1ms);
  send(pair[1], "x", 1, 0);
  EXPECT_EQ(receiver.get(), 1);
  EXPECT_EQ(handled, 1);
}

TEST_F(MonkeySignals, ASignalFromOutsideWakesAnIdleHub) {
  handle(SIGUSR1, count);
  pid_t self = getpid();
  std::atomic<bool> end = false;
  std::thread sender([self, &end] {
    while (!end) {
      std::this_thread::sleep_for(20ms);
      kill(self, SIGUSR1);
    }
  });
  EXPECT_EQ(pause(), -1);
  EXPECT_EQ(errno, EINTR);
  EXPECT_GE(handled, 1);
  end = true;
  sender.join();
}

TEST_F(MonkeySignals, AnyGreenletMayPauseUntilAHandlerHasRun) {
  handle(SIGUSR1, count, SA_RESTART);
  auto paused = fern::spawn([] { return pause() == -1 ? errno : 0; });
  fern::yield();
  fern::yield();
  EXPECT_FALSE(paused.dead());
  raise(SIGUSR1);
  EXPECT_EQ(paused.get(), EINTR);
}

void write_in_handler(int) {
  // Natively these wait for nobody: a pipe takes 64 KiB, and a byte is there.
  char byte = 'h';
  error_in_handler = write(pipe_of_handler, &byte, 1) == 1 ? 0 : errno;
  handled = handled + 1;
}

TEST_F(MonkeySignals, NothingInAHandlerLetsOthersRun) {
  Pair pair;
  pipe_of_handler = pair[0];
  handle(SIGUSR1, write_in_handler);
  bool ran = false;
  auto other = fern::spawn([&] { ran = true; });
  for (int i = 0; i < 100; ++i) raise(SIGUSR1);
  EXPECT_FALSE(ran);
  EXPECT_EQ(error_in_handler, 0);
  EXPECT_EQ(handled, 100);
  other.join();
}

sigjmp_buf back;
void jump_out(int) { siglongjmp(back, 1); }

TEST_F(MonkeySignals, CallsAreGreenAgainAfterAHandlerHasJumpedOut) {
  handle(SIGUSR1, jump_out);
  if (sigsetjmp(back, 1) == 0) {
    raise(SIGUSR1);
    ADD_FAILURE() << "did not jump";
  }
  Pair pair;
  auto sender = fern::spawn([&] { send(pair[1], "x", 1, 0); });
  char byte;
  EXPECT_EQ(recv(pair[0], &byte, 1, 0), 1);
  sender.join();
}

TEST_F(MonkeySignals, ResetHandNoDeferAndMasksAreAsNatively) {
  struct sigaction action{};
  action.sa_handler = [](int) {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    struct sigaction now{};
    sigaction(SIGUSR1, nullptr, &now);
    bool right = sigismember(&blocked, SIGUSR1) == 0 && sigismember(&blocked, SIGUSR2) == 1 &&
                 now.sa_handler == SIG_DFL;
    handled = right ? 1 : -1;
  };
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  sigaddset(&action.sa_mask, SIGUSR2);
  sigaction(SIGUSR1, &action, nullptr);
  raise(SIGUSR1);
  EXPECT_EQ(handled, 1);
}

TEST_F(MonkeySignals, SigwaitTakesABlockedSignal) {
  sigset_t set = block(SIGUSR1);
  auto other = soon(SIGUSR1);
  int number = 0;
  EXPECT_EQ(sigwait(&set, &number), 0);
  EXPECT_EQ(number, SIGUSR1);
  other.join();
  raise(SIGUSR1);
  EXPECT_EQ(sigwait(&set, &number), 0);
}

TEST_F(MonkeySignals, SigwaitGoesOnAfterAHandler) {
  sigset_t set = block(SIGUSR1);
  handle(SIGUSR2, count);
  auto other = fern::spawn([] {
    raise(SIGUSR2);
    fern::yield();
    raise(SIGUSR1);
  });
  int number = 0;
  EXPECT_EQ(sigwait(&set, &number), 0);
  EXPECT_EQ(number, SIGUSR1);
  EXPECT_EQ(handled, 1);
  other.join();
}

TEST_F(MonkeySignals, SigwaitinfoTellsWhoSentItAndEndsAfterAnyHandler) {
  sigset_t set = block(SIGUSR1);
  auto sender = fern::spawn([] { sigqueue(getpid(), SIGUSR1, sigval{42}); });
  siginfo_t info{};
  EXPECT_EQ(sigwaitinfo(&set, &info), SIGUSR1);
  EXPECT_EQ(info.si_value.sival_int, 42);
  sender.join();
  handle(SIGUSR2, count, SA_RESTART);
  auto other = soon(SIGUSR2);
  EXPECT_EQ(sigwaitinfo(&set, nullptr), -1);
  EXPECT_EQ(errno, EINTR);
  other.join();
}

TEST_F(MonkeySignals, SigtimedwaitEndsAtItsLimit) {
  sigset_t set = block(SIGUSR1);
  auto begin = std::chrono::steady_clock::now();
  timespec limit{0, 20'000'000};
  EXPECT_EQ(sigtimedwait(&set, nullptr, &limit), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
  limit = {0, 0};
  EXPECT_EQ(sigtimedwait(&set, nullptr, &limit), -1);
  EXPECT_EQ(errno, EAGAIN);
  limit = {0, 1'000'000'000};
  EXPECT_EQ(sigtimedwait(&set, nullptr, &limit), -1);
  EXPECT_EQ(errno, EINVAL);
  // Through a pointer that does not know that nobody may do so.
  int (*call)(const sigset_t*, siginfo_t*, const timespec*) = unknown(&sigtimedwait);
  EXPECT_EQ(call(nullptr, nullptr, nullptr), -1);
  EXPECT_EQ(errno, EFAULT);
}

TEST_F(MonkeySignals, AKillEndsWaitsForSignals) {
  sigset_t set = block(SIGUSR1);
  sigset_t none;
  sigemptyset(&none);
  auto waiting = fern::spawn([&] {
    int number;
    return sigwait(&set, &number);
  });
  int error = 0;
  auto suspended = fern::spawn([&] {
    sigsuspend(&none);
    error = errno;
  });
  fern::yield();
  waiting.kill();
  suspended.kill();
  EXPECT_EQ(error, ECANCELED);
  EXPECT_TRUE(waiting.killed());
}

TEST_F(MonkeySignals, SigsuspendRunsTheHandlerOfWhatWasBlocked) {
  block(SIGUSR1);
  handle(SIGUSR1, count);
  sigset_t none;
  sigemptyset(&none);
  raise(SIGUSR1);
  EXPECT_EQ(handled, 0);
  EXPECT_EQ(sigsuspend(&none), -1);
  EXPECT_EQ(errno, EINTR);
  EXPECT_EQ(handled, 1);
  auto other = soon(SIGUSR1);
  EXPECT_EQ(sigsuspend(&none), -1);
  EXPECT_EQ(handled, 2);
  other.join();
  sigset_t now;
  pthread_sigmask(SIG_SETMASK, nullptr, &now);
  EXPECT_EQ(sigismember(&now, SIGUSR1), 1);
}

TEST_F(MonkeySignals, SigsuspendWaitsOnAfterASignalThatDoesNothing) {
  block(SIGUSR1);
  block(SIGCHLD);
  handle(SIGUSR1, count);
  sigset_t none;
  sigemptyset(&none);
  bool child = false;
  auto other = fern::spawn([&] {
    raise(SIGCHLD);
    fern::sleep(5ms);
    child = true;
    raise(SIGUSR1);
  });
  EXPECT_EQ(sigsuspend(&none), -1);
  EXPECT_TRUE(child);
  other.join();
}

TEST_F(MonkeySignals, ForkedChildrenKeepTheHandlersAndNewProgramsDoNot) {
  handle(SIGUSR1, count);
  pid_t child = fork();
  if (child == 0) {
    auto raiser = fern::spawn([] { raise(SIGUSR1); });
    bool interrupted = pause() == -1 && errno == EINTR;
    _exit(interrupted && handled == 1 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  child = fork();
  if (child == 0) {
    execlp("sh", "sh", "-c", "kill -USR1 $$; exit 3", nullptr);
    _exit(1);
  }
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1) << status;
}

TEST_F(MonkeySignals, AfterUnpatchHandlersStillRun) {
  handle(SIGUSR1, count);
  fern::monkey::unpatch();
  raise(SIGUSR1);
  struct sigaction now{};
  sigaction(SIGUSR1, nullptr, &now);
  EXPECT_EQ(now.sa_handler, count);
  EXPECT_EQ(handled, 1);
}

}  // namespace
