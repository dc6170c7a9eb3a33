#include "fern/socket.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
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

using ConnectionTest = fern::testing::SocketFixture;

TEST_F(ConnectionTest, EchoesOverAUnixSocketAndOverIpv6) {
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

TEST_F(ConnectionTest, CloseWakesAllWhoWaitWithEbadf) {
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

TEST_F(ConnectionTest, ShutdownEndsTheWaitsOfItsDirectionOnly) {
  Connection connection;
  fill(connection.client);
  auto reader = fern::spawn([&] { return connection.client.recv(1); });
  auto writer = fern::spawn([&] { return errno_of([&] { connection.client.sendall("x"); }); });
  fern::sleep(1ms);
  connection.client.shutdown(Socket::Direction::Receive);
  EXPECT_EQ(reader.get(), "");
  EXPECT_FALSE(writer.ready());
  connection.client.shutdown(Socket::Direction::Send);
  EXPECT_EQ(writer.get(), EPIPE);
}

TEST_F(ConnectionTest, OfTwoWhoReceiveTheFirstIsServedFirstAndTheOtherNext) {
  auto [a, b] = fern::socketpair();
  std::string order;
  auto receive = [&, &socket = a](char name) { order += name + socket.recv(1); };
  auto first = fern::spawn(receive, '1');
  auto second = fern::spawn(receive, '2');
  fern::sleep(1ms);
  b.sendall("ab");
  fern::joinall(first, second);
  EXPECT_EQ(order, "1a2b");
}

TEST_F(ConnectionTest, ASocketMayBeClosedFromAnotherThread) {
  may_keep_heap("a thread's hub is kept for the next thread");
  auto [a, b] = fern::socketpair();
  auto reader = fern::spawn([&] { return errno_of([&] { a.recv(1); }); });
  fern::sleep(1ms);
  std::thread other([&] { a.close(); });
  EXPECT_EQ(reader.get(), EBADF);
  other.join();
}

TEST_F(ConnectionTest, ASocketMayBeUsedInTwoThreadsAtOnce) {
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

TEST_F(ConnectionTest, ADestroyedSocketIsClosedInAnotherHubToo) {
  may_keep_heap("a thread's hub is kept for the next thread");
  auto pair = fern::socketpair();
  int number = pair.first.fd();
  std::atomic<bool> waits{false};
  std::thread other([&] {
    auto waiter = fern::spawn([&] { return errno_of([&] { pair.first.recv(1); }); });
    fern::yield();
    waits = true;
    EXPECT_EQ(waiter.get(), EBADF);
  });
  while (!waits) fern::sleep(100us);
  Socket(std::move(pair.first));
  EXPECT_EQ(pair.second.recv(1, 20s), "");
  other.join();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST_F(ConnectionTest, ConnectToAPortWithoutAServerIsRefused) {
  Socket server = fern::create_server(Address::loopback());
  Address address = server.local_address();
  server.close();
  EXPECT_EQ(errno_of([&] { fern::create_connection(address); }), ECONNREFUSED);
  EXPECT_EQ(errno_of([&] { fern::create_connection("127.0.0.1", address.port()); }), ECONNREFUSED);
}

TEST_F(ConnectionTest, ConnectThrowsWhenTheDeadlinePasses) {
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

TEST_F(ConnectionTest, ConnectToAUnixServerWhoseQueueIsFullWaitsForRoom) {
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

TEST_F(ConnectionTest, ACreatedConnectionTriesEachAddress) {
  // localhost is ::1 and 127.0.0.1, or one of them; the server listens at one only.
  Socket server = fern::create_server(Address::loopback());
  may_keep_heap("the resolver's threads");
  Socket client = fern::create_connection("localhost", server.local_address().port(), 10s);
  EXPECT_EQ(client.remote_address(), server.local_address());
}

TEST_F(ConnectionTest, AResetByThePeerIsAnError) {
  Connection connection;
  auto reader = fern::spawn([&] { return errno_of([&] { connection.client.recv(1); }); });
  fern::sleep(1ms);
  reset(connection.peer);
  EXPECT_EQ(reader.get(), ECONNRESET);
}

TEST_F(ConnectionTest, TheHubsOwnStackMayNotWaitButMayClose) {
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

TEST_F(ConnectionTest, SignalsDoNotDisturbAWait) {
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

TEST_F(ConnectionTest, AThousandConnectionsTalkAtOnce) {
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
