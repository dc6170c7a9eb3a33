#include "io/fd_table.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "children.hpp"
#include "fern/greenlet.hpp"
#include "fern/timeout.hpp"
#include "fern/wait.hpp"
#include "io/syscalls.hpp"
#include "support.hpp"

namespace io = fern::io;
using namespace std::chrono_literals;

namespace {

class FdTable : public FernTest {
 protected:
  // Two connected unix stream sockets of Fern's own.
  struct Pair {
    Pair() {
      int both[2];
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both), 0);
      a = both[0];
      b = both[1];
      io::adopt(a, true);
      io::adopt(b, true);
    }
    ~Pair() {
      close_a();
      close_b();
    }
    void close_a() {
      if (a >= 0) io::close(std::exchange(a, -1), true);
    }
    void close_b() {
      if (b >= 0) io::close(std::exchange(b, -1), true);
    }
    int a;
    int b;
  };

  // Ends of a pipe that Fern has never seen.
  struct Pipe {
    Pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
    ~Pipe() {
      ::close(ends[0]);
      ::close(ends[1]);
    }
    int ends[2];
  };

  static std::string recv(int fd, std::size_t most = 100, fern::Deadline deadline = {}) {
    std::string data(most, '\0');
    ssize_t got = io::recv(fd, data.data(), most, 0, deadline);
    if (got < 0) return "errno " + std::to_string(errno);
    data.resize(static_cast<std::size_t>(got));
    return data;
  }
  static void send(int fd, std::string_view data) {
    EXPECT_EQ(io::send(fd, data.data(), data.size(), 0, {}), static_cast<ssize_t>(data.size()));
  }
  static void send_byte(const Pipe& pipe) { EXPECT_EQ(::write(pipe.ends[1], "x", 1), 1); }
  static std::string error(int number) { return "errno " + std::to_string(number); }
};

TEST_F(FdTable, ARecvWaitsUntilDataComes) {
  Pair pair;
  auto reader = fern::spawn([&] { return recv(pair.a); });
  fern::sleep(1ms);
  EXPECT_FALSE(reader.ready());
  send(pair.b, "hello");
  EXPECT_EQ(reader.get(), "hello");
}

TEST_F(FdTable, ARecvWithDataThereDoesNotSwitch) {
  Pair pair;
  send(pair.b, "hello");
  bool ran = false;
  auto other = fern::spawn([&] { ran = true; });
  EXPECT_EQ(recv(pair.a), "hello");
  EXPECT_FALSE(ran);
  other.join();
}

TEST_F(FdTable, ASendWaitsUntilThereIsRoom) {
  Pair pair;
  std::string big(8 << 20, 'x');
  auto writer = fern::spawn([&] {
    std::size_t sent = 0;
    while (sent < big.size()) {
      ssize_t went = io::send(pair.a, big.data() + sent, big.size() - sent, 0, {});
      if (went <= 0) return false;
      sent += static_cast<std::size_t>(went);
    }
    return true;
  });
  std::size_t got = 0;
  while (got < big.size()) got += recv(pair.b, 1 << 16).size();
  EXPECT_TRUE(writer.get());
}

TEST_F(FdTable, SeveralReadersAreServedFirstComeFirstServed) {
  Pair pair;
  std::string order;
  std::vector<fern::Greenlet<void>> readers;
  for (char name : {'1', '2', '3'}) {
    readers.push_back(fern::spawn([&, name] { order += name + recv(pair.a, 1); }));
  }
  fern::sleep(1ms);
  for (const char* letter : {"a", "b", "c"}) {
    send(pair.b, letter);
    fern::sleep(1ms);
  }
  fern::joinall(readers);
  EXPECT_EQ(order, "1a2b3c");
}

TEST_F(FdTable, AReaderWhoCameTooLateKeepsItsPlace) {
  Pair pair;
  std::string order;
  auto greedy = fern::spawn([&] {
    for (int i = 0; i < 2; ++i) order += "g" + recv(pair.a, 1);
  });
  auto patient = fern::spawn([&] { order += "p" + recv(pair.a, 1); });
  fern::sleep(1ms);
  send(pair.b, "1");
  fern::sleep(1ms);
  send(pair.b, "2");
  fern::sleep(1ms);
  send(pair.b, "3");
  fern::joinall(greedy, patient);
  EXPECT_EQ(order, "g1p2g3");
}

TEST_F(FdTable, ReadersAndWritersOfOneDescriptorWaitTogether) {
  Pair pair;
  std::string filler(1 << 16, 'x');
  while (io::send(pair.a, filler.data(), filler.size(), MSG_DONTWAIT, {}) > 0) {
  }
  auto writer = fern::spawn([&] { return io::send(pair.a, "!", 1, 0, {}); });
  auto reader = fern::spawn([&] { return recv(pair.a); });
  fern::sleep(1ms);
  send(pair.b, "hello");
  EXPECT_EQ(reader.get(), "hello");
  EXPECT_FALSE(writer.ready());
  while (!writer.ready()) {
    recv(pair.b, 1 << 16);
    fern::yield();
  }
  EXPECT_EQ(writer.get(), 1);
}

TEST_F(FdTable, CloseWakesAllWhoWaitWithEbadf) {
  Pair pair;
  std::string filler(1 << 16, 'x');
  while (io::send(pair.a, filler.data(), filler.size(), MSG_DONTWAIT, {}) > 0) {
  }
  std::vector<fern::Greenlet<int>> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.push_back(fern::spawn([&] { return recv(pair.a) == error(EBADF) ? 1 : 0; }));
    waiters.push_back(
        fern::spawn([&] { return io::send(pair.a, "!", 1, 0, {}) < 0 && errno == EBADF ? 1 : 0; }));
    waiters.push_back(fern::spawn([&] {
      pollfd one{pair.a, POLLPRI, 0};
      return io::poll(&one, 1, {}) == 1 && one.revents == POLLNVAL ? 1 : 0;
    }));
  }
  fern::sleep(1ms);
  int number = pair.a;
  pair.close_a();
  // The number is somebody else's before any of them runs.
  int reused = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(reused, number);
  for (auto& waiter : waiters) EXPECT_EQ(waiter.get(), 1);
  ::close(reused);
}

TEST_F(FdTable, CloseFromAnotherHubWakesAllWhoWait) {
  may_keep_heap("a thread's hub is kept for the next thread");
  Pair pair;
  std::atomic<bool> go{false};
  std::thread other([&] {
    auto waiter = fern::spawn([&] {
      EXPECT_EQ(recv(pair.a), error(EBADF));
      EXPECT_EQ(::fcntl(pair.b, F_GETFD), FD_CLOEXEC);
    });
    auto starter = fern::spawn([&] { go = true; });
    waiter.join();
  });
  while (!go) fern::sleep(100us);
  auto mine = fern::spawn([&] { EXPECT_EQ(recv(pair.a), error(EBADF)); });
  fern::sleep(1ms);
  int number = pair.a;
  pair.close_a();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  mine.join();
  other.join();
}

TEST_F(FdTable, CloseFromAThreadWithoutAHubWakesAllWhoWait) {
  may_keep_heap("a thread's hub is kept for the next thread");
  Pair pair;
  auto waiter = fern::spawn([&] { EXPECT_EQ(recv(pair.a), error(EBADF)); });
  fern::sleep(1ms);
  int number = std::exchange(pair.a, -1);
  std::thread other([&] { EXPECT_EQ(io::close(number, true), 0); });
  waiter.join();
  other.join();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST_F(FdTable, CloseAfterAnotherHubHasEndedJustCloses) {
  may_keep_heap("a thread's hub is kept for the next thread");
  Pair pair;
  std::thread([&] { EXPECT_EQ(recv(pair.a, 1, 1ms), error(io::error_deadline)); }).join();
  int number = pair.a;
  pair.close_a();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST_F(FdTable, TwoHubsMayWaitForOneDescriptor) {
  may_keep_heap("a thread's hub is kept for the next thread");
  Pair pair;
  std::atomic<int> got{0};
  std::thread other([&] {
    if (recv(pair.a, 1) == "x") ++got;
  });
  auto mine = fern::spawn([&] {
    if (recv(pair.a, 1) == "x") ++got;
  });
  fern::sleep(2ms);
  send(pair.b, "xx");
  mine.join();
  other.join();
  EXPECT_EQ(got, 2);
}

TEST_F(FdTable, ADuplicateWaitsForItself) {
  Pair pair;
  int duplicate = ::fcntl(pair.a, F_DUPFD_CLOEXEC, 0);
  io::adopt(duplicate, true);
  auto first = fern::spawn([&] { return recv(pair.a); });
  auto second = fern::spawn([&] { return recv(duplicate); });
  fern::sleep(1ms);
  pair.close_a();
  EXPECT_EQ(first.get(), error(EBADF));
  EXPECT_FALSE(second.ready());
  send(pair.b, "hello");
  EXPECT_EQ(second.get(), "hello");
  io::close(duplicate, true);
}

TEST_F(FdTable, ADuplicateOfAClosedDescriptorDoesNotKeepTheLoopBusy) {
  Pair pair;
  int duplicate = ::fcntl(pair.a, F_DUPFD_CLOEXEC, 0);
  EXPECT_EQ(recv(pair.a, 1, 1ms), error(io::error_deadline));
  pair.close_a();
  send(pair.b, "unread");
  auto polls = fern::Hub::current().polls();
  fern::sleep(20ms);
  EXPECT_LT(fern::Hub::current().polls(), polls + 100);
  ::close(duplicate);
}

TEST_F(FdTable, UnreadDataDoesNotKeepTheLoopBusy) {
  Pair pair;
  EXPECT_EQ(recv(pair.a, 1, 1ms), error(io::error_deadline));  // armed, and left so
  send(pair.b, "unread");
  auto polls = fern::Hub::current().polls();
  fern::sleep(20ms);
  EXPECT_LT(fern::Hub::current().polls(), polls + 100);
  EXPECT_EQ(recv(pair.a), "unread");
}

TEST_F(FdTable, AnOwnedDescriptorClosedBehindOurBackAndReusedWaitsAnew) {
  Pair old;
  auto stale = fern::spawn([&] { return recv(old.a, 1); });
  fern::sleep(1ms);  // armed
  int number = std::exchange(old.a, -1);
  ::close(number);
  Pair fresh;
  ASSERT_EQ(fresh.a, number);
  auto reader = fern::spawn([&] { return recv(fresh.a); });
  fern::sleep(1ms);
  send(fresh.b, "hello");
  EXPECT_EQ(reader.get(), "hello");
  EXPECT_EQ(stale.get(), error(EBADF));
}

TEST_F(FdTable, ADescriptorOfOthersClosedBehindOurBackAndReusedWaitsAnew) {
  auto* old = new Pipe;
  int number = old->ends[0];
  auto wait = [](int fd) {
    pollfd one{fd, POLLIN, 0};
    return io::poll(&one, 1, 2s) == 1 ? int{one.revents} : -1;
  };
  auto stale = fern::spawn(wait, number);
  fern::sleep(1ms);
  delete old;
  Pipe fresh;
  ASSERT_EQ(fresh.ends[0], number);
  auto waiter = fern::spawn(wait, number);
  fern::sleep(1ms);
  EXPECT_FALSE(waiter.ready());
  EXPECT_EQ(::write(fresh.ends[1], "x", 1), 1);
  EXPECT_EQ(waiter.get(), POLLIN);
  EXPECT_EQ(stale.get(), POLLIN);  // it cannot know that the number means another pipe
}

TEST_F(FdTable, ADescriptorOfOthersClosedWithADuplicateLeftDoesNotKeepTheLoopBusy) {
  Pipe pipe;
  int duplicate = ::fcntl(pipe.ends[0], F_DUPFD_CLOEXEC, 0);
  auto waiter = fern::spawn([&] {
    pollfd one{duplicate, POLLIN, 0};
    return io::poll(&one, 1, 30ms);
  });
  fern::sleep(1ms);
  ::close(duplicate);
  EXPECT_EQ(::write(pipe.ends[1], "x", 1), 1);
  auto polls = fern::Hub::current().polls();
  waiter.join();
  EXPECT_LT(fern::Hub::current().polls(), polls + 100);
}

TEST_F(FdTable, APeerThatHasShutDownItsSideEndsARecv) {
  Pair pair;
  auto reader = fern::spawn([&] { return recv(pair.a); });
  fern::sleep(1ms);
  ::shutdown(pair.b, SHUT_WR);
  EXPECT_EQ(reader.get(), "");
  // The other direction goes on.
  auto other = fern::spawn([&] { return recv(pair.b); });
  fern::sleep(1ms);
  send(pair.a, "still here");
  EXPECT_EQ(other.get(), "still here");
}

TEST_F(FdTable, AFileIsReadAtOnce) {
  int file = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  char text[10];
  EXPECT_EQ(io::read(file, text, sizeof text, {}), 10);
  ::close(file);
  int zero = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(io::read(zero, text, sizeof text, {}), 10);
  pollfd one{zero, POLLIN, 0};
  EXPECT_EQ(io::poll(&one, 1, {}), 1);
  ::close(zero);
}

TEST_F(FdTable, APipeOfOthersIsReadAndWrittenWithItsFlagsUntouched) {
  Pipe pipe;
  std::string big(1 << 20, 'x');
  auto writer = fern::spawn([&] {
    std::size_t sent = 0;
    while (sent < big.size()) {
      ssize_t went = io::write(pipe.ends[1], big.data() + sent, big.size() - sent, {});
      if (went <= 0) break;
      sent += static_cast<std::size_t>(went);
    }
    return sent;
  });
  fern::sleep(1ms);
  EXPECT_FALSE(writer.ready());
  EXPECT_EQ(::fcntl(pipe.ends[1], F_GETFL) & O_NONBLOCK, 0);
  std::size_t got = 0;
  std::vector<char> buffer(1 << 16);
  while (got < big.size()) {
    ssize_t came = io::read(pipe.ends[0], buffer.data(), buffer.size(), {});
    ASSERT_GT(came, 0);
    got += static_cast<std::size_t>(came);
    EXPECT_EQ(::fcntl(pipe.ends[0], F_GETFL) & O_NONBLOCK, 0);
  }
  EXPECT_EQ(writer.get(), big.size());
  auto reader = fern::spawn([&] { return io::read(pipe.ends[0], buffer.data(), 1, {}); });
  fern::sleep(1ms);
  EXPECT_EQ(::fcntl(pipe.ends[0], F_GETFL) & O_NONBLOCK, 0);
  send_byte(pipe);
  EXPECT_EQ(reader.get(), 1);
}

TEST_F(FdTable, ADescriptorThatIsNotOpenIsReported) {
  Pipe pipe;
  int number = ::fcntl(pipe.ends[0], F_DUPFD_CLOEXEC, 0);
  ::close(number);
  EXPECT_EQ(recv(number), error(EBADF));
  EXPECT_EQ(recv(-1), error(EBADF));
  EXPECT_EQ(recv(1 << 30), error(EBADF));
  EXPECT_EQ(io::close(number, true), -1);
  pollfd one{number, POLLIN, 0};
  EXPECT_EQ(io::poll(&one, 1, {}), 1);
  EXPECT_EQ(one.revents, POLLNVAL);
}

TEST_F(FdTable, APassedDeadlineTriesOnce) {
  Pair pair;
  EXPECT_EQ(recv(pair.a, 1, 0s), error(io::error_deadline));
  send(pair.b, "xy");
  EXPECT_EQ(recv(pair.a, 1, 0s), "x");
  EXPECT_EQ(recv(pair.a, 1, -1s), "y");
}

TEST_F(FdTable, ADeadlineEndsTheWait) {
  Pair pair;
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(recv(pair.a, 1, 5ms), error(io::error_deadline));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 5ms);
  send(pair.b, "x");
  EXPECT_EQ(recv(pair.a, 1, 5ms), "x");
}

TEST_F(FdTable, AShortRecvFromAStreamMarksItDrainedUntilTheNextReadiness) {
  Pair pair;
  auto& table = *io::FdTable::make_here();
  auto reader = fern::spawn([&] { return recv(pair.a); });
  fern::sleep(1ms);
  EXPECT_TRUE(table.drained(pair.a));  // it waits: there was nothing
  send(pair.b, "hello");
  EXPECT_EQ(reader.get(), "hello");
  EXPECT_TRUE(table.drained(pair.a));
  send(pair.b, "again");
  EXPECT_EQ(recv(pair.a, 100, 0s), "again");  // a call that may not wait tries all the same
  send(pair.b, "more");
  fern::sleep(1ms);
  EXPECT_FALSE(table.drained(pair.a));
  EXPECT_EQ(recv(pair.a, 1), "m");
  EXPECT_FALSE(table.drained(pair.a));  // as much as asked: there may be more
  EXPECT_EQ(recv(pair.a), "ore");
}

TEST_F(FdTable, AKillEndsTheWaitAndStaysPending) {
  Pair pair;
  bool killed = false;
  auto reader = fern::spawn([&] {
    EXPECT_EQ(recv(pair.a), error(io::error_interrupted));
    try {
      fern::sleep(1s);
    } catch (const fern::GreenletExit&) {
      killed = true;
      throw;
    }
  });
  fern::sleep(1ms);
  reader.kill();
  EXPECT_TRUE(killed);
  send(pair.b, "nobody waits");
  fern::sleep(1ms);
}

TEST_F(FdTable, AHubsOwnStackMayNotWait) {
  Pair pair;
  int seen = 0;
  fern::Hub::current().post([&] {
    char byte;
    if (io::recv(pair.a, &byte, 1, 0, {}) < 0) seen = errno;
  });
  fern::sleep(1ms);
  EXPECT_EQ(seen, io::error_in_hub);
}

TEST_F(FdTable, AForkedChildWaitsForItselfAndLeavesTheParentAlone) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  Pair pair;
  Pipe pipe;
  auto reader = fern::spawn([&] { return recv(pair.a); });
  auto poller = fern::spawn([&] {
    pollfd one{pipe.ends[0], POLLIN, 0};
    return io::poll(&one, 1, {});
  });
  fern::sleep(1ms);
  int status = fern::testing::in_child([&] {
    Pair own;
    Pipe mine;
    auto sender = fern::spawn([&] {
      send(own.b, "child");
      pollfd one{mine.ends[0], POLLIN, 0};
      return io::poll(&one, 1, {});
    });
    if (recv(own.a) != "child") return 1;
    fern::sleep(1ms);
    if (::write(mine.ends[1], "x", 1) != 1 || sender.get() != 1) return 2;
    // What the parent waits for is closed here, and there not.
    pair.close_a();
    return 0;
  });
  EXPECT_TRUE(fern::testing::succeeded(status)) << status;
  EXPECT_FALSE(reader.ready());
  EXPECT_FALSE(poller.ready());
  send(pair.b, "parent");
  EXPECT_EQ(reader.get(), "parent");
  send_byte(pipe);
  EXPECT_EQ(poller.get(), 1);
}

TEST_F(FdTable, AForkedChildMayCloseWhatItsParentHasArmedBeforeItUsesFern) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  Pair closed;
  Pair raw;
  Pair replaced;
  auto wait = [](Pair& pair) { return fern::spawn([&] { return recv(pair.a); }); };
  std::vector<fern::Greenlet<std::string>> readers{wait(closed), wait(raw), wait(replaced)};
  fern::sleep(1ms);
  int status = fern::testing::in_child([&] {
    closed.close_a();
    ::close(raw.a);
    io::close(replaced.a, true);
    int other[2];
    if (::pipe(other) != 0) return 1;
    Pair own;
    auto sender = fern::spawn([&] { send(own.b, "child"); });
    return recv(own.a) == "child" ? 0 : 2;
  });
  EXPECT_TRUE(fern::testing::succeeded(status)) << status;
  for (Pair* pair : {&closed, &raw, &replaced}) send(pair->b, "parent");
  for (auto& reader : readers) EXPECT_EQ(reader.get(), "parent");
}

TEST_F(FdTable, AnInheritedDescriptorReadInAChildDoesNotDisturbTheParentsWait) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  Pipe pipe;
  auto poller = fern::spawn([&] {
    pollfd one{pipe.ends[0], POLLIN, 0};
    return io::poll(&one, 1, {});
  });
  fern::sleep(1ms);
  int status = fern::testing::in_child([&] {
    pollfd one{pipe.ends[0], POLLIN, 0};
    if (io::poll(&one, 1, 5ms) != 0) return 1;
    auto waiter = fern::spawn([&] { return io::poll(&one, 1, {}); });
    fern::sleep(1ms);
    send_byte(pipe);
    return waiter.get() == 1 ? 0 : 2;
  });
  EXPECT_TRUE(fern::testing::succeeded(status)) << status;
  EXPECT_EQ(poller.get(), 1);
}

TEST_F(FdTable, OnePollWaitsForManyAndForOneTwice) {
  std::vector<Pipe> pipes(20);
  std::vector<pollfd> fds;
  for (auto& pipe : pipes) fds.push_back({pipe.ends[0], POLLIN, 0});
  fds.push_back({-1, POLLIN, 0});
  fds.push_back({pipes[3].ends[0], POLLPRI, 0});
  EXPECT_EQ(io::poll(fds.data(), fds.size(), 1ms), 0);
  auto poller = fern::spawn([&] { return io::poll(fds.data(), fds.size(), {}); });
  fern::sleep(1ms);
  send_byte(pipes[3]);
  send_byte(pipes[17]);
  EXPECT_EQ(poller.get(), 2);
  EXPECT_EQ(fds[3].revents, POLLIN);
  EXPECT_EQ(fds[17].revents, POLLIN);
  EXPECT_EQ(fds[4].revents, 0);
}

TEST_F(FdTable, ManyDescriptorsWaitAtOnce) {
  constexpr int pairs = 500;
  std::vector<Pair> all(pairs);
  std::vector<fern::Greenlet<std::string>> readers;
  for (auto& pair : all) readers.push_back(fern::spawn([&] { return recv(pair.a); }));
  fern::sleep(1ms);
  for (int i = pairs - 1; i >= 0; --i) send(all[static_cast<std::size_t>(i)].b, std::to_string(i));
  for (int i = 0; i < pairs; ++i) {
    EXPECT_EQ(readers[static_cast<std::size_t>(i)].get(), std::to_string(i));
  }
}

}  // namespace
