// A call that poll has found ready, and that another process was faster at, does not keep the hub.

#include "monkey/rescue.hpp"

#include "base/real.hpp"
#include "monkey/patched.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace real = fern::real;

namespace {

struct Listener {
  Listener() : fd(socket(AF_INET, SOCK_STREAM, 0)) {
    socklen_t size = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd, 128), 0);
    EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { close(fd); }
  int call() const {
    int client = real::socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(real::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    return client;
  }
  int fd;
  sockaddr_in address{};
};

class MonkeyRescue : public MonkeyTest {};

TEST_F(MonkeyRescue, ACallThatFindsNothingIsCalledBack) {
  Listener listener;
  auto before = fern::monkey::rescues();
  int accepted =
      fern::monkey::rescued([&] { return real::accept4(listener.fd, nullptr, nullptr, 0); });
  EXPECT_EQ(accepted, -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_GT(fern::monkey::rescues(), before);
  int terminal = -1;
  int other = -1;
  ASSERT_EQ(openpty(&other, &terminal, nullptr, nullptr, nullptr), 0);
  char byte = 0;
  EXPECT_EQ(fern::monkey::rescued([&] { return real::read(terminal, &byte, 1); }), -1);
  EXPECT_EQ(errno, EAGAIN);
  close(terminal);
  close(other);
}

TEST_F(MonkeyRescue, ACallThatFindsSomethingIsNot) {
  Listener listener;
  int client = listener.call();
  int accepted =
      fern::monkey::rescued([&] { return real::accept4(listener.fd, nullptr, nullptr, 0); });
  EXPECT_GE(accepted, 0);
  close(accepted);
  close(client);
  errno = 0;
  EXPECT_EQ(fern::monkey::rescued([] { return real::read(-1, nullptr, 0); }), -1);
  EXPECT_EQ(errno, EBADF);
}

// No signal comes after the call: it would end a wait of the program's.
TEST_F(MonkeyRescue, NoOtherCallIsInterrupted) {
  fern::monkey::native_scope native;
  Pair pair;
  pollfd one{pair[0], POLLIN, 0};
  for (int i = 0; i < 30; ++i) {
    auto busy = std::chrono::steady_clock::now() + std::chrono::microseconds(500 * (i % 12));
    fern::monkey::rescued([&] {
      while (std::chrono::steady_clock::now() < busy) {
      }
      return 0;
    });
    EXPECT_EQ(real::poll(&one, 1, 2), 0);
  }
}

TEST_F(MonkeyRescue, AThreadThatIsCancelledNativelyStillIs) {
  Pair pair;
  Listener listener;
  EXPECT_EQ(fern::monkey::rescued([&] { return real::accept4(listener.fd, nullptr, nullptr, 0); }),
            -1);
  for (int round = 0; round < 2; ++round) {
    pthread_t thread;
    auto body = [](void* end) -> void* {
      char byte = 0;
      (void)!::read(static_cast<Pair*>(end)->ends[0], &byte, 1);
      return nullptr;
    };
    ASSERT_EQ(pthread_create(&thread, nullptr, body, &pair), 0);
    EXPECT_EQ(pthread_cancel(thread), 0);
    void* result = nullptr;
    EXPECT_EQ(pthread_join(thread, &result), 0);
    EXPECT_EQ(result, PTHREAD_CANCELED);
    EXPECT_EQ(
        fern::monkey::rescued([&] { return real::accept4(listener.fd, nullptr, nullptr, 0); }), -1);
    EXPECT_EQ(errno, EAGAIN);
  }
}

// In a child, for it is true of all later calls of its process.
TEST_F(MonkeyRescue, ASignalThatIsBlockedIsGivenUpAndHarmsNobodyWhenItComes) {
  auto called_back = [] {
    fern::yield();  // a child's hub
    Listener listener;
    return fern::monkey::rescued([&] { return real::accept4(listener.fd, nullptr, nullptr, 0); }) ==
               -1 &&
           errno == EAGAIN;
  };
  ASSERT_TRUE(called_back());
  fflush(stdout);
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    EXPECT_TRUE(called_back());
    auto before = fern::monkey::rescues();
    std::uint64_t its_number = std::uint64_t{1} << 31;
    pollfd none{-1, 0, 0};
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &its_number, nullptr, sizeof its_number);
    EXPECT_EQ(fern::monkey::rescued([&] { return real::poll(&none, 1, 100); }), 0);
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &its_number, nullptr, sizeof its_number);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(real::poll(&none, 1, 10), 0);
    EXPECT_EQ(fern::monkey::rescued([&] { return real::poll(&none, 1, 100); }), 0);
    EXPECT_EQ(fern::monkey::rescues(), before);
    // Its own children have not given up.
    pid_t grandchild = fork();
    if (grandchild == 0) _exit(called_back() ? 0 : 1);
    int status = -1;
    EXPECT_EQ(waitpid(grandchild, &status, 0), grandchild);
    EXPECT_EQ(status, 0);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// Two processes and one listener: whoever comes too late must go on nevertheless. Before each
// connection both have to answer, in a greenlet beside those that accept.
void serve(int listener, int pings) {
  auto accepting = [&] {
    for (;;) {
      int client = accept(listener, nullptr, nullptr);
      if (client < 0) return;
      EXPECT_EQ(send(client, "!", 1, MSG_NOSIGNAL), 1);
      close(client);
    }
  };
  auto first = fern::spawn(accepting);
  auto second = fern::spawn(accepting);
  char ping = 0;
  while (recv(pings, &ping, 1, 0) == 1) EXPECT_EQ(send(pings, &ping, 1, 0), 1);
  first.kill();
  second.kill();
}

bool answers(int fd) {
  char pong = 0;
  return real::send(fd, "?", 1, 0) == 1 && real::recv(fd, &pong, 1, 0) == 1;
}

TEST_F(MonkeyRescue, TwoProcessesAcceptFromOneListener) {
  constexpr int connections = 10'000;
  Listener listener;
  Pair ours;
  Pair theirs;
  fflush(stdout);
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    theirs.close(0);
    serve(listener.fd, theirs[1]);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  theirs.close(1);
  std::atomic<int> served{0};
  std::thread client([&] {
    for (int i = 0; i < connections; ++i) {
      int fd = listener.call();
      char byte = 0;
      if (real::recv(fd, &byte, 1, 0) == 1) ++served;
      real::close(fd);
      if (!answers(ours[0]) || !answers(theirs[0])) break;
    }
    ours.close(0);
    theirs.close(0);
  });
  serve(listener.fd, ours[1]);
  client.join();
  EXPECT_EQ(served, connections);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// A thread without a hub does the same: here it is faster always, for the greenlet is told first.
TEST_F(MonkeyRescue, TwoProcessesReadOneTerminal) {
  int terminal = -1;
  int keyboard = -1;
  ASSERT_EQ(openpty(&keyboard, &terminal, nullptr, nullptr, nullptr), 0);
  std::atomic<int> taken{0};
  std::thread thief([&] {
    char line[16];
    while (real::read(terminal, line, sizeof line) > 1) ++taken;
  });
  bool over = false;
  auto reader = fern::spawn([&] {
    char line[16];
    while (!over && read(terminal, line, sizeof line) > 1) ++taken;
  });
  constexpr int lines = 500;
  for (int i = 0; i < lines; ++i) {
    int before = taken;
    EXPECT_EQ(write(keyboard, "line\n", 5), 5);
    while (taken == before) fern::yield();
  }
  reader.kill();
  EXPECT_EQ(write(keyboard, "\n", 1), 1);
  thief.join();
  EXPECT_EQ(taken, lines);
  close(terminal);
  close(keyboard);
}

}  // namespace
