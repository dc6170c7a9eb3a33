#include "../support.hpp"
#include "journal.hpp"

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/server.hpp>
#include <fern/socket.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace {

using namespace std::chrono_literals;
using fern::Address;
using fern::Event;
using fern::Socket;
using fern::spawn;
using fern::StreamServer;

class GeventServer : public FernTest {
 protected:
  static Socket connect(const StreamServer& server) {
    return fern::create_connection(server.address(), 20s);
  }
};

// V67
TEST_F(GeventServer, AFullPoolAcceptsNobodyUntilAHandlerEnds) {
  Journal log;
  Event gate;
  Event begun;
  StreamServer server(Address::loopback(),
                      [&](Socket& socket) {
                        std::string name = socket.recv(1);
                        log("begin ", name);
                        begun.set();
                        gate.wait();
                        log("end ", name);
                        socket.sendall(name);
                      },
                      {.pool = 1});
  server.start();
  Socket first = connect(server);
  first.sendall("1");
  begun.wait();
  Socket second = connect(server);  // the kernel's queue has it
  second.sendall("2");
  EXPECT_THROW(second.recv(1, 5ms), fern::TimeoutError);
  log("connections ", server.connections());
  gate.set();
  EXPECT_EQ(first.recv(1, 20s), "1");
  EXPECT_EQ(second.recv(1, 20s), "2");
  EXPECT_TRUE(server.stop());
  EXPECT_EQ(log.lines(), (Lines{"begin 1", "connections 1", "end 1", "begin 2", "end 2"}));
}

// gevent closes a handler's socket, also where the handler fails.
TEST_F(GeventServer, TheSocketIsClosedWhenItsHandlerReturnsOrThrows) {
  StreamServer server(Address::loopback(), [&](Socket& socket) {
    if (socket.recv(1) == "x") throw std::runtime_error("bad question");
  });
  server.start();
  testing::internal::CaptureStderr();
  for (const char* question : {"a", "x"}) {
    Socket client = connect(server);
    client.sendall(question);
    EXPECT_EQ(client.recv(1, 20s), "");
  }
  EXPECT_TRUE(server.stop());
  std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_NE(printed.find("bad question"), std::string::npos) << printed;
}

// gevent's stop(timeout): handlers that are not done by then are killed, with a pool or without.
TEST_F(GeventServer, StopClosesTheListenerWaitsAndKillsTheRest) {
  Journal log;
  Event begun;
  StreamServer server(Address::loopback(), [&](Socket& socket) {
    begun.set();
    try {
      socket.recv(1);
    } catch (const fern::GreenletExit&) {
      log("handler killed");
      throw;
    }
  });
  server.start();
  Socket client = connect(server);
  begun.wait();
  log("all ended ", server.stop(5ms));
  EXPECT_EQ(log.lines(), (Lines{"handler killed", "all ended false"}));
  EXPECT_FALSE(server.running());
  EXPECT_THROW(connect(server), std::system_error);
  EXPECT_EQ(client.recv(1, 20s), "");
}

// gevent's serve_forever() starts by itself and ends by stop().
TEST_F(GeventServer, ServeForeverEndsWhenAnotherStopsTheServer) {
  Journal log;
  StreamServer server(Address::loopback(), [&](Socket& socket) { socket.sendall("hello"); });
  auto serving = spawn([&] {
    server.serve_forever();
    log("served");
  });
  auto client = spawn([&] { return connect(server).recv(5, 20s); });
  EXPECT_EQ(client.get(), "hello");
  server.stop();
  serving.join();
  EXPECT_EQ(log.lines(), Lines{"served"});
}

// gevent's handlers run in greenlets of their own, at the same time.
TEST_F(GeventServer, HandlersRunSideBySide) {
  Event second_came;
  int came = 0;
  StreamServer server(Address::loopback(), [&](Socket& socket) {
    if (++came == 2) second_came.set();
    second_came.wait();
    socket.sendall("both");
  });
  server.start();
  Socket first = connect(server);
  Socket second = connect(server);
  EXPECT_EQ(first.recv(4, 20s), "both");
  EXPECT_EQ(second.recv(4, 20s), "both");
  server.stop();
}

}  // namespace
