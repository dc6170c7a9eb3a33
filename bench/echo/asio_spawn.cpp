// Boost.Asio 1.81's stackful coroutines (libboost1.81-dev), -O2. Recommended for one thread: an
// io_context with a concurrency hint of 1. BOOST_ASIO_DISABLE_BOOST_COROUTINE makes spawn use
// Boost.Context's fibers. Nothing else was tried.
#define BOOST_ASIO_DISABLE_BOOST_COROUTINE
#include <array>
#include <boost/asio.hpp>
#include <boost/asio/spawn.hpp>

#include "server.hpp"

namespace asio = boost::asio;
using asio::ip::tcp;

int main() {
  asio::io_context context(1);
  tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  echo::say_port(acceptor.local_endpoint().port());
  auto failed = [](const std::exception_ptr&) {};
  asio::spawn(
      context,
      [&](const asio::yield_context& yield) {
        for (;;) {
          tcp::socket socket = acceptor.async_accept(yield);
          socket.set_option(tcp::no_delay(true));
          asio::spawn(
              context,
              [socket = std::move(socket)](const asio::yield_context& each) mutable {
                std::array<char, echo::buffer_size> data;
                for (;;) {
                  std::size_t came = socket.async_read_some(asio::buffer(data), each);
                  asio::async_write(socket, asio::buffer(data.data(), came), each);
                }
              },
              failed);
        }
      },
      failed);
  context.run();
}
