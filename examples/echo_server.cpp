// Sends back whatever comes, to thousands at once. Ctrl-C ends it.
//   build/examples/echo_server 127.0.0.1:7777
#include <fern/fern.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <span>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;

namespace {

void echo(fern::Socket socket) {
  std::vector<char> buffer(64 * 1024);
  try {
    while (std::size_t size = socket.recv(buffer)) {
      socket.sendall(std::span(buffer.data(), size));
    }
  } catch (const std::system_error&) {
    // The peer is gone without a farewell.
  }
}

int serve(const fern::Address& address) {
  fern::StreamServer server(address, echo, {.pool = 5000});
  auto stop = fern::on_signal(SIGINT, [&] { server.stop(1s); });
  std::cout << "listening on " << server.address().to_string() << '\n' << std::flush;
  server.serve_forever();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return serve(argc > 1 ? fern::Address::parse(argv[1]) : fern::Address::loopback());
  } catch (const std::exception& error) {
    std::cerr << "echo_server: " << error.what() << '\n';
    return 1;
  }
}
