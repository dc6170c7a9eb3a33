#include "io/fd_table.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "children.hpp"
#include "descriptors.hpp"
#include "fern/errors.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/wait.hpp"
#include "io/syscalls.hpp"

namespace io = fern::io;
using namespace std::chrono_literals;

namespace {

using FdTableTest = fern::testing::DescriptorTest;

TEST_F(FdTableTest, ARecvWaitsUntilDataComes) {
  Pair pair;
  auto reader = fern::spawn([&] { return recv(pair.a); });
  fern::sleep(1ms);
  EXPECT_FALSE(reader.ready());
  send(pair.b, "hello");
  EXPECT_EQ(reader.get(), "hello");
}

TEST_F(FdTableTest, ARecvWithDataThereDoesNotSwitch) {
  Pair pair;
  send(pair.b, "hello");
  bool ran = false;
  auto other = fern::spawn([&] { ran = true; });
  EXPECT_EQ(recv(pair.a), "hello");
  EXPECT_FALSE(ran);
  other.join();
}

TEST_F(FdTableTest, ARecvThatWasFullGetsTheRestWhetherOrNotItIsThere) {
  Pair pair;
  bool taken = false;
  auto reader = fern::spawn([&] {
    for (std::size_t got = 0; got < 50 * 10 + 5000;) {
      std::string part = recv(pair.a, 10);
      got += part.size();
      taken = true;
      if (part.size() != 10) return false;
    }
    return true;
  });
  // One message at a time for so long that each full one is taken for the last, and then many.
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(io::send(pair.b, "0123456789", 10, 0, {}), 10);
    while (!taken) fern::sleep(10us);
    taken = false;
  }
  std::string many(5000, 'x');
  EXPECT_EQ(io::send(pair.b, many.data(), many.size(), 0, {}), 5000);
  EXPECT_TRUE(reader.get());
}

TEST_F(FdTableTest, ASendWaitsUntilThereIsRoom) {
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

TEST_F(FdTableTest, SeveralReadersAreServedFirstComeFirstServed) {
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

TEST_F(FdTableTest, AReaderWhoCameTooLateKeepsItsPlace) {
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

TEST_F(FdTableTest, ReadersAndWritersOfOneDescriptorWaitTogether) {
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

TEST_F(FdTableTest, TwoHubsMayWaitForOneDescriptor) {
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

TEST_F(FdTableTest, UnreadDataDoesNotKeepTheLoopBusy) {
  Pair pair;
  EXPECT_EQ(recv(pair.a, 1, 1ms), error(io::error_deadline));  // armed, and left so
  send(pair.b, "unread");
  auto polls = fern::Hub::current().polls();
  fern::sleep(20ms);
  EXPECT_LT(fern::Hub::current().polls(), polls + 100);
  EXPECT_EQ(recv(pair.a), "unread");
}

TEST_F(FdTableTest, APeerThatHasShutDownItsSideEndsARecv) {
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

TEST_F(FdTableTest, ADescriptorThatIsNotOpenIsReported) {
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

TEST_F(FdTableTest, APassedDeadlineTriesOnce) {
  Pair pair;
  EXPECT_EQ(recv(pair.a, 1, 0s), error(io::error_deadline));
  send(pair.b, "xy");
  EXPECT_EQ(recv(pair.a, 1, 0s), "x");
  EXPECT_EQ(recv(pair.a, 1, -1s), "y");
}

TEST_F(FdTableTest, ADeadlineEndsTheWait) {
  Pair pair;
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(recv(pair.a, 1, 5ms), error(io::error_deadline));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 5ms);
  send(pair.b, "x");
  EXPECT_EQ(recv(pair.a, 1, 5ms), "x");
}

TEST_F(FdTableTest, AShortRecvFromAStreamMarksItDrainedUntilTheNextReadiness) {
  Pair pair;
  auto& table = *io::FdTable::make_here();
  auto reader = fern::spawn([&] { return recv(pair.a); });
  fern::sleep(1ms);
  EXPECT_TRUE(table.find(pair.a)->would_block());  // it waits: there was nothing
  send(pair.b, "hello");
  EXPECT_EQ(reader.get(), "hello");
  EXPECT_TRUE(table.find(pair.a)->would_block());
  send(pair.b, "again");
  EXPECT_EQ(recv(pair.a, 100, 0s), "again");  // a call that may not wait tries all the same
  send(pair.b, "more");
  fern::sleep(1ms);
  EXPECT_FALSE(table.find(pair.a)->would_block());
  EXPECT_EQ(recv(pair.a, 1), "m");
  EXPECT_FALSE(table.find(pair.a)->would_block());  // as much as asked: there may be more
  EXPECT_EQ(recv(pair.a), "ore");
}

TEST_F(FdTableTest, WhatAChildReleasesGoesOnInTheParent) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan's child of a fork may not switch";
  Pair pair;
  auto reader = fern::spawn([&] { return recv(pair.a); });
  fern::sleep(1ms);
  EXPECT_EQ(fern::testing::in_child([&] {
              io::release(pair.a);
              fern::sleep(1ms);
              return 0;
            }),
            0);
  send(pair.b, "hello");
  EXPECT_EQ(reader.get(), "hello");
}

TEST_F(FdTableTest, AKillEndsTheWaitAndStaysPending) {
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

TEST_F(FdTableTest, AHubsOwnStackMayNotWait) {
  Pair pair;
  int seen = 0;
  fern::Hub::current().post([&] {
    char byte;
    if (io::recv(pair.a, &byte, 1, 0, {}) < 0) seen = errno;
  });
  fern::sleep(1ms);
  EXPECT_EQ(seen, io::error_in_hub);
}

TEST_F(FdTableTest, ManyDescriptorsWaitAtOnce) {
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
