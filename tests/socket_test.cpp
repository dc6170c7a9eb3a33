#include "fern/socket.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "fern/errors.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/timeout.hpp"
#include "fern/wait.hpp"
#include "sockets.hpp"

using fern::Address;
using fern::Socket;
using namespace std::chrono_literals;

namespace {

using SocketTest = fern::testing::SocketFixture;

TEST_F(SocketTest, EchoesOverTcp) {
  Connection connection;
  auto server = fern::spawn([&] {
    for (std::string part; !(part = connection.peer.recv(100)).empty();)
      connection.peer.sendall(part);
    connection.peer.close();
  });
  connection.client.sendall("hello");
  EXPECT_EQ(connection.client.recv(100), "hello");
  connection.client.shutdown(Socket::Direction::Send);
  EXPECT_EQ(connection.client.recv(100), "");
  server.join();
}

TEST_F(SocketTest, TakesAnyContiguousBytes) {
  auto [a, b] = fern::socketpair();
  a.sendall(std::array<std::byte, 2>{std::byte{'h'}, std::byte{'e'}});
  a.sendall(std::vector<char>{'l', 'l'});
  a.sendall(std::string_view("o"));
  const std::string text = "!";
  a.sendall(text);
  a.sendall("");
  std::vector<unsigned char> first(2);
  EXPECT_EQ(b.recv(first), 2U);
  std::array<char, 3> second;
  EXPECT_EQ(b.recv(std::span(second).first(2)), 2U);
  std::string third(10, '?');
  EXPECT_EQ(b.recv(third), 2U);
  EXPECT_EQ(third.substr(0, 2), "o!");
}

TEST_F(SocketTest, SendallWaitsUntilAllHasGone) {
  Connection connection;
  std::string big(16 << 20, 'x');
  big.back() = 'y';
  auto sender = fern::spawn([&] { connection.client.sendall(big); });
  std::string got(big.size(), '\0');
  EXPECT_TRUE(connection.peer.recv_exact(got));
  EXPECT_EQ(got, big);
  sender.get();
}

TEST_F(SocketTest, SendallSaysHowMuchWentWhenTimeIsUp) {
  auto [a, b] = fern::socketpair();
  std::string big(16 << 20, 'x');
  std::string text = text_of<fern::TimeoutError>([&] { a.sendall(big, 2ms); });
  std::size_t sent = 0;
  ASSERT_EQ(std::sscanf(text.c_str(), "fern::Socket::sendall() after %zu of 16777216 bytes", &sent),
            1)
      << text;
  EXPECT_GT(sent, 0U);
  a.close();
  std::size_t got = 0;
  for (std::string part; !(part = b.recv(1 << 20)).empty();) got += part.size();
  EXPECT_EQ(got, sent);
}

TEST_F(SocketTest, SendallSaysHowMuchWentWhenThePeerIsGone) {
  Connection connection;
  fill(connection.client);
  auto sender = fern::spawn(
      [&] { return text_of<std::system_error>([&] { connection.client.sendall("more"); }); });
  fern::sleep(1ms);
  reset(connection.peer);
  EXPECT_NE(sender.get().find("after 0 of 4 bytes"), std::string::npos) << sender.get();
}

TEST_F(SocketTest, RecvExactTellsTheEndBeforeAMessageFromOneInIt) {
  auto [a, b] = fern::socketpair();
  a.sendall("1234567");
  a.close();
  std::array<char, 4> message;
  EXPECT_TRUE(b.recv_exact(message));
  std::string text = text_of<std::system_error>([&] { b.recv_exact(message); });
  EXPECT_NE(text.find("after 3 of 4 bytes"), std::string::npos) << text;
  EXPECT_FALSE(b.recv_exact(message));
}

TEST_F(SocketTest, RecvThrowsWhenTheDeadlinePasses) {
  auto [a, b] = fern::socketpair();
  auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(a.recv(1, 3ms), fern::TimeoutError);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 3ms);
  EXPECT_THROW(a.recv(1, 0s), fern::TimeoutError);
  b.sendall("x");
  EXPECT_EQ(a.recv(1, 0s), "x");
}

TEST_F(SocketTest, TheEarliestOfDeadlineTimeoutAndScopeCounts) {
  auto [a, b] = fern::socketpair();
  a.set_timeout(1ms);
  EXPECT_THROW(a.recv(1), fern::TimeoutError);
  EXPECT_THROW(a.recv(1, 1h), fern::TimeoutError);
  a.set_timeout(1h);
  EXPECT_THROW(a.recv(1, 1ms), fern::TimeoutError);
  fern::Timeout timeout(1ms);
  try {
    a.recv(1, 1h);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const fern::TimeoutError& error) {
    EXPECT_TRUE(timeout.owns(error));
  }
  a.set_timeout(std::nullopt);
  timeout.restart(1ms);
  EXPECT_THROW(a.recv(1), fern::TimeoutError);
  a.set_timeout(0s);
  b.sendall("x");
  EXPECT_EQ(a.recv(1), "x");
}

TEST_F(SocketTest, AKillEndsEveryCallThatWaits) {
  Connection full;
  fill(full.client);
  auto [idle, other] = fern::socketpair();
  Socket server = fern::create_server(Address::loopback());
  Socket datagrams = Socket::udp();
  datagrams.bind(Address::loopback());
  Socket backlog = fern::create_server(Address::loopback(), 0);
  Socket queued = fern::create_connection(backlog.local_address());
  Socket connecting = Socket::tcp();
  std::array<char, 4> buffer;
  std::vector<fern::Greenlet<void>> waits;
  waits.push_back(fern::spawn([&] { idle.recv(1); }));
  waits.push_back(fern::spawn([&] { idle.recv_exact(buffer); }));
  waits.push_back(fern::spawn([&] { full.client.send("x"); }));
  waits.push_back(fern::spawn([&] { full.client.sendall("x"); }));
  waits.push_back(fern::spawn([&] { server.accept(); }));
  waits.push_back(fern::spawn([&] { datagrams.recvfrom(1); }));
  waits.push_back(fern::spawn([&] { connecting.connect(backlog.local_address()); }));
  fern::sleep(1ms);
  for (auto& wait : waits) {
    EXPECT_FALSE(wait.ready());
    wait.kill();
    EXPECT_TRUE(wait.killed());
  }
  other.sendall("x");
  EXPECT_EQ(idle.recv(1), "x");  // nobody else took it
}

TEST_F(SocketTest, CloseIsIdempotentAndCallsAfterItFail) {
  auto [a, b] = fern::socketpair();
  EXPECT_TRUE(a.valid());
  a.close();
  a.close();
  EXPECT_FALSE(a.valid());
  EXPECT_EQ(errno_of([&] { a.recv(1); }), EBADF);
  EXPECT_EQ(errno_of([&] { a.sendall("x"); }), EBADF);
  EXPECT_EQ(errno_of([&] { a.accept(); }), EBADF);
  EXPECT_EQ(errno_of([&] { a.connect(Address::loopback(1)); }), EBADF);
  EXPECT_EQ(errno_of([&] { a.local_address(); }), EBADF);
  EXPECT_EQ(a.release(), -1);
  EXPECT_EQ(b.recv(1), "");
}

TEST_F(SocketTest, SendingToAPeerThatIsGoneIsAnErrorAndNoSignal) {
  auto [a, b] = fern::socketpair();
  b.close();
  EXPECT_EQ(errno_of([&] { a.send("x"); }), EPIPE);
  EXPECT_EQ(errno_of([&] { a.sendall("x"); }), EPIPE);
}

TEST_F(SocketTest, DatagramsCarryTheirSender) {
  Socket a = Socket::udp();
  Socket b = Socket::udp();
  a.bind(Address::loopback());
  b.bind(Address::loopback());
  auto reader = fern::spawn([&] { return b.recvfrom(100); });
  fern::sleep(1ms);
  EXPECT_EQ(a.sendto("hello", b.local_address()), 5U);
  auto [data, from] = reader.get();
  EXPECT_EQ(data, "hello");
  EXPECT_EQ(from, a.local_address());
  // Datagrams keep their bounds, and one that came short is not the last.
  a.sendto("1", b.local_address());
  a.sendto("", b.local_address());
  a.sendto("3", b.local_address());
  EXPECT_EQ(b.recvfrom(100).first, "1");
  EXPECT_EQ(b.recvfrom(100).first, "");
  EXPECT_EQ(b.recvfrom(100).first, "3");
  EXPECT_THROW(b.recvfrom(100, 1ms), fern::TimeoutError);
}

TEST_F(SocketTest, ADatagramThatNobodyTookIsAnErrorOfTheNextCall) {
  Socket a = Socket::udp();
  Socket nobody = Socket::udp();
  nobody.bind(Address::loopback());
  a.connect(nobody.local_address());
  nobody.close();
  auto reader = fern::spawn([&] { return errno_of([&] { a.recv(100); }); });
  fern::sleep(1ms);
  a.send("x");
  EXPECT_EQ(reader.get(), ECONNREFUSED);
  EXPECT_THROW(a.recv(100, 1ms), fern::TimeoutError);
}

TEST_F(SocketTest, WhatFernOpensIsNonBlockingAndClosedOnExec) {
  Connection connection;
  auto [a, b] = fern::socketpair();
  Socket udp = Socket::udp(Address::Family::V6);
  for (int fd : {connection.client.fd(), connection.peer.fd(), a.fd(), b.fd(), udp.fd()}) {
    EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_NE(connection.client.option(IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_NE(connection.peer.option(IPPROTO_TCP, TCP_NODELAY), 0);
}

TEST_F(SocketTest, ReleaseGivesTheDescriptorBackWithItsFlags) {
  int both[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, both), 0);
  for (int flags : {0, O_NONBLOCK}) {
    ASSERT_EQ(::fcntl(both[0], F_SETFL, flags), 0);
    Socket socket(both[0]);
    EXPECT_NE(::fcntl(both[0], F_GETFL) & O_NONBLOCK, 0);
    EXPECT_THROW(socket.recv(1, 1ms), fern::TimeoutError);
    auto reader = fern::spawn([&] { return errno_of([&] { socket.recv(1); }); });
    fern::sleep(1ms);
    EXPECT_EQ(socket.release(), both[0]);
    EXPECT_EQ(::fcntl(both[0], F_GETFL) & O_NONBLOCK, flags);
    EXPECT_EQ(::fcntl(both[0], F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(reader.get(), EBADF);
    EXPECT_FALSE(socket.valid());
  }
  ::close(both[0]);
  ::close(both[1]);
}

TEST_F(SocketTest, OnlyASocketIsTakenOver) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  EXPECT_EQ(errno_of([&] { Socket socket(ends[0]); }), ENOTSOCK);
  EXPECT_EQ(::fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(errno_of([&] { Socket socket(-1); }), EBADF);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(SocketTest, MovesAndClosesWhatItHad) {
  auto [a, b] = fern::socketpair();
  int number = a.fd();
  Socket moved = std::move(a);
  EXPECT_EQ(moved.fd(), number);
  EXPECT_FALSE(a.valid());
  moved = Socket();
  EXPECT_EQ(b.recv(1), "");
}

}  // namespace
