// Descriptors that are told by edges: nothing is missed where a short read is no proof that all has
// been read, nor where nobody waits.

#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "children.hpp"
#include "edges.hpp"
#include "fern/greenlet.hpp"
#include "fern/wait.hpp"
#include "io/syscalls.hpp"

namespace io = fern::io;
using namespace std::chrono_literals;

namespace {

using EdgeTest = fern::testing::EdgeTest;

TEST_F(EdgeTest, ATcpConnectionIsToldByEdgesAfterSomeShortReads) {
  Tcp tcp;
  read_shortly(tcp.a, tcp.b, io::FdEntry::enough_shorts - 2);
  EXPECT_FALSE(by_edges(tcp.a));
  read_shortly(tcp.a, tcp.b, 3);
  EXPECT_TRUE(by_edges(tcp.a));
}

TEST_F(EdgeTest, AUnixSocketIsNot) {
  Pair pair;
  read_shortly(pair.a, pair.b, 3 * io::FdEntry::enough_shorts);
  EXPECT_FALSE(by_edges(pair.a));
}

TEST_F(EdgeTest, WhatHasSomethingAboveItsTcpIsNot) {
  int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
  if (probe < 0) GTEST_SKIP() << "no MPTCP here";
  ::close(probe);
  Tcp tcp(IPPROTO_MPTCP);
  read_shortly(tcp.a, tcp.b, 3 * io::FdEntry::enough_shorts);
  EXPECT_FALSE(by_edges(tcp.a));
}

// Reads stop before an urgent byte, and again behind it.
// Once the byte is taken, the mark is there still, but nothing tells it.
// At the mark the kernel says EAGAIN to whom a signal is pending, whatever stands behind it.
TEST_F(EdgeTest, WhatIsToldWhileItsReaderIsKilledIsThereForTheNextOne) {
  Tcp tcp;
  sharpen(tcp);
  auto killed = fern::spawn([&] { EXPECT_EQ(recv(tcp.a), error(io::error_interrupted)); });
  fern::yield();
  killed.kill({.block = false});
  send(tcp.b, "kept");
  poll();
  killed.join();
  EXPECT_EQ(received(tcp.a), "kept");
}

TEST_F(EdgeTest, ReadersWhoTakeAPartLeaveTheRestToTheNext) {
  Tcp tcp;
  sharpen(tcp);
  std::string got;
  std::vector<fern::Greenlet<void>> readers;
  for (int i = 0; i < 3; ++i) readers.push_back(fern::spawn([&] { got += recv(tcp.a, 2); }));
  fern::yield();
  send(tcp.b, "abcdef");
  for (auto& reader : readers) EXPECT_TRUE(reader.join(patience));
  EXPECT_EQ(got, "abcdef");
}

TEST_F(EdgeTest, DataThatNobodyWaitedForIsThereLater) {
  Tcp tcp;
  sharpen(tcp);
  auto& entry = *io::FdTable::make_here()->find(tcp.a);
  send(tcp.b, "first");
  while (entry.drained) poll();
  EXPECT_EQ(received(tcp.a, 2), "fi");
  poll();
  EXPECT_EQ(received(tcp.a), "rst");
  send(tcp.b, "second");
  EXPECT_EQ(received(tcp.a), "second");
}

TEST_F(EdgeTest, DataThatNobodyWaitsForIsToldTwiceAtMost) {
  Tcp tcp;
  sharpen(tcp);
  auto& entry = *io::FdTable::make_here()->find(tcp.a);
  for (int i = 0; entry.armed != 0; ++i) {
    ASSERT_LT(i, 1000);
    send(tcp.b, "x");
    poll();
  }
  std::string got = received(tcp.a);
  EXPECT_EQ(got, std::string(got.size(), 'x'));
  auto reader = fern::spawn([&] { return recv(tcp.a); });
  fern::yield();
  send(tcp.b, "more");
  EXPECT_EQ(reader.get(patience), "more");
}

TEST_F(EdgeTest, WhoHadReadCalmlyBeforeMissesNothing) {
  Tcp tcp;
  auto& entry = *io::FdTable::make_here()->find(tcp.a);
  auto read_fully = [&] {
    auto reader = fern::spawn([&] { return recv(tcp.a, 10); });
    fern::yield();
    send(tcp.b, "0123456789");
    EXPECT_EQ(reader.get(patience), "0123456789");
  };
  for (int i = 0; entry.calm == 0; ++i) {
    ASSERT_LT(i, 100);
    read_fully();
  }
  sharpen(tcp);
  std::size_t got = 0;
  auto reader = fern::spawn([&] {
    while (got < 5000) got += recv(tcp.a, 10).size();
  });
  fern::yield();
  send(tcp.b, std::string(5000, 'x'));
  EXPECT_TRUE(reader.join(patience));
}

TEST_F(EdgeTest, AFullReadProvesNothing) {
  Tcp tcp;
  sharpen(tcp);
  std::size_t got = 0;
  auto reader = fern::spawn([&] {
    while (got < 10 + 5000) got += recv(tcp.a, 10).size();
  });
  fern::yield();
  send(tcp.b, "0123456789");
  while (got < 10) fern::yield();
  ASSERT_TRUE(by_edges(tcp.a));  // the next one was in vain, and many like it have not been
  send(tcp.b, std::string(5000, 'x'));
  EXPECT_TRUE(reader.join(patience));
}

TEST_F(EdgeTest, WhoReadsFullyGoesBackToLevelsAndMissesNothing) {
  Tcp tcp;
  sharpen(tcp);
  std::size_t got = 0;
  auto reader = fern::spawn([&] {
    while (got < 50 * 10 + 5000) {
      std::string part = recv(tcp.a, 10);
      if (part.size() != 10) return false;
      got += part.size();
    }
    return true;
  });
  for (std::size_t i = 1; i <= 50; ++i) {
    send(tcp.b, "0123456789");
    while (!reader.ready() && got < i * 10) fern::sleep(10us);
  }
  EXPECT_FALSE(by_edges(tcp.a));
  send(tcp.b, std::string(5000, 'x'));
  EXPECT_TRUE(reader.get(patience));
}

// What comes beside the data ends a read before all is read: a record of TLS, say.
TEST_F(EdgeTest, AReadWithControlDataProvesNothing) {
  Tcp tcp;
  sharpen(tcp);
  send(tcp.b, "message");
  char data[100];
  char control[100];
  iovec part{data, sizeof data};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  EXPECT_EQ(io::recvmsg(tcp.a, &message, 0, {}), 7);
  EXPECT_FALSE(io::FdTable::make_here()->find(tcp.a)->would_block());
  EXPECT_FALSE(by_edges(tcp.a));
  read_shortly(tcp.a, tcp.b);
  EXPECT_FALSE(by_edges(tcp.a));
}

TEST_F(EdgeTest, AWriterWaitsBesideAReader) {
  Tcp tcp;
  sharpen(tcp);
  const std::string big(4 << 20, 'x');
  auto writer = fern::spawn([&] {
    for (std::size_t sent = 0; sent < big.size();) {
      ssize_t went = io::send(tcp.a, big.data() + sent, big.size() - sent, 0, {});
      if (went <= 0) return false;
      sent += static_cast<std::size_t>(went);
    }
    return true;
  });
  auto reader = fern::spawn([&] {
    std::string all;
    while (all.size() < 500) all += recv(tcp.a);
    return all.size();
  });
  fern::yield();
  for (std::size_t i = 0, got = 0; i < 100 || got < big.size(); ++i) {
    if (i < 100) send(tcp.b, "ahead");
    if (got < big.size()) got += recv(tcp.b, 1 << 16).size();
  }
  EXPECT_EQ(reader.get(patience), 500U);
  EXPECT_TRUE(writer.get(patience));
  // What nobody waits for is not told at each arrival from then on.
  for (int i = 0; io::FdTable::make_here()->find(tcp.a)->armed != fern::core::readable; ++i) {
    ASSERT_LT(i, 1000);
    read_shortly(tcp.a, tcp.b, 1);
  }
}

TEST_F(EdgeTest, CloseWakesWhoWaits) {
  Tcp tcp;
  sharpen(tcp);
  auto reader = fern::spawn([&] { return recv(tcp.a); });
  fern::yield();
  io::close(std::exchange(tcp.a, -1), true);
  EXPECT_EQ(reader.get(patience), error(EBADF));
}

TEST_F(EdgeTest, TwoHubsWaitForOneDescriptor) {
  may_keep_heap("a thread's hub is kept for the next thread");
  Tcp tcp;
  constexpr int each = 2 * io::FdEntry::enough_shorts;
  std::atomic<int> got{0};
  std::atomic<bool> both{true};
  auto read = [&] {
    for (int i = 0; i < each; ++i) {
      if (recv(tcp.a) == "x") ++got;
    }
    both = both && by_edges(tcp.a);
  };
  std::thread other(read);
  auto mine = fern::spawn(read);
  int sent = 0;
  auto sender = fern::spawn([&] {
    for (; sent < 2 * each; ++sent) {
      send(tcp.b, "x");
      while (got <= sent) fern::sleep(50us);
    }
  });
  EXPECT_TRUE(sender.join(patience)) << sent << " sent, " << got << " received";
  EXPECT_TRUE(mine.join(patience));
  other.join();
  EXPECT_TRUE(both);
}

TEST_F(EdgeTest, AForkedChildWaitsLikeItsParent) {
  if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan's child of a fork may not switch";
  Tcp tcp;
  sharpen(tcp);
  int status = fern::testing::in_child([&] {
    std::string got;
    auto reader = fern::spawn([&] {
      for (int i = 0; i < 2; ++i) got += recv(tcp.a);
    });
    fern::yield();
    send(tcp.b, "one");
    while (got.empty()) fern::yield();
    send(tcp.b, "two");
    EXPECT_TRUE(reader.join(patience));
    return got == "onetwo" ? 0 : 1;
  });
  EXPECT_TRUE(fern::testing::succeeded(status)) << status;
  send(tcp.b, "three");
  EXPECT_EQ(received(tcp.a), "three");
}

// Each of many streams comes whole and in order, and ends, however it is written and read, and
// whoever is killed.
TEST_F(EdgeTest, NoByteIsLostInAStorm) {
  may_keep_heap("the loop's tables grow with the descriptors");
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr int streams = 20;
  constexpr std::size_t length = 20'000;
  auto letter = [](std::size_t at) { return static_cast<char>('a' + at % 23); };
  std::vector<fern::Greenlet<void>> all;
  for (unsigned stream = 0; stream < streams; ++stream) {
    all.push_back(fern::spawn([&, stream] {
      std::mt19937 random(seed + stream);
      auto below = [&](unsigned limit) { return random() % limit; };
      Tcp tcp;
      auto writer = fern::spawn([&] {
        std::mt19937 mine(seed + 1000 + stream);
        for (std::size_t sent = 0; sent < length;) {
          std::string part;
          for (std::size_t i = 1 + mine() % 200; i > 0 && sent < length; --i)
            part += letter(sent++);
          send(tcp.b, part);
          if (mine() % 3 != 0) fern::sleep(std::chrono::microseconds(mine() % 200));
        }
        ::shutdown(tcp.b, SHUT_WR);
      });
      std::size_t got = 0;
      bool ended = false;
      bool wrong = false;
      while (!ended && !wrong) {
        // A reader for some time: until its Timeout, or a kill, comes between two of its reads.
        auto reader = fern::spawn([&] {
          const unsigned most = 1 + below(below(2) == 0 ? 300 : 20);
          for (unsigned turn = below(50); turn > 0 && !ended && !wrong; --turn) {
            std::string part(most, '\0');
            fern::Deadline limit;
            if (below(4) == 0) limit = std::chrono::microseconds(below(300));
            ssize_t came = io::recv(tcp.a, part.data(), most, 0, limit);
            if (came < 0) {
              if (errno == io::error_interrupted) fern::sleep(1us);  // throws what is pending
              wrong = errno != io::error_deadline;
              continue;
            }
            ended = came == 0;
            for (ssize_t i = 0; i < came; ++i)
              wrong |= part[static_cast<std::size_t>(i)] != letter(got++);
          }
        });
        if (below(5) == 0) {
          fern::sleep(std::chrono::microseconds(below(500)));
          reader.kill();
        } else {
          reader.join();
        }
      }
      writer.join();
      EXPECT_FALSE(wrong) << "stream " << stream << " at " << got;
      EXPECT_EQ(got, length) << "stream " << stream;
    }));
  }
  fern::joinall(all);
}

}  // namespace
