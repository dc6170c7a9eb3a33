// Who waits for a descriptor that is closed or replaced is told, before the number is another's.

#include "monkey/patched.hpp"

#include "children.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <set>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using fern::testing::children_may_switch;

namespace {

// What this program was started with.
const std::set<int> at_start = [] {
  std::set<int> fds;
  for (int fd = 0; fd < 1000; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) fds.insert(fd);
  }
  return fds;
}();

class MonkeyLifetime : public MonkeyTest {
 protected:
  // A greenlet that waits for a byte on the descriptor, and gives the errno that it got.
  static fern::Greenlet<int> receiver(int fd) {
    return fern::spawn([fd] {
      char byte;
      return recv(fd, &byte, 1, 0) < 0 ? errno : 0;
    });
  }
};

TEST_F(MonkeyLifetime, CloseTellsWhoWaits) {
  Pair pair;
  auto first = receiver(pair[0]);
  auto second = receiver(pair[0]);
  fern::yield();
  pair.close(0);
  EXPECT_EQ(first.get(), EBADF);
  EXPECT_EQ(second.get(), EBADF);
}

TEST_F(MonkeyLifetime, WhoWaitsIsToldThoughADuplicateLivesOn) {
  Pair pair;
  int twin = dup(pair[0]);
  auto waiter = receiver(pair[0]);
  auto other = receiver(twin);
  fern::yield();
  pair.close(0);
  EXPECT_EQ(waiter.get(), EBADF);
  EXPECT_FALSE(other.ready());
  EXPECT_EQ(send(pair[1], "x", 1, 0), 1);
  EXPECT_EQ(other.get(), 0);
  close(twin);
}

TEST_F(MonkeyLifetime, CloseTellsReadersWritersPollersAndSets) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  auto reader = fern::spawn([&] {
    char byte;
    return read(pipes[0], &byte, 1) < 0 ? errno : 0;
  });
  auto poller = fern::spawn([&] {
    pollfd one{pipes[0], POLLIN, 0};
    EXPECT_EQ(poll(&one, 1, -1), 1);
    return one.revents;
  });
  auto selecter = fern::spawn([&] {
    fd_set read;
    FD_ZERO(&read);
    FD_SET(pipes[0], &read);
    return select(pipes[0] + 1, &read, nullptr, nullptr, nullptr) < 0 ? errno : 0;
  });
  std::string much(1 << 20, 'w');
  Pair pair;
  int wrote = 0;
  auto writer =
      fern::spawn([&] { wrote = static_cast<int>(write(pair[0], much.data(), much.size())); });
  int set = epoll_create1(0);
  auto set_waiter = fern::spawn([&] {
    epoll_event event;
    return epoll_wait(set, &event, 1, -1) < 0 ? errno : 0;
  });
  fern::yield();
  close(pipes[0]);
  pair.close(0);
  close(set);
  EXPECT_EQ(reader.get(), EBADF);
  EXPECT_EQ(poller.get(), POLLNVAL);
  EXPECT_EQ(selecter.get(), EBADF);
  EXPECT_EQ(set_waiter.get(), EBADF);
  writer.join();
  EXPECT_GT(wrote, 0);
  EXPECT_LT(wrote, 1 << 20);
  close(pipes[1]);
}

TEST_F(MonkeyLifetime, WhoWaitsForANumberDoesNotGetWhatItMeansNext) {
  Pair old;
  Pair young;
  int number = old[0];
  auto waiter = receiver(number);
  fern::yield();
  EXPECT_EQ(send(young[1], "x", 1, 0), 1);
  EXPECT_EQ(dup2(young[0], number), number);
  EXPECT_EQ(waiter.get(), EBADF);
  EXPECT_EQ(receiver(number).get(), 0);
}

TEST_F(MonkeyLifetime, Dup3ReplacesAndRefusesAsNatively) {
  Pair old;
  Pair young;
  auto waiter = receiver(old[0]);
  fern::yield();
  EXPECT_EQ(dup3(young[0], old[0], 0x12345678), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(dup3(old[0], old[0], 0), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(dup2(-1, old[0]), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(dup2(old[0], old[0]), old[0]);
  fern::yield();
  EXPECT_FALSE(waiter.ready());
  EXPECT_EQ(dup3(young[0], old[0], O_CLOEXEC), old[0]);
  EXPECT_EQ(waiter.get(), EBADF);
}

TEST_F(MonkeyLifetime, CloseRangeTellsWhoWaitsWithinIt) {
  Pair pair;
  int first = fcntl(pair[0], F_DUPFD, 500);
  int beyond = fcntl(pair[0], F_DUPFD, 520);
  auto waiter = receiver(first);
  auto other = receiver(beyond);
  fern::yield();
  EXPECT_EQ(close_range(500, 519, CLOSE_RANGE_CLOEXEC), 0);
  fern::yield();
  EXPECT_FALSE(waiter.ready());
  EXPECT_EQ(close_range(500, 519, 0), 0);
  EXPECT_EQ(waiter.get(), EBADF);
  EXPECT_FALSE(other.ready());
  closefrom(520);
  EXPECT_EQ(other.get(), EBADF);
}

TEST_F(MonkeyLifetime, FcloseTellsWhoWaitsForItsDescriptor) {
  Pair pair;
  FILE* stream = fdopen(pair[0], "r");
  auto waiter = receiver(pair[0]);
  fern::yield();
  EXPECT_EQ(fclose(stream), 0);
  pair.ends[0] = -1;
  EXPECT_EQ(waiter.get(), EBADF);
}

TEST_F(MonkeyLifetime, CloseTellsWhoWaitsInAnotherThreadsHub) {
  may_keep_heap("the hub of a thread that has ended serves another one");
  Pair pair;
  std::atomic<bool> waits{false};
  std::thread thread([&] {
    auto waiter = receiver(pair[0]);
    fern::yield();
    waits = true;
    EXPECT_EQ(waiter.get(), EBADF);
  });
  while (!waits) fern::sleep(1ms);
  pair.close(0);
  thread.join();
}

// Whenever the close comes: before the try, between it and the wait, or while it is waited. That is
// the race that TSan looks for.
TEST_F(MonkeyLifetime, NoCloseIsMissedByWhoIsAboutToWaitInAnotherHub) {
  if (!children_may_switch) GTEST_SKIP() << "TSan orders no descriptors";
  may_keep_heap("the hub of a thread that has ended serves another one");
  constexpr int rounds = 500;
  std::atomic<int> number{-1};
  std::atomic<int> ended{0};
  std::atomic<bool> begun{false};
  std::thread thread([&] {
    {
      // The hub's own descriptors are not to get a number that has just been closed.
      Pair first;
      auto waiter = receiver(first[0]);
      fern::yield();
      first.close(0);
      waiter.join();
    }
    begun = true;
    for (int i = 0; i < rounds; ++i) {
      int fd;
      while ((fd = number.exchange(-1)) < 0) std::this_thread::yield();
      EXPECT_EQ(receiver(fd).get(), EBADF);
      ++ended;
    }
  });
  while (!begun) fern::yield();
  for (int i = 0; i < rounds; ++i) {
    Pair pair;
    number = pair[0];
    std::atomic<int> spin{i * 40};
    while (spin.load() > 0) --spin;
    pair.close(0);
    while (ended <= i) fern::yield();
  }
  thread.join();
}

TEST_F(MonkeyLifetime, AThreadWithoutAHubTellsWhoWaits) {
  Pair old;
  Pair young;
  int number = old[0];
  auto waiter = receiver(number);
  fern::yield();
  std::thread thread([&] { EXPECT_EQ(dup2(young[0], number), number); });
  EXPECT_EQ(waiter.get(), EBADF);
  thread.join();
  auto next = receiver(number);
  fern::yield();
  std::thread closer([&] { old.close(0); });
  EXPECT_EQ(next.get(), EBADF);
  closer.join();
}

TEST_F(MonkeyLifetime, ClosingWhatIsNotOpenSaysSo) {
  EXPECT_EQ(close(-1), -1);
  EXPECT_EQ(errno, EBADF);
  Pair pair;
  int gone = pair[0];
  auto waiter = receiver(gone);
  fern::yield();
  pair.close(0);
  waiter.join();
  EXPECT_EQ(close(gone), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(MonkeyLifetime, ShutdownEndsAReceiver) {
  Pair pair;
  auto waiter = receiver(pair[0]);
  fern::yield();
  EXPECT_EQ(shutdown(pair[0], SHUT_RD), 0);
  EXPECT_EQ(waiter.get(), 0);
}

TEST_F(MonkeyLifetime, TheFlagsAreTheOwners) {
  Pair pair;
  int flags = fcntl(pair[0], F_GETFL);
  EXPECT_EQ(flags & O_NONBLOCK, 0);
  auto waiter = receiver(pair[0]);
  fern::yield();
  EXPECT_EQ(fcntl(pair[0], F_GETFL), flags);
  int on = 1;
  EXPECT_EQ(ioctl(pair[0], FIONBIO, &on), 0);
  EXPECT_EQ(fcntl(pair[0], F_GETFL), flags | O_NONBLOCK);
  char byte;
  EXPECT_EQ(recv(pair[0], &byte, 1, 0), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(fcntl(pair[0], F_SETFL, flags), 0);
  EXPECT_EQ(send(pair[1], "x", 1, 0), 1);
  EXPECT_EQ(waiter.get(), 0);
  int copy = fcntl(pair[0], F_DUPFD_CLOEXEC, 100);
  EXPECT_GE(copy, 100);
  EXPECT_EQ(fcntl(copy, F_GETFD), FD_CLOEXEC);
  close(copy);
}

// What a child runs next must not find ours.
TEST_F(MonkeyLifetime, EveryDescriptorOfFernsOwnIsCloseOnExec) {
  Pair pair;
  auto waiter = receiver(pair[0]);
  sigset_t none;
  sigemptyset(&none);
  auto poller = fern::spawn([&] {
    pollfd one{pair[0], POLLPRI, 0};
    timespec time{0, 1'000'000};
    return ppoll(&one, 1, &time, &none);
  });
  fern::yield();
  for (int fd = 3; fd < 1000; ++fd) {
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fd == pair[0] || fd == pair[1] || at_start.contains(fd)) continue;
    EXPECT_NE(flags & FD_CLOEXEC, 0) << fd;
  }
  EXPECT_EQ(poller.get(), 0);
  pair.close(0);
  EXPECT_EQ(waiter.get(), EBADF);
}

}  // namespace
