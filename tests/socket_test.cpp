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
#include "support.hpp"

using fern::Address;
using fern::Socket;
using namespace std::chrono_literals;

namespace {

class SocketTest : public FernTest {
 protected:
  // A TCP connection over loopback.
  struct Connection {
    Connection() {
      Socket server = fern::create_server(Address::loopback());
      auto accepted = fern::spawn([&] { return server.accept(); });
      client = fern::create_connection(server.local_address());
      peer = std::move(accepted).get();
    }
    Socket client;
    Socket peer;
  };

  // The errno of the std::system_error that f throws, 0 if it throws none.
  template <class F>
  static int errno_of(F f) {
    try {
      f();
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code().category(), std::system_category()) << error.what();
      return error.code().value();
    }
    return 0;
  }

  template <class E, class F>
  static std::string text_of(F f) {
    try {
      f();
    } catch (const E& error) {
      return error.what();
    }
    return "nothing was thrown";
  }

  static void reset(Socket& socket) {
    linger hard{1, 0};
    ASSERT_EQ(::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    socket.close();
  }

  // Sends until the peer takes no more.
  static void fill(Socket& socket) {
    std::string data(1 << 16, 'x');
    try {
      for (;;) socket.send(data, 0s);
    } catch (const fern::TimeoutError&) {
    }
  }
};

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

TEST_F(SocketTest, EchoesOverAUnixSocketAndOverIpv6) {
  auto path = Address::unix_path("@fern-socket-test-" + std::to_string(::getpid()));
  for (const Address& address : {path, Address("::1", 0)}) {
    Socket server = fern::create_server(address);
    auto echo = fern::spawn([&] {
      Address peer;
      Socket connection = server.accept(peer);
      EXPECT_EQ(peer.family(), address.family());
      connection.sendall(connection.recv(100));
    });
    Socket client = fern::create_connection(server.local_address());
    EXPECT_EQ(client.remote_address(), server.local_address());
    client.sendall("hello");
    EXPECT_EQ(client.recv(100), "hello");
    echo.join();
  }
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

TEST_F(SocketTest, CloseWakesAllWhoWaitWithEbadf) {
  auto [a, b] = fern::socketpair();
  fill(a);
  auto reader = fern::spawn([&] { return errno_of([&] { a.recv(1); }); });
  auto writer = fern::spawn([&] { return errno_of([&] { a.sendall("x"); }); });
  Socket server = fern::create_server(Address::loopback());
  auto acceptor = fern::spawn([&] { return errno_of([&] { server.accept(); }); });
  fern::sleep(1ms);
  a.close();
  server.close();
  EXPECT_EQ(reader.get(), EBADF);
  EXPECT_EQ(writer.get(), EBADF);
  EXPECT_EQ(acceptor.get(), EBADF);
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

TEST_F(SocketTest, ASocketMayBeClosedFromAnotherThread) {
  may_keep_heap("a thread's hub is kept for the next thread");
  auto [a, b] = fern::socketpair();
  auto reader = fern::spawn([&] { return errno_of([&] { a.recv(1); }); });
  fern::sleep(1ms);
  std::thread other([&] { a.close(); });
  EXPECT_EQ(reader.get(), EBADF);
  other.join();
}

TEST_F(SocketTest, ASocketMayBeUsedInTwoThreadsAtOnce) {
  may_keep_heap("a thread's hub is kept for the next thread");
  auto [a, b] = fern::socketpair();
  std::thread echo([&] {
    for (std::string part; !(part = b.recv(100)).empty();) b.sendall(part);
  });
  for (int i = 0; i < 100; ++i) {
    a.sendall("hello");
    std::array<char, 5> back;
    EXPECT_TRUE(a.recv_exact(back));
  }
  a.shutdown(Socket::Direction::Send);
  echo.join();
}

TEST_F(SocketTest, ADestroyedSocketIsClosedInAnotherHubToo) {
  may_keep_heap("a thread's hub is kept for the next thread");
  auto pair = fern::socketpair();
  int waiting = pair.first.fd();
  std::thread other([&] {
    EXPECT_THROW(pair.first.recv(1, 1ms), fern::TimeoutError);
    int seen = errno_of([&] { pair.first.recv(1); });
    EXPECT_EQ(seen, EBADF);
  });
  fern::sleep(5ms);
  Socket(std::move(pair.first));
  EXPECT_EQ(pair.second.recv(1, 5s), "");
  other.join();
  EXPECT_EQ(::fcntl(waiting, F_GETFD), -1);
}

TEST_F(SocketTest, ConnectToAPortWithoutAServerIsRefused) {
  Socket server = fern::create_server(Address::loopback());
  Address address = server.local_address();
  server.close();
  EXPECT_EQ(errno_of([&] { fern::create_connection(address); }), ECONNREFUSED);
  EXPECT_EQ(errno_of([&] { fern::create_connection("127.0.0.1", address.port()); }), ECONNREFUSED);
}

TEST_F(SocketTest, ConnectThrowsWhenTheDeadlinePasses) {
  Socket server = fern::create_server(Address::loopback(), 0);
  std::vector<Socket> queued;
  try {
    for (int i = 0; i < 10; ++i) {
      queued.push_back(fern::create_connection(server.local_address(), 5ms));
    }
    ADD_FAILURE() << "the queue took ten";
  } catch (const fern::TimeoutError& error) {
    EXPECT_NE(std::string(error.what()).find(server.local_address().to_string()),
              std::string::npos);
  }
}

TEST_F(SocketTest, ConnectToAUnixServerWhoseQueueIsFullWaitsForRoom) {
  auto path = Address::unix_path("@fern-socket-test-full-" + std::to_string(::getpid()));
  Socket server = fern::create_server(path, 0);
  Socket first = fern::create_connection(path);
  EXPECT_THROW(fern::create_connection(path, 3ms), fern::TimeoutError);
  auto second = fern::spawn([&] { return fern::create_connection(path); });
  fern::sleep(1ms);
  EXPECT_FALSE(second.ready());
  server.accept();
  EXPECT_TRUE(second.get().valid());
}

TEST_F(SocketTest, ACreatedConnectionTriesEachAddress) {
  // localhost is ::1 and 127.0.0.1, or one of them; the server listens at one only.
  Socket server = fern::create_server(Address::loopback());
  may_keep_heap("the resolver's threads");
  Socket client = fern::create_connection("localhost", server.local_address().port(), 10s);
  EXPECT_EQ(client.remote_address(), server.local_address());
}

TEST_F(SocketTest, AResetByThePeerIsAnError) {
  Connection connection;
  auto reader = fern::spawn([&] { return errno_of([&] { connection.client.recv(1); }); });
  fern::sleep(1ms);
  reset(connection.peer);
  EXPECT_EQ(reader.get(), ECONNRESET);
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

TEST_F(SocketTest, TheHubsOwnStackMayNotWaitButMayClose) {
  auto [a, b] = fern::socketpair();
  std::string text;
  fern::Hub::current().post([&] {
    text = text_of<fern::BlockingInHub>([&] { a.recv(1); });
    a.close();
  });
  fern::sleep(1ms);
  EXPECT_NE(text.find("fern::Socket::recv()"), std::string::npos) << text;
  EXPECT_EQ(b.recv(1), "");
}

TEST_F(SocketTest, SignalsDoNotDisturbAWait) {
  auto [a, b] = fern::socketpair();
  static int caught;
  caught = 0;
  struct sigaction action{};
  action.sa_handler = [](int) { ++caught; };
  struct sigaction before;
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  auto reader = fern::spawn([&] { return a.recv(100); });
  auto talker = fern::spawn([&] {
    for (int i = 0; i < 100; ++i) {
      ::raise(SIGUSR1);
      fern::sleep(10us);
    }
    b.sendall("done");
  });
  std::thread from_outside([main = ::pthread_self()] {
    for (int i = 0; i < 100; ++i) {
      ::pthread_kill(main, SIGUSR1);
      std::this_thread::sleep_for(50us);
    }
  });
  EXPECT_EQ(reader.get(), "done");
  talker.join();
  from_outside.join();
  EXPECT_GE(caught, 100);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(SocketTest, AThousandConnectionsTalkAtOnce) {
  constexpr int count = 1000;
  Socket server = fern::create_server(Address::loopback(), count);
  auto acceptor = fern::spawn([&] {
    std::vector<fern::Greenlet<void>> echoes;
    for (int i = 0; i < count; ++i) {
      echoes.push_back(fern::spawn([connection = server.accept()]() mutable {
        for (std::string part; !(part = connection.recv(100)).empty();) connection.sendall(part);
      }));
    }
    fern::joinall(echoes);
  });
  std::vector<fern::Greenlet<bool>> clients;
  for (int i = 0; i < count; ++i) {
    clients.push_back(fern::spawn([&, i] {
      Socket client = fern::create_connection(server.local_address());
      std::string message = std::to_string(i);
      for (int round = 0; round < 3; ++round) {
        client.sendall(message);
        std::string back(message.size(), '\0');
        if (!client.recv_exact(back) || back != message) return false;
      }
      return true;
    }));
  }
  for (auto& client : clients) EXPECT_TRUE(client.get());
  acceptor.get();
}

}  // namespace
