// Asks a question by a datagram and prints the answer. Datagrams get lost, so it asks three times,
// and waits longer each time.
//   build/examples/udp_client 127.0.0.1:7777 "10 hello"
#include <fern/fern.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <system_error>

using namespace std::chrono_literals;

namespace {

std::string ask(const fern::Address& server, const std::string& question) {
  fern::Socket socket = fern::Socket::udp(server.family());
  socket.connect(server);  // nobody else's datagrams, and we hear it when nobody is there
  auto patience = 500ms;
  for (int attempt = 1;; ++attempt, patience *= 2) {
    socket.send(question);
    try {
      return socket.recv(65'536, patience);
    } catch (const fern::TimeoutError&) {
      if (attempt == 3) throw;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: udp_client HOST:PORT QUESTION\n";
    return 2;
  }
  try {
    std::cout << ask(fern::Address::parse(argv[1]), argv[2]) << '\n';
  } catch (const std::exception& error) {
    std::cerr << "udp_client: " << error.what() << '\n';
    return 1;
  }
}
