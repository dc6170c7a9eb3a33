// Answers datagrams "MILLISECONDS TEXT" with the text, after that time. Each has a greenlet, so a
// slow answer delays no other.
//   build/examples/udp_server 127.0.0.1:7777
#include <fern/fern.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>

using namespace std::chrono_literals;

namespace {

void answer(const std::string& question, const fern::Address& peer, fern::Socket& socket) {
  std::istringstream words(question);
  int delay = 0;
  std::string text;
  if (!(words >> delay) || delay < 0 || delay > 10'000) {
    socket.sendto("MILLISECONDS TEXT, please", peer);
    return;
  }
  std::getline(words >> std::ws, text);
  fern::sleep(std::chrono::milliseconds(delay));
  socket.sendto(text, peer);
}

}  // namespace

int main(int argc, char** argv) try {
  fern::DatagramServer server(argc > 1 ? fern::Address::parse(argv[1]) : fern::Address::loopback(),
                              answer, {.pool = 1000});
  auto stop = fern::on_signal(SIGINT, [&] { server.stop(1s); });
  std::cout << "listening on " << server.address().to_string() << '\n' << std::flush;
  server.serve_forever();
} catch (const std::exception& error) {
  std::cerr << "udp_server: " << error.what() << '\n';
  return 1;
}
