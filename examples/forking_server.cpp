// A process for each connection: what goes wrong in one touches no other. It answers lines with
// the process they were handled in; the line "crash" is a bug that it has.
//   build/examples/forking_server 127.0.0.1:7777        and then: nc 127.0.0.1 7777
#include <fern/fern.hpp>

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <system_error>

using namespace std::chrono_literals;

namespace {

int handled = 0;  // of the child's copy only: it begins at 0 in each

void handle(fern::Socket socket) {
  try {
    for (std::string line; !(line = socket.recv(4096)).empty();) {
      if (line.starts_with("crash")) std::abort();
      socket.sendall("line " + std::to_string(++handled) + " in process " +
                     std::to_string(::getpid()) + "\n");
    }
  } catch (const std::system_error&) {  // the client is gone
  }
}

}  // namespace

int main(int argc, char** argv) try {
  fern::ForkingServer server(argc > 1 ? fern::Address::parse(argv[1]) : fern::Address::loopback(),
                             handle, {.children = 20});
  auto stop = fern::on_signal(SIGINT, [&] { server.stop(1s); });
  std::cout << "listening on " << server.address().to_string() << '\n' << std::flush;
  server.serve_forever();
  std::cout << "handled here: " << handled << '\n' << std::flush;
} catch (const std::exception& error) {
  std::cerr << "forking_server: " << error.what() << '\n';
  return 1;
}
