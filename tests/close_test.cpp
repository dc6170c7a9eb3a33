#include "io/fd_table.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "children.hpp"
#include "descriptors.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "io/syscalls.hpp"

namespace io = fern::io;
using namespace std::chrono_literals;

namespace {

using CloseTest = fern::testing::DescriptorTest;

TEST_F(CloseTest, CloseWakesAllWhoWaitWithEbadf) {
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

TEST_F(CloseTest, CloseFromAnotherHubWakesAllWhoWait) {
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

TEST_F(CloseTest, ShutdownEndsTheSendersOfAFullUnixSocketInEveryHub) {
  may_keep_heap("a thread's hub is kept for the next thread");
  Pair pair;
  std::string filler(1 << 16, 'x');
  while (io::send(pair.a, filler.data(), filler.size(), MSG_DONTWAIT, {}) > 0) {
  }
  auto sends_into_nothing = [&] { return io::send(pair.a, "!", 1, 0, {}) < 0 ? errno : 0; };
  std::atomic<bool> go{false};
  std::thread other([&] {
    auto waiter = fern::spawn(sends_into_nothing);
    auto starter = fern::spawn([&] { go = true; });
    EXPECT_EQ(waiter.get(), EPIPE);
  });
  auto mine = fern::spawn(sends_into_nothing);
  while (!go) fern::sleep(100us);
  EXPECT_EQ(io::shutdown(pair.a, SHUT_WR), 0);
  EXPECT_EQ(mine.get(), EPIPE);
  other.join();
}

TEST_F(CloseTest, CloseFromAThreadWithoutAHubWakesAllWhoWait) {
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

TEST_F(CloseTest, CloseAfterAnotherHubHasEndedJustCloses) {
  may_keep_heap("a thread's hub is kept for the next thread");
  Pair pair;
  std::thread([&] { EXPECT_EQ(recv(pair.a, 1, 1ms), error(io::error_deadline)); }).join();
  int number = pair.a;
  pair.close_a();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST_F(CloseTest, ADuplicateWaitsForItself) {
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

TEST_F(CloseTest, ADuplicateOfAClosedDescriptorDoesNotKeepTheLoopBusy) {
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

TEST_F(CloseTest, AnOwnedDescriptorClosedBehindOurBackAndReusedWaitsAnew) {
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

TEST_F(CloseTest, ADescriptorClosedBehindOurBackIsLetGoOfByTheNextCallThatFindsOut) {
  Pair pair;
  EXPECT_EQ(recv(pair.a, 1, 1ms), error(io::error_deadline));  // armed, and left so
  auto waiting = fern::spawn([&] { return recv(pair.a); });
  fern::sleep(1ms);
  ::close(pair.a);
  char byte;
  EXPECT_EQ(io::send(pair.a, "x", 1, 0, {}), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(waiting.get(), error(EBADF));
  EXPECT_EQ(io::recv(pair.a, &byte, 1, 0, {}), -1);  // and does not wait for what cannot come
  EXPECT_EQ(errno, EBADF);
  pair.a = -1;
}

TEST_F(CloseTest, ADescriptorClosedBehindOurBackWithADuplicateLeftIsNotArmedAgain) {
  Pair pair;
  int duplicate = ::fcntl(pair.a, F_DUPFD_CLOEXEC, 0);
  std::string filler(1 << 16, 'x');
  while (io::send(pair.a, filler.data(), filler.size(), MSG_DONTWAIT, {}) > 0) {
  }
  auto writer = fern::spawn([&] { return io::send(pair.a, "!", 1, 0, {}) < 0 ? errno : 0; });
  auto reader = fern::spawn([&] { return recv(pair.a); });
  fern::sleep(1ms);
  reader.kill();
  ::close(pair.a);
  send(pair.b, "nobody wants it");  // and so the watch waits for room only, from now on
  fern::sleep(1ms);
  EXPECT_EQ(writer.get(), EBADF);
  pair.a = -1;
  ::close(duplicate);
}

TEST_F(CloseTest, AForkedChildMayCloseBehindOurBackWhatItHasNotWaitedForYet) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  Pair pair;
  EXPECT_EQ(recv(pair.a, 1, 1ms), error(io::error_deadline));  // armed, and left so
  EXPECT_TRUE(fern::testing::succeeded(fern::testing::in_child([&] {
    fern::spawn([] {}).kill();  // the hub knows of the fork, the new epoll set of nothing yet
    ::close(pair.a);
    fern::sleep(1ms);
    return 0;
  })));
}

TEST_F(CloseTest, AForkedChildWaitsForItselfAndLeavesTheParentAlone) {
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

TEST_F(CloseTest, AForkedChildMayCloseWhatItsParentHasArmedBeforeItUsesFern) {
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

}  // namespace
