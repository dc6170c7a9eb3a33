#pragma once

// Sockets and what goes wrong with them, for tests of net.

#include <sys/socket.h>

#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "fern/errors.hpp"
#include "fern/greenlet.hpp"
#include "fern/socket.hpp"
#include "support.hpp"

namespace fern::testing {

class SocketFixture : public FernTest {
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
      for (;;) socket.send(data, std::chrono::seconds(0));
    } catch (const fern::TimeoutError&) {
    }
  }
};

}  // namespace fern::testing
