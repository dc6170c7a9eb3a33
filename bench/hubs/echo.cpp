// Fern's echo server on so many hubs, each in a thread of its own: hubs_echo HUBS. They listen on
// one port, by SO_REUSEPORT, and the kernel deals the connections out among them.
#include <fern/fern.hpp>

#include <array>
#include <cstdlib>
#include <latch>
#include <thread>
#include <vector>

#include "echo/server.hpp"

namespace {

fern::Socket listener(const fern::Address& address) {
  auto socket = fern::Socket::tcp();
  socket.set_option(SOL_SOCKET, SO_REUSEPORT, 1);
  socket.bind(address);
  socket.listen(1024);
  return socket;
}

void serve(fern::Socket socket) {
  fern::StreamServer server(std::move(socket), [](fern::Socket& connection) {
    std::array<char, echo::buffer_size> data;
    try {
      while (auto came = connection.recv(data)) connection.sendall(std::span(data).first(came));
    } catch (const std::system_error&) {
    }
  });
  server.serve_forever();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto first = listener(fern::Address::loopback(0));
  const auto address = first.local_address();
  const int hubs = std::atoi(argv[1]);
  std::latch listening(hubs - 1);
  std::vector<std::thread> others;
  for (int i = 1; i < hubs; ++i) {
    others.emplace_back([&] {
      auto own = listener(address);
      listening.count_down();
      serve(std::move(own));
    });
  }
  listening.wait();
  echo::say_port(address.port());
  serve(std::move(first));
}
