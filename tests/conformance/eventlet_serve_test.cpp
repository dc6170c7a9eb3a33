// What eventlet's serve, its sockets and its select do.

#include <fern/errors.hpp>
#include <fern/event.hpp>
#include <fern/selector.hpp>
#include <fern/server.hpp>
#include <fern/socket.hpp>

#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "journal.hpp"
#include "sockets.hpp"

using namespace std::chrono_literals;
using fern::Socket;

namespace {

class EventletServe : public fern::testing::SocketFixture {
 protected:
  Journal journal;
};

// E30. eventlet refuses a second reader.
TEST_F(EventletServe, SeveralMayReadOneSocketAndAreServedFirstComeFirst) {
  auto [ours, theirs] = fern::socketpair();
  auto reader = [&](const char* name) {
    return fern::spawn([&, name] { journal.say(name, ours.recv(1)); });
  };
  auto first = reader("first");
  auto second = reader("second");
  fern::yield();
  theirs.sendall("x");
  first.get();
  EXPECT_FALSE(second.ready());
  theirs.sendall("y");
  second.get();
  EXPECT_EQ(journal.lines(), (Lines{"first x", "second y"}));
}

// E30. eventlet leaves the reader waiting.
TEST_F(EventletServe, CloseWakesWhoReads) {
  auto [ours, theirs] = fern::socketpair();
  auto reader = fern::spawn([&] { return errno_of([&] { ours.recv(1); }); });
  fern::yield();
  ours.close();
  EXPECT_EQ(reader.get(), EBADF);
}

// E31. A handler stops its server by stop(), where eventlet's raises StopServe.
TEST_F(EventletServe, AServerOfOneAtATimeClosesWhatItsHandlerHasDoneAndEndsWhenToldTo) {
  fern::StreamServer* serving = nullptr;
  auto handler = [&](Socket& socket) {
    std::string order = socket.recv(1);
    journal.say("handler", order);
    if (order == "q") serving->stop();
  };
  fern::StreamServer server(fern::create_server(fern::Address::loopback()), handler, {.pool = 1});
  serving = &server;
  auto serve = fern::spawn([&] {
    server.serve_forever();
    journal.say("served");
  });
  Socket client = fern::create_connection(server.address());
  client.sendall("a");
  EXPECT_EQ(client.recv(1), "");
  client = fern::create_connection(server.address());
  client.sendall("q");
  serve.get();
  EXPECT_EQ(journal.lines(), (Lines{"handler a", "handler q", "served"}));
}

// E32
TEST_F(EventletServe, ADescriptorIsReadableWhenSomethingHasComeAndNotBefore) {
  auto [ours, theirs] = fern::socketpair();
  EXPECT_FALSE(fern::wait_readable(ours.fd(), 1ms));
  theirs.sendall("1");
  EXPECT_TRUE(fern::wait_readable(ours.fd()));
}

}  // namespace
