#include <fern/server.hpp>

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "fern/errors.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "sockets.hpp"

using fern::Address;
using fern::DatagramServer;
using fern::ServerOptions;
using fern::Socket;
using namespace std::chrono_literals;

namespace {

class DatagramServerTest : public fern::testing::SocketFixture {
 protected:
  static Socket client() {
    Socket socket = Socket::udp();
    socket.bind(Address::loopback());
    return socket;
  }
  static std::string ask(Socket& from, const DatagramServer& server, std::string_view question) {
    from.sendto(question, server.address());
    return from.recvfrom(100000, 20s).first;
  }
};

TEST_F(DatagramServerTest, RunsAHandlerForEachDatagramWhichAnswersItsSender) {
  DatagramServer server(Address::loopback(), [&](std::string data, const Address& peer) {
    server.sendto("<" + data + ">", peer);
  });
  server.start();
  server.start();
  EXPECT_TRUE(server.running());
  Socket ann = client();
  Socket bob = client();
  EXPECT_EQ(ask(ann, server, "ann"), "<ann>");
  EXPECT_EQ(ask(bob, server, "bob"), "<bob>");
  EXPECT_EQ(ask(ann, server, ""), "<>");
  EXPECT_EQ(ask(ann, server, std::string(60000, 'x')).size(), 60002U);  // whole
  EXPECT_TRUE(server.stop());
  EXPECT_FALSE(server.running());
}

TEST_F(DatagramServerTest, AHandlerMayTakeTheSocketAndTheTextAsAView) {
  DatagramServer three(Address::loopback(), [](std::string data, Address peer, Socket& socket) {
    socket.sendto(data + "3", peer);
  });
  DatagramServer two(Address::loopback(), [&](std::string_view data, const Address& peer) {
    two.sendto(std::string(data) + "2", peer);
  });
  three.start();
  two.start();
  Socket socket = client();
  EXPECT_EQ(ask(socket, three, "x") + ask(socket, two, "y"), "x3y2");
  three.stop();
  two.stop();
}

TEST_F(DatagramServerTest, AHandlersExceptionIsPrintedAndTheServerGoesOn) {
  DatagramServer server(Address::loopback(), [&](const std::string& data, const Address& peer) {
    if (data == "large") server.sendto(std::string(100000, 'x'), peer);
    if (data == "bad") throw std::runtime_error("no such question");
    server.sendto("fine", peer);
  });
  server.start();
  Socket socket = client();
  ::testing::internal::CaptureStderr();
  for (const char* trouble : {"large", "bad"}) socket.sendto(trouble, server.address());
  EXPECT_EQ(ask(socket, server, "x"), "fine");
  std::string printed = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(printed.find("Message too long"), std::string::npos) << printed;
  EXPECT_NE(printed.find("no such question"), std::string::npos) << printed;
  server.stop();
}

TEST_F(DatagramServerTest, AClientThatIsGoneDoesNotTroubleTheServer) {
  Socket gone = client();
  Address its = gone.local_address();
  Socket socket = client();
  socket.connect(its);  // so that the kernel tells of what became of an answer
  int handled = 0;
  DatagramServer server(std::move(socket), [&](std::string, const Address& peer, Socket& answer) {
    ++handled;
    try {
      answer.sendto("answer", peer);
    } catch (const std::system_error&) {  // of the one before
    }
  });
  server.start();
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) {
    gone.sendto("question", server.address());
    gone.close();
    while (handled == i) fern::sleep(100us);
    fern::sleep(1ms);  // the error has come back, to a server that waits
    gone = Socket::udp();
    gone.bind(its);
  }
  EXPECT_EQ(ask(gone, server, "still there?"), "answer");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  server.stop();
}

TEST_F(DatagramServerTest, RunsNoMoreHandlersThanItsPool) {
  fern::Event go;
  int now = 0;
  int most = 0;
  auto handler = [&](std::string, const Address& peer, Socket& socket) {
    most = std::max(most, ++now);
    go.wait();
    --now;
    socket.sendto("done", peer);
  };
  DatagramServer server(Address::loopback(), handler, ServerOptions{.pool = 3});
  server.start();
  Socket socket = client();
  for (int i = 0; i < 10; ++i) socket.sendto("x", server.address());
  while (now < 3) fern::sleep(100us);
  fern::sleep(2ms);
  EXPECT_EQ(server.handlers(), 3U);
  go.set();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(socket.recvfrom(100, 20s).first, "done");
  EXPECT_EQ(most, 3);
  server.stop();
}

TEST_F(DatagramServerTest, StopWaitsForHandlersWhoMayStillAnswerAndKillsTheRest) {
  std::string log;
  fern::Event quick_may_end;
  auto handler = [&](const std::string& data, const Address& peer, Socket& answer) {
    try {
      if (data == "slow") fern::sleep(1h);
      quick_may_end.wait();
      answer.sendto("answer", peer);
    } catch (const fern::GreenletExit&) {
      log += "killed";
      throw;
    }
  };
  DatagramServer server(Address::loopback(), handler);
  server.start();
  Socket socket = client();
  socket.sendto("quick", server.address());
  socket.sendto("slow", server.address());
  while (server.handlers() < 2) fern::sleep(100us);
  auto ender = fern::spawn([&] {
    fern::sleep(1ms);
    quick_may_end.set();
  });
  EXPECT_FALSE(server.stop(20ms));
  EXPECT_EQ(log, "killed");
  EXPECT_EQ(server.handlers(), 0U);
  EXPECT_EQ(socket.recvfrom(100, 20s).first, "answer");
  EXPECT_EQ(errno_of([&] { server.sendto("late", socket.local_address()); }), EBADF);
  EXPECT_THROW(server.start(), std::logic_error);
  Socket successor = Socket::udp();
  successor.bind(server.address());  // which is free
  ender.join();
}

TEST_F(DatagramServerTest, ServeForeverEndsWhenAHandlerStops) {
  DatagramServer server(Address::loopback(), [&](const std::string& data, const Address& peer) {
    if (data == "quit") server.stop();
    server.sendto("bye", peer);
  });
  auto serving = fern::spawn([&] { server.serve_forever(); });
  while (!server.running()) fern::yield();
  Socket socket = client();
  EXPECT_EQ(ask(socket, server, "quit"), "bye");
  serving.get(20s);
  EXPECT_FALSE(server.running());
}

TEST_F(DatagramServerTest, ADestroyedServersHandlersRunOn) {
  fern::Event go;
  auto server = std::make_unique<DatagramServer>(
      Address::loopback(), [&](std::string, const Address& peer, Socket& socket) {
        go.wait();
        socket.sendto("late", peer);
      });
  server->start();
  Socket socket = client();
  socket.sendto("x", server->address());
  while (server->handlers() == 0) fern::sleep(100us);
  server.reset();
  go.set();
  EXPECT_EQ(socket.recvfrom(100, 20s).first, "late");
  fern::sleep(1ms);
}

TEST_F(DatagramServerTest, OneAddressHasOneServer) {
  auto ignore = [](std::string, const Address&) {};
  DatagramServer server(Address::loopback(), ignore);
  EXPECT_EQ(errno_of([&] { DatagramServer(server.address(), ignore); }), EADDRINUSE);
}

TEST_F(DatagramServerTest, ServesUnixSocketsAndIpv6) {
  auto path = Address::unix_path("@fern-datagram-test-" + std::to_string(::getpid()));
  auto mine = Address::unix_path("@fern-datagram-client-" + std::to_string(::getpid()));
  for (auto& [at, from] :
       {std::pair(path, mine), std::pair(Address("::1", 0), Address("::1", 0))}) {
    DatagramServer server(at, [](std::string data, const Address& peer, Socket& socket) {
      socket.sendto(data, peer);
    });
    server.start();
    Socket socket = Socket::udp(at.family());
    socket.bind(from);
    EXPECT_EQ(ask(socket, server, "hello"), "hello");
    server.stop();
  }
}

TEST_F(DatagramServerTest, DatagramsWithoutEndDoNotKeepOthersFromRunning) {
  constexpr std::size_t many = 64;
  std::size_t served = 0;
  DatagramServer server(Address::loopback(), [&](std::string, const Address&) { ++served; });
  Socket socket = client();
  for (std::size_t i = 0; i < many; ++i) socket.sendto("x", server.address());
  server.start();
  EXPECT_LT(fern::spawn([&] { return served + server.handlers(); }).get(), many);
  while (served < many) fern::sleep(100us);
  server.stop();
}

}  // namespace
