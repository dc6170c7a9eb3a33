// Fern: a greenlet for each connection, in plain blocking style.
#include <fern/fern.hpp>

#include "server.hpp"

int main() {
  fern::StreamServer server(fern::Address::loopback(0), [](fern::Socket& socket) {
    try {
      for (;;) {
        std::string data = socket.recv(echo::buffer_size);
        if (data.empty()) break;
        socket.sendall(data);
      }
    } catch (const std::system_error&) {
    }
  });
  echo::say_port(server.address().port());
  server.serve_forever();
}
