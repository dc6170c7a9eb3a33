#include "fern/server.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "children.hpp"
#include "fern/errors.hpp"
#include "fern/event.hpp"
#include "fern/greenlet.hpp"
#include "fern/timeout.hpp"
#include "fern/wait.hpp"
#include "support.hpp"

using fern::Address;
using fern::ServerOptions;
using fern::Socket;
using fern::StreamServer;
using namespace std::chrono_literals;

namespace {

class ServerTest : public FernTest {
 protected:
  static Socket connect(const StreamServer& server) {
    return fern::create_connection(server.address(), 20s);
  }

  static std::string ask(const StreamServer& server, const std::string& question) {
    Socket socket = connect(server);
    socket.sendall(question);
    socket.shutdown(Socket::Direction::Send);
    std::string answer;
    for (std::string part; !(part = socket.recv(1000, 20s)).empty();) answer += part;
    return answer;
  }

  static void echo(Socket socket) {
    for (std::string part; !(part = socket.recv(1000)).empty();) socket.sendall(part);
  }
};

TEST_F(ServerTest, RunsAHandlerForEachConnection) {
  StreamServer server(Address::loopback(), echo);
  EXPECT_FALSE(server.running());
  server.start();
  server.start();
  EXPECT_TRUE(server.running());
  std::vector<fern::Greenlet<std::string>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(fern::spawn([&, i] { return ask(server, std::to_string(i)); }));
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(clients[static_cast<std::size_t>(i)].get(), std::to_string(i));
  }
  EXPECT_TRUE(server.stop());
  EXPECT_FALSE(server.running());
}

TEST_F(ServerTest, AHandlerHasOneOfFourShapes) {
  Address seen;
  auto with_peer = [&](Socket socket, const Address& peer) {
    seen = peer;
    socket.sendall("1");
  };
  StreamServer one(Address::loopback(), with_peer);
  StreamServer two(Address::loopback(), [](Socket& socket, Address) { socket.sendall("2"); });
  StreamServer three(Address::loopback(), [](Socket&& socket) { socket.sendall("3"); });
  StreamServer four(Address::loopback(), [](Socket& socket) { socket.sendall("4"); });
  for (StreamServer* server : {&one, &two, &three, &four}) server->start();
  EXPECT_EQ(ask(one, "") + ask(two, "") + ask(three, "") + ask(four, ""), "1234");
  EXPECT_EQ(seen.ip(), "127.0.0.1");
  for (StreamServer* server : {&one, &two, &three, &four}) server->stop();
}

TEST_F(ServerTest, AConnectionMayOutliveItsHandler) {
  Socket kept;
  StreamServer server(Address::loopback(), [&](Socket socket) { kept = std::move(socket); });
  server.start();
  Socket client = connect(server);
  while (!kept.valid()) fern::sleep(100us);
  server.stop();
  kept.sendall("hello");
  EXPECT_EQ(client.recv(100), "hello");
}

TEST_F(ServerTest, AHandlersExceptionIsPrintedAndEndsItsConnectionOnly) {
  StreamServer server(Address::loopback(), [](Socket& socket) {
    if (socket.recv(1) == "x") throw std::runtime_error("no such question");
    socket.sendall("fine");
  });
  server.start();
  auto other = fern::spawn([&] {
    Socket client = connect(server);
    fern::sleep(5ms);
    client.sendall("y");
    return client.recv(100);
  });
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(ask(server, "x"), "");
  EXPECT_EQ(other.get(), "fine");
  std::string printed = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(printed.find("no such question"), std::string::npos) << printed;
  server.stop();
}

TEST_F(ServerTest, AcceptsNoMoreConnectionsThanItsPool) {
  fern::Event go;
  int now = 0;
  int most = 0;
  auto handler = [&](Socket& socket) {
    most = std::max(most, ++now);
    go.wait();
    --now;
    socket.sendall("done");
  };
  StreamServer server(Address::loopback(), handler, ServerOptions{.pool = 3});
  server.start();
  std::vector<fern::Greenlet<std::string>> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(fern::spawn([&] { return ask(server, ""); }));
  fern::sleep(5ms);
  EXPECT_EQ(now, 3);
  EXPECT_EQ(server.connections(), 3U);
  go.set();
  for (auto& client : clients) EXPECT_EQ(client.get(), "done");
  EXPECT_EQ(most, 3);
  server.stop();
}

TEST_F(ServerTest, StopWaitsForHandlersAndThenKillsTheRest) {
  std::string log;
  fern::Event quick_may_end;
  StreamServer server(Address::loopback(), [&](Socket& socket) {
    try {
      if (socket.recv(1) == "q") {
        quick_may_end.wait();
        log += "quick ";
      } else {
        fern::sleep(1h);
      }
    } catch (const fern::GreenletExit&) {
      log += "killed ";
      throw;
    }
  });
  server.start();
  Socket quick = connect(server);
  Socket slow = connect(server);
  quick.sendall("q");
  slow.sendall("s");
  while (server.connections() < 2) fern::sleep(100us);
  auto ender = fern::spawn([&] {
    fern::sleep(1ms);
    quick_may_end.set();
  });
  EXPECT_FALSE(server.stop(20ms));
  EXPECT_EQ(log, "quick killed ");
  EXPECT_EQ(server.connections(), 0U);
  EXPECT_EQ(quick.recv(1), "");
  EXPECT_EQ(slow.recv(1), "");
  ender.join();
}

TEST_F(ServerTest, NobodyIsAcceptedOnceStopped) {
  StreamServer server(Address::loopback(), echo);
  server.start();
  Address address = server.address();
  EXPECT_EQ(ask(server, "x"), "x");
  EXPECT_TRUE(server.stop());
  EXPECT_THROW(fern::create_connection(address), std::system_error);
  EXPECT_THROW(server.start(), std::logic_error);
  EXPECT_TRUE(server.stop());
  EXPECT_EQ(server.address(), address);
}

TEST_F(ServerTest, ServeForeverEndsWhenStopped) {
  StreamServer server(Address::loopback(), [&](Socket& socket) {
    if (socket.recv(1) == "q") server.stop();
    socket.sendall("bye");
  });
  auto serving = fern::spawn([&] { server.serve_forever(); });
  while (!server.running()) fern::yield();
  EXPECT_EQ(ask(server, "x"), "bye");
  EXPECT_EQ(ask(server, "q"), "bye");
  serving.get();
}

TEST_F(ServerTest, AKilledServeForeverStopsAccepting) {
  StreamServer server(Address::loopback(), echo);
  auto serving = fern::spawn([&] { server.serve_forever(); });
  while (!server.running()) fern::yield();
  serving.kill();
  EXPECT_FALSE(server.running());
  EXPECT_THROW(connect(server), std::system_error);
}

TEST_F(ServerTest, ADestroyedServerStopsAcceptingAndItsHandlersRunOn) {
  Socket client;
  Address address;
  {
    StreamServer server(Address::loopback(), echo);
    server.start();
    address = server.address();
    client = connect(server);
    client.sendall("1");
    EXPECT_EQ(client.recv(1), "1");
  }
  EXPECT_THROW(fern::create_connection(address), std::system_error);
  client.sendall("2");
  EXPECT_EQ(client.recv(1), "2");
  client.close();
  fern::sleep(1ms);
}

TEST_F(ServerTest, AnAddressThatCannotBeBoundIsAnError) {
  StreamServer server(Address::loopback(), echo);
  EXPECT_THROW(StreamServer(server.address(), echo), std::system_error);
  EXPECT_THROW(StreamServer(Address("192.0.2.250", 0), echo), std::system_error);
}

TEST_F(ServerTest, ListensAtAnyKindOfAddress) {
  auto path = Address::unix_path("@fern-server-test-" + std::to_string(::getpid()));
  for (const Address& address : {Address("::1", 0), path}) {
    Address::Family seen{};
    StreamServer server(address, [&](Socket socket, const Address& peer) {
      seen = peer.family();
      echo(std::move(socket));
    });
    EXPECT_EQ(server.address().family(), address.family());
    server.start();
    EXPECT_EQ(ask(server, "hello"), "hello");
    EXPECT_EQ(seen, address.family());
    server.stop();
  }
}

TEST_F(ServerTest, TakesASocketThatListens) {
  int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);  // blocking, as from a parent
  ASSERT_EQ(::listen(listener, 10), 0);
  StreamServer server{Socket(listener), echo};
  EXPECT_NE(server.address().port(), 0);
  server.start();
  Socket client = fern::create_connection("127.0.0.1", server.address().port(), 20s);
  client.sendall("x");
  EXPECT_EQ(client.recv(1), "x");
  client.close();
  server.stop();
  try {
    StreamServer deaf(Socket::tcp(), echo);
    ADD_FAILURE() << "it took a socket that does not listen";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::invalid_argument);
  }
}

TEST_F(ServerTest, AListenerThatBreaksEndsServeForeverWithItsError) {
  Socket listener = fern::create_server(Address::loopback());
  int fd = listener.fd();
  StreamServer server(std::move(listener), echo);
  auto serving = fern::spawn([&] { server.serve_forever(); });
  while (!server.running()) fern::yield();
  ::shutdown(fd, SHUT_RDWR);  // by whoever else has it
  EXPECT_THROW(serving.get(20s), std::system_error);
  EXPECT_FALSE(server.running());
  EXPECT_TRUE(server.stop());
}

TEST_F(ServerTest, ConnectionsWithoutEndDoNotKeepOthersFromRunning) {
  constexpr std::size_t many = 64;
  std::size_t served = 0;
  StreamServer server(Address::loopback(), [&](Socket&) { ++served; });
  std::vector<Socket> queued;
  while (queued.size() < many) queued.push_back(connect(server));
  server.start();
  EXPECT_LT(fern::spawn([&] { return served + server.connections(); }).get(), many);
  while (served < many) fern::sleep(100us);
  server.stop();
}

TEST_F(ServerTest, ServeForeverEndsEvenWhenStopIsCutShort) {
  StreamServer server(Address::loopback(), [](Socket&) { fern::sleep(1h); });
  auto serving = fern::spawn([&] { server.serve_forever(); });
  while (!server.running()) fern::yield();
  Socket client = connect(server);
  while (server.connections() == 0) fern::sleep(100us);
  EXPECT_FALSE(fern::with_timeout_silent(1ms, [&] { server.stop(); }));
  EXPECT_TRUE(serving.join(20s));
  EXPECT_EQ(server.connections(), 1U);  // as it was
  EXPECT_FALSE(server.stop(0s));
}

TEST_F(ServerTest, ServeForeverEndsWithTheServer) {
  auto server = std::make_unique<StreamServer>(Address::loopback(), echo);
  auto serving = fern::spawn([&] { server->serve_forever(); });
  while (!server->running()) fern::yield();
  server.reset();
  EXPECT_TRUE(serving.join(20s));
}

TEST_F(ServerTest, StopInAnotherThreadIsMisuseThatChangesNothing) {
  may_keep_heap("a thread's hub is kept for the next thread");
  StreamServer server(Address::loopback(), echo);
  server.start();
  fern::testing::in_thread([&] { EXPECT_THROW(server.stop(), fern::GreenletError); });
  EXPECT_EQ(ask(server, "x"), "x");
  server.stop();
}

TEST_F(ServerTest, GoesOnWhenDescriptorsHaveRunOut) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UBSan looks at objects through descriptors of its own";
#endif
  StreamServer server(Address::loopback(), echo);
  server.start();
  std::vector<Socket> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(connect(server));
  while (server.connections() < 4) fern::sleep(100us);
  ::testing::internal::CaptureStderr();
  // The client's descriptor takes the last place, so that the server has none.
  Socket client = Socket::tcp();
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit tight{static_cast<rlim_t>(client.fd()) + 1, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  std::vector<int> rest;
  for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) rest.push_back(fd);
  client.connect(server.address());
  client.sendall("hello");
  EXPECT_THROW(client.recv(100, 35ms), fern::TimeoutError);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(client.recv(100, 20s), "hello");
  for (int fd : rest) ::close(fd);
  std::string printed = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(printed.find("cannot accept connections for now"), std::string::npos) << printed;
  EXPECT_EQ(printed.find('\n'), printed.size() - 1) << printed;
  client.close();
  clients.clear();
  server.stop();
}

}  // namespace
