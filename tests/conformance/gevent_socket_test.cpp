#include "../sockets.hpp"
#include "journal.hpp"

#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/selector.hpp>
#include <fern/socket.hpp>
#include <fern/wait.hpp>

#include <poll.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

namespace {

using namespace std::chrono_literals;
using fern::joinall;
using fern::Socket;
using fern::spawn;
using fern::yield;

class GeventSocket : public fern::testing::SocketFixture {};

// V62: several may receive from one socket; gevent refuses the second.
TEST_F(GeventSocket, ReceiversOfOneSocketAreServedInTheirOrder) {
  Journal log;
  auto [a, b] = fern::socketpair();
  auto receiver = [&log, &socket = a](const char* name) { log(name, " ", socket.recv(10)); };
  auto first = spawn(receiver, "first");
  auto second = spawn(receiver, "second");
  yield();
  b.sendall("hi");
  first.join();
  b.sendall("ho");
  second.join();
  EXPECT_EQ(log.lines(), (Lines{"first hi", "second ho"}));
}

// V62
TEST_F(GeventSocket, CloseWakesAReceiverWithAnErrorAndGoesOnFirst) {
  Journal log;
  auto [a, b] = fern::socketpair();
  auto receiver = spawn([&log, &socket = a] {
    int error = errno_of([&] { socket.recv(10); });
    log("receiver ", error == EBADF ? "EBADF" : std::to_string(error));
  });
  yield();
  a.close();
  log("closed");
  receiver.join();
  EXPECT_EQ(log.lines(), (Lines{"closed", "receiver EBADF"}));
}

// V63
TEST_F(GeventSocket, AReceiveOfWhatIsThereDoesNotSwitch) {
  Journal log;
  auto [a, b] = fern::socketpair();
  auto other = spawn([&] { log("other"); });
  log("sent ", b.send("hello"));
  log("received ", a.recv(10));
  other.join();
  EXPECT_EQ(log.lines(), (Lines{"sent 5", "received hello", "other"}));
}

// gevent's timeouts of sockets: none, zero, some.
TEST_F(GeventSocket, ASocketsTimeoutLimitsEachOfItsCalls) {
  auto [a, b] = fern::socketpair();
  a.set_timeout(0s);
  EXPECT_THROW(a.recv(10), fern::TimeoutError);
  a.set_timeout(1ms);
  EXPECT_THROW(a.recv(10), fern::TimeoutError);
  a.set_timeout(std::nullopt);
  auto sender = spawn([&socket = b] { socket.sendall("late"); });
  EXPECT_EQ(a.recv(10), "late");
  sender.join();
}

// V64: a look without time does not switch, unlike gevent's.
TEST_F(GeventSocket, APollWithoutTimeSeesWhatIsReadyAndDoesNotSwitch) {
  Journal log;
  auto [a, b] = fern::socketpair();
  auto other = spawn([&] { log("other"); });
  pollfd in[] = {{a.fd(), POLLIN, 0}};
  log("ready ", fern::poll(in, 0s));
  other.join();
  b.sendall("1");
  pollfd both[] = {{a.fd(), POLLIN, 0}, {b.fd(), POLLOUT, 0}};
  log("ready ", fern::poll(both, 1s));
  log("one to read ", both[0].revents == POLLIN, ", one to write ", both[1].revents == POLLOUT);
  EXPECT_EQ(log.lines(),
            (Lines{"ready 0", "other", "ready 2", "one to read true, one to write true"}));
}

// V64: late is false here, an exception there.
TEST_F(GeventSocket, AWaitForADescriptorThatIsLateIsFalse) {
  auto [a, b] = fern::socketpair();
  EXPECT_FALSE(fern::wait_readable(b.fd(), 1ms));
  a.sendall("1");
  EXPECT_TRUE(fern::wait_readable(b.fd(), 20s));
}

// W14: what is ready already is not waited for, and so does not switch, unlike in gevent.
TEST_F(GeventSocket, AWaitForADescriptorThatIsReadyDoesNotSwitch) {
  Journal log;
  auto [a, b] = fern::socketpair();
  auto other = spawn([&] { log("other"); });
  log("writable ", fern::wait_writable(a.fd()));
  other.join();
  EXPECT_EQ(log.lines(), (Lines{"writable true", "other"}));
}

// gevent's shutdown ends the waits of its direction.
TEST_F(GeventSocket, ShutdownEndsAReceiversWait) {
  auto [a, b] = fern::socketpair();
  auto receiver = spawn([&socket = a] { return socket.recv(10); });
  yield();
  a.shutdown(Socket::Direction::Receive);
  EXPECT_EQ(receiver.get(), "");
}

// gevent's sendall: the timeout is for all of it.
TEST_F(GeventSocket, ASendallThatIsLateIsATimeoutError) {
  auto [a, b] = fern::socketpair();
  fill(a);
  EXPECT_THROW(a.sendall(std::string(1 << 20, 'x'), 1ms), fern::TimeoutError);
}

}  // namespace
