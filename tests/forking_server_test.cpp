#include <fern/forking_server.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "children.hpp"
#include "fern/errors.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/signal.hpp"
#include "sockets.hpp"

using fern::Address;
using fern::ForkingOptions;
using fern::ForkingServer;
using fern::Socket;
using namespace std::chrono_literals;

namespace {

class ForkingServerTest : public fern::testing::SocketFixture {
 protected:
  void SetUp() override {
    if (!fern::testing::children_may_switch) GTEST_SKIP() << "TSan cannot follow the child";
  }

  static Socket connect(const ForkingServer& server) {
    return fern::create_connection(server.address(), 20s);
  }
  static std::string rest(Socket& socket) {
    std::string answer;
    for (std::string part; !(part = socket.recv(1000, 20s)).empty();) answer += part;
    return answer;
  }
  static std::string ask(const ForkingServer& server, const std::string& question) {
    Socket socket = connect(server);
    socket.sendall(question);
    socket.shutdown(Socket::Direction::Send);
    return rest(socket);
  }
  static void wait_for_children(const ForkingServer& server, std::size_t count) {
    while (server.children() != count) fern::sleep(100us);
  }
  static void finish(ForkingServer& server) {
    EXPECT_TRUE(server.stop());
    EXPECT_EQ(server.children(), 0U);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);  // nobody is left to be reaped
    EXPECT_EQ(errno, ECHILD);
  }
};

TEST_F(ForkingServerTest, RunsAHandlerForEachConnectionInAProcessOfItsOwn) {
  int changed = 0;
  ForkingServer server(Address::loopback(), [&](Socket& socket) {
    ++changed;
    socket.sendall(socket.recv(100) + std::to_string(::getpid()));
  });
  server.start();
  std::string first = ask(server, "");
  std::string second = ask(server, "");
  EXPECT_NE(first, second);
  for (const std::string& pid : {first, second}) EXPECT_NE(pid, std::to_string(::getpid()));
  EXPECT_EQ(changed, 0);
  EXPECT_TRUE(server.running());
  finish(server);
  EXPECT_FALSE(server.running());
}

TEST_F(ForkingServerTest, AChildMayDoWhateverGreenletsDo) {
  ForkingServer server(Address::loopback(), [](Socket socket, const Address& peer) {
    auto slow = fern::spawn([] {
      fern::sleep(2ms);
      return std::string("slow");
    });
    auto quick = fern::spawn([&] { return peer.ip(); });
    socket.sendall(quick.get() + " " + slow.get());
    std::move(socket).close();
  });
  server.start();
  std::vector<fern::Greenlet<std::string>> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(fern::spawn([&] { return ask(server, ""); }));
  for (auto& client : clients) EXPECT_EQ(client.get(), "127.0.0.1 slow");
  finish(server);
}

TEST_F(ForkingServerTest, AChildThatCrashesIsToldOfAndTheServerGoesOn) {
  ForkingServer server(Address::loopback(), [](Socket& socket) {
    if (socket.recv(1) == "x") ::kill(::getpid(), SIGKILL);
    socket.sendall("fine");
  });
  server.start();
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(ask(server, "x"), "");
  EXPECT_EQ(ask(server, "y"), "fine");
  wait_for_children(server, 0);
  std::string printed = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(printed.find("was ended by signal 9 (Killed)"), std::string::npos) << printed;
  EXPECT_EQ(printed.find('\n'), printed.size() - 1) << printed;
  finish(server);
}

TEST_F(ForkingServerTest, AHandlersExceptionIsPrintedByTheChild) {
  ForkingServer server(Address::loopback(), [](Socket& socket) {
    socket.sendall("half");
    throw std::runtime_error("no such question");
  });
  server.start();
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(ask(server, ""), "half");
  wait_for_children(server, 0);
  std::string printed = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(printed.find("no such question"), std::string::npos) << printed;
  EXPECT_EQ(printed.find('\n'), printed.size() - 1) << printed;
  finish(server);
}

TEST_F(ForkingServerTest, WhatIsPrintedComesOutOnce) {
  ForkingServer server(Address::loopback(), [](Socket&) {
    std::cout << "streamed";
    std::printf(" printed");
  });
  server.start();
  ::testing::internal::CaptureStdout();
  std::cout << "before ";
  EXPECT_EQ(ask(server, ""), "");
  wait_for_children(server, 0);
  std::string printed = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(printed.find("before "), 0U) << printed;
  EXPECT_EQ(printed.find("before ", 1), std::string::npos) << printed;
  EXPECT_NE(printed.find("streamed"), std::string::npos) << printed;
  EXPECT_NE(printed.find(" printed"), std::string::npos) << printed;
  finish(server);
}

TEST_F(ForkingServerTest, HasNoMoreChildrenThanTheOptionsAllow) {
  ForkingServer server(
      Address::loopback(),
      [](Socket& socket) {
        socket.sendall("here");
        socket.recv(1);
      },
      ForkingOptions{.children = 2});
  server.start();
  std::vector<Socket> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(connect(server));
  EXPECT_EQ(clients[0].recv(100, 20s), "here");
  EXPECT_EQ(clients[1].recv(100, 20s), "here");
  EXPECT_THROW(clients[2].recv(100, 5ms), fern::TimeoutError);
  EXPECT_EQ(server.children(), 2U);
  // The children have all ends of all connections, so that a close would not be felt.
  clients[0].shutdown();
  EXPECT_EQ(clients[2].recv(100, 20s), "here");
  for (std::size_t i : {1, 2}) clients[i].shutdown();
  finish(server);
}

TEST_F(ForkingServerTest, TheListenerIsClosedInAChildAndTheConnectionInTheParent) {
  Socket listener = fern::create_server(Address::loopback());
  int fd = listener.fd();
  ForkingServer server(std::move(listener), [fd](Socket& socket) {
    bool open = ::fcntl(fd, F_GETFD) >= 0;
    socket.sendall(open ? "open" : "closed");
  });
  server.start();
  EXPECT_EQ(ask(server, ""), "closed");  // and the end, though the parent lives
  finish(server);
}

TEST_F(ForkingServerTest, StopWaitsForChildrenAndEndsTheRest) {
  ForkingServer server(Address::loopback(), [](Socket& socket) {
    if (socket.recv(1) == "s") fern::sleep(1h);
    fern::sleep(2ms);
    socket.sendall("done");
  });
  server.start();
  Socket quick = connect(server);
  quick.sendall("q");
  wait_for_children(server, 1);
  EXPECT_TRUE(server.stop(20s));
  EXPECT_EQ(rest(quick), "done");
  EXPECT_EQ(errno_of([&] { connect(server); }), ECONNREFUSED);
  EXPECT_THROW(server.start(), std::logic_error);
  EXPECT_TRUE(server.stop());

  ForkingServer other(Address::loopback(), [](Socket&) { fern::sleep(1h); });
  other.start();
  Socket slow = connect(other);
  wait_for_children(other, 1);
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(other.stop(2ms));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");  // it was asked to
  EXPECT_EQ(rest(slow), "");
  finish(other);
}

TEST_F(ForkingServerTest, AChildThatDoesNotHeedSigtermIsKilled) {
  ForkingServer server(Address::loopback(), [](Socket& socket) {
    auto deaf = fern::on_signal(SIGTERM, [&] { socket.sendall("no"); });
    socket.sendall("ready");
    fern::sleep(1h);
  });
  server.start();
  Socket client = connect(server);
  EXPECT_EQ(client.recv(100, 20s), "ready");
  EXPECT_FALSE(server.stop(0s));
  EXPECT_EQ(rest(client), "no");
  finish(server);
}

TEST_F(ForkingServerTest, SignalsThatTheParentListensToHaveTheirDefaultEffectInAChild) {
  int heard = 0;
  auto listening = fern::on_signal(SIGTERM, [&] { ++heard; });
  ForkingServer server(Address::loopback(), [](Socket& socket) {
    socket.sendall(std::to_string(::getpid()));
    fern::sleep(1h);
  });
  server.start();
  Socket client = connect(server);
  pid_t child = std::stoi(client.recv(100, 20s));
  ::testing::internal::CaptureStderr();
  ::kill(child, SIGTERM);
  EXPECT_EQ(rest(client), "");
  wait_for_children(server, 0);
  std::string printed = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(printed.find("signal 15"), std::string::npos) << printed;
  EXPECT_EQ(heard, 0);
  ::raise(SIGTERM);
  while (heard == 0) fern::sleep(100us);
  finish(server);
}

TEST_F(ForkingServerTest, AChildCannotStopTheServer) {
  std::unique_ptr<ForkingServer> server;
  server = std::make_unique<ForkingServer>(Address::loopback(), [&](Socket& socket) {
    for (auto f : {&ForkingServer::start, &ForkingServer::serve_forever}) {
      EXPECT_THROW(((*server).*f)(), fern::GreenletError);
    }
    try {
      server->stop();
    } catch (const fern::GreenletError& error) {
      socket.sendall(error.what());
    }
  });
  server->start();
  EXPECT_EQ(ask(*server, ""), "fern::ForkingServer::stop(): it serves in another process");
  EXPECT_TRUE(server->running());
  finish(*server);
}

TEST_F(ForkingServerTest, ServeForeverEndsWhenStopped) {
  ForkingServer server(Address::loopback(), [](Socket& socket) { socket.sendall("x"); });
  auto stop = fern::on_signal(SIGUSR1, [&] { server.stop(20s); });
  auto client = fern::spawn([&] {
    while (!server.running()) fern::yield();
    EXPECT_EQ(ask(server, ""), "x");
    ::raise(SIGUSR1);
  });
  server.serve_forever();
  client.join();
  finish(server);
}

TEST_F(ForkingServerTest, ADestroyedServersChildrenRunOnAndAreReaped) {
  auto server = std::make_unique<ForkingServer>(
      Address::loopback(), [](Socket& socket) { socket.sendall(socket.recv(100)); });
  server->start();
  Socket client = connect(*server);
  wait_for_children(*server, 1);
  server.reset();
  client.sendall("hello");
  EXPECT_EQ(rest(client), "hello");
  while (fern::Hub::current().greenlets() > 0) fern::sleep(100us);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(ForkingServerTest, AChildThatIsReapedBySomebodyElseIsNotWaitedForForEver) {
  ForkingServer server(Address::loopback(), [](Socket& socket) { socket.recv(1); });
  server.start();
  Socket client = connect(server);
  wait_for_children(server, 1);
  client.shutdown();
  int status = -1;
  EXPECT_GT(::waitpid(-1, &status, 0), 0);  // blocks: the greenlet cannot be first
  EXPECT_TRUE(fern::testing::succeeded(status)) << status;
  finish(server);
}

TEST_F(ForkingServerTest, ASocketThatDoesNotListenIsRefused) {
  EXPECT_EQ(errno_of([] { ForkingServer(Socket::tcp(), [](Socket) {}); }), EINVAL);
}

}  // namespace
