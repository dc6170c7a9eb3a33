// Boost.Asio 1.81's C++20 coroutines (libboost1.81-dev), -O2: co_spawn and use_awaitable.
// Recommended for one thread: an io_context with a concurrency hint of 1. Nothing else was tried.
#include <array>
#include <boost/asio.hpp>

#include "server.hpp"

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

asio::awaitable<void> serve(tcp::socket socket) {
  std::array<char, echo::buffer_size> data;
  try {
    for (;;) {
      std::size_t came = co_await socket.async_read_some(asio::buffer(data), asio::use_awaitable);
      co_await asio::async_write(socket, asio::buffer(data.data(), came), asio::use_awaitable);
    }
  } catch (const boost::system::system_error&) {
  }
}

asio::awaitable<void> listen(asio::io_context& context) {
  tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  echo::say_port(acceptor.local_endpoint().port());
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    asio::co_spawn(context, serve(std::move(socket)), asio::detached);
  }
}

}  // namespace

int main() {
  asio::io_context context(1);
  asio::co_spawn(context, listen(context), asio::detached);
  context.run();
}
