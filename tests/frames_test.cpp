// Socket::send_frame and recv_frame: messages over a stream, however it glues and splits them.

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "fern/errors.hpp"
#include "fern/greenlet.hpp"
#include "fern/socket.hpp"
#include "fern/timeout.hpp"
#include "fern/wait.hpp"
#include "sockets.hpp"

using fern::Socket;
using namespace std::chrono_literals;

namespace {

class FramesTest : public fern::testing::SocketFixture {
 protected:
  static std::string frame(const std::string& message) {
    std::string header(4, '\0');
    for (std::size_t i = 0; i < 4; ++i) {
      header[i] = static_cast<char>(message.size() >> (24 - 8 * i) & 0xff);
    }
    return header + message;
  }
  static std::string received(Socket& socket, fern::Deadline deadline = 20s) {
    return socket.recv_frame(deadline).value_or("the end");
  }
};

TEST_F(FramesTest, AMessageComesAsItWasSent) {
  auto [a, b] = fern::socketpair();
  std::string binary("a\0b\xff", 4);
  for (const std::string& message : {std::string("hello"), std::string(), binary}) {
    a.send_frame(message);
    EXPECT_EQ(b.recv_frame(), message);
  }
  a.send_frame(std::vector<unsigned char>{1, 2, 3});
  EXPECT_EQ(b.recv_frame(), "\1\2\3");
}

TEST_F(FramesTest, AFrameIsTheLengthInFourBytesBigEndianAndTheMessage) {
  auto [a, b] = fern::socketpair();
  a.send_frame("hello");
  EXPECT_EQ(b.recv(100), std::string("\0\0\0\5hello", 9));
  a.send_frame(std::string(0x10203, 'x'));
  std::string header(4, '?');
  EXPECT_TRUE(b.recv_exact(header));
  EXPECT_EQ(header, std::string("\0\1\2\3", 4));
}

TEST_F(FramesTest, MessagesThatComeGluedAreTakenApart) {
  auto [a, b] = fern::socketpair();
  a.sendall(frame("one") + frame("") + frame("three"));
  a.close();
  EXPECT_EQ(received(b), "one");
  EXPECT_EQ(received(b), "");
  EXPECT_EQ(received(b), "three");
  EXPECT_EQ(received(b), "the end");
  EXPECT_EQ(received(b), "the end");
}

TEST_F(FramesTest, AMessageThatComesByteByByteIsPutTogether) {
  auto [a, b] = fern::socketpair();
  auto reader = fern::spawn([&] {
    std::string first = received(b);
    return first + received(b);
  });
  for (char byte : frame("hello") + frame(" world")) {
    a.sendall(std::string(1, byte));
    fern::yield();
    fern::sleep(100us);
  }
  EXPECT_EQ(reader.get(), "hello world");
}

TEST_F(FramesTest, ALargeMessageGoesWhole) {
  Connection connection;
  std::string big(9 << 20, 'x');
  big.back() = 'y';
  auto sender = fern::spawn([&] { connection.client.send_frame(big); });
  EXPECT_EQ(received(connection.peer), big);
  sender.get();
}

TEST_F(FramesTest, AFrameLongerThanTheLimitIsAnErrorAndIsNotLost) {
  auto [a, b] = fern::socketpair();
  a.sendall(frame("1234567890") + frame("next"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(errno_of([&, &socket = b] { socket.recv_frame(9); }), EMSGSIZE);
  }
  std::string text = text_of<std::system_error>([&, &socket = b] { socket.recv_frame(9); });
  EXPECT_NE(text.find("a frame of 10 bytes, where 9 are allowed"), std::string::npos) << text;
  EXPECT_EQ(b.recv_frame(10), "1234567890");
  EXPECT_EQ(b.recv_frame(4), "next");
  a.sendall("\xff\xff\xff\xff");
  EXPECT_EQ(errno_of([&, &socket = b] { socket.recv_frame(); }), EMSGSIZE);
}

TEST_F(FramesTest, MemoryIsTakenAsTheBytesArrive) {
  auto [a, b] = fern::socketpair();
  a.sendall(
      "\x7f\xff\xff\xff"
      "little");  // 2 GiB, it says
  EXPECT_THROW(b.recv_frame(std::size_t{1} << 31, 2ms), fern::TimeoutError);
}

TEST_F(FramesTest, AnEndInsideOfAFrameIsAnErrorThatSaysHowMuchCame) {
  for (std::size_t size : {2U, 4U, 8U}) {
    auto [a, b] = fern::socketpair();
    a.sendall(frame("hello").substr(0, size));
    a.close();
    std::string text = text_of<std::system_error>([&, &socket = b] { socket.recv_frame(); });
    EXPECT_NE(text.find("after " + std::to_string(size) + " bytes of a frame"), std::string::npos)
        << text;
    EXPECT_EQ(errno_of([&, &socket = b] { socket.recv_frame(); }), ECONNRESET);
  }
}

TEST_F(FramesTest, WhatHadComeBeforeADeadlineOrAKillIsKept) {
  auto [a, b] = fern::socketpair();
  Socket& to = b;
  std::string hello = frame("hello");
  a.sendall(hello.substr(0, 2));
  EXPECT_THROW(to.recv_frame(1ms), fern::TimeoutError);
  a.sendall(hello.substr(2, 4));
  auto reader = fern::spawn([&] { to.recv_frame(); });
  fern::sleep(1ms);
  reader.kill();
  EXPECT_TRUE(reader.killed());
  EXPECT_THROW(to.recv_frame(0s), fern::TimeoutError);
  to.set_timeout(1ms);
  EXPECT_THROW(to.recv_frame(), fern::TimeoutError);
  to.set_timeout(std::nullopt);
  {
    fern::Timeout scope(1ms);
    EXPECT_THROW(to.recv_frame(), fern::TimeoutError);
  }
  a.sendall(hello.substr(6));
  EXPECT_EQ(received(to), "hello");
}

TEST_F(FramesTest, TheDeadlineIsOneForTheWholeFrame) {
  auto [a, b] = fern::socketpair();
  bool late = false;
  auto reader = fern::spawn([&, &socket = b] {
    try {
      socket.recv_frame(5ms);
    } catch (const fern::TimeoutError&) {
      late = true;
    }
  });
  a.sendall(frame(std::string(1000, 'x')).substr(0, 4));
  for (int i = 0; i < 1000 && !late; ++i) {
    a.sendall("x");
    fern::sleep(1ms);
  }
  EXPECT_TRUE(late);
  reader.get();
}

TEST_F(FramesTest, FramesThatManyGreenletsSendStayWhole) {
  Connection connection;
  constexpr int senders = 5;
  constexpr int each = 4;
  std::vector<fern::Greenlet<void>> all;
  for (int i = 0; i < senders; ++i) {
    all.push_back(fern::spawn([&, i] {
      for (int j = 0; j < each; ++j) {
        connection.client.send_frame(std::string(300'000, static_cast<char>('a' + i)));
      }
    }));
  }
  for (int i = 0; i < senders * each; ++i) {
    std::string message = received(connection.peer);
    EXPECT_EQ(message.size(), 300'000U);
    EXPECT_EQ(message.find_first_not_of(message[0]), std::string::npos);
  }
  fern::joinall(all);
}

TEST_F(FramesTest, FramesThatManyGreenletsReceiveStayWhole) {
  Connection connection;
  std::vector<fern::Greenlet<std::string>> readers;
  for (int i = 0; i < 5; ++i) {
    readers.push_back(fern::spawn([&] { return received(connection.peer); }));
  }
  for (char name : {'1', '2', '3', '4', '5'}) {
    std::string data = frame(std::string(200'000, name));
    for (std::size_t at = 0; at < data.size(); at += 50'000) {
      connection.client.sendall(data.substr(at, 50'000));
      fern::yield();
    }
  }
  std::string order;
  for (auto& reader : readers) {
    std::string message = reader.get();
    EXPECT_EQ(message, std::string(200'000, message[0]));
    order += message[0];
  }
  EXPECT_EQ(order, "12345");  // first come, first served
}

TEST_F(FramesTest, AfterAFrameThatWasCutOffNoOtherFollows) {
  auto [a, b] = fern::socketpair();
  Socket& from = a;
  std::string big(8 << 20, 'x');
  std::string text = text_of<fern::TimeoutError>([&] { from.send_frame(big, 2ms); });
  EXPECT_NE(text.find(" of 8388612 bytes"), std::string::npos) << text;
  EXPECT_EQ(errno_of([&] { from.send_frame("x"); }), EPIPE);
  from = Socket();
  EXPECT_EQ(errno_of([&, &to = b] { to.recv_frame(); }), ECONNRESET);
}

TEST_F(FramesTest, AFrameThatHadNotBegunMayBeSentLater) {
  auto [a, b] = fern::socketpair();
  fill(a);
  EXPECT_THROW(a.send_frame("late", 1ms), fern::TimeoutError);
  auto sender = fern::spawn([&, &from = a] { from.send_frame("in time"); });
  fern::yield();
  EXPECT_THROW(a.send_frame("behind", 1ms), fern::TimeoutError);  // the other has its turn
  std::string all;
  while (!sender.ready()) {
    all += b.recv(1 << 20);
    fern::yield();
  }
  a.close();
  for (std::string part; !(part = b.recv(1 << 20)).empty();) all += part;
  EXPECT_EQ(all.substr(all.find_first_not_of('x')), frame("in time"));
}

TEST_F(FramesTest, CloseWakesAllWhoSendAndReceive) {
  auto [a, b] = fern::socketpair();
  fill(a);
  std::vector<fern::Greenlet<int>> waits;
  for (int i = 0; i < 2; ++i) {
    waits.push_back(fern::spawn([&, &s = a] { return errno_of([&] { s.send_frame("x"); }); }));
    waits.push_back(fern::spawn([&, &s = a] { return errno_of([&] { s.recv_frame(); }); }));
  }
  fern::sleep(1ms);
  a.close();
  EXPECT_EQ(errno_of([&, &s = a] { s.send_frame("x"); }), EBADF);
  auto [c, d] = fern::socketpair();  // the number is in use again, and so is the object
  a = std::move(c);
  d.send_frame("for the new one");
  for (auto& wait : waits) EXPECT_EQ(wait.get(), EBADF);
  EXPECT_EQ(received(a), "for the new one");
}

TEST_F(FramesTest, APartialFrameMovesWithItsSocket) {
  auto [a, b] = fern::socketpair();
  a.sendall(frame("hello").substr(0, 6));
  EXPECT_THROW(b.recv_frame(0s), fern::TimeoutError);
  Socket moved = std::move(b);
  a.sendall(frame("hello").substr(6));
  EXPECT_EQ(received(moved), "hello");
}

TEST_F(FramesTest, TwoThreadsMayTalkInFrames) {
  may_keep_heap("a thread's hub is kept for the next thread");
  auto [a, b] = fern::socketpair();
  std::thread echo([&socket = b] {
    while (auto message = socket.recv_frame()) socket.send_frame(*message);
    socket.close();
  });
  for (int i = 0; i < 100; ++i) {
    a.send_frame(std::to_string(i));
    EXPECT_EQ(received(a), std::to_string(i));
  }
  a.shutdown(Socket::Direction::Send);
  EXPECT_EQ(received(a), "the end");
  echo.join();
}

}  // namespace
