// Fern: a greenlet for each connection, in plain blocking style.
#include <fern/fern.hpp>

#include <array>

#include "server.hpp"

int main() {
  fern::StreamServer server(fern::Address::loopback(0), [](fern::Socket& socket) {
    std::array<char, echo::buffer_size> data;
    try {
      while (auto came = socket.recv(data)) socket.sendall(std::span(data).first(came));
    } catch (const std::system_error&) {
    }
  });
  echo::say_port(server.address().port());
  server.serve_forever();
}
