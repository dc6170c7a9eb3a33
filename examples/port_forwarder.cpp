// Passes connections on to another address, bytes both ways and each end by itself.
//   build/examples/port_forwarder 127.0.0.1:8080 127.0.0.1:80
#include <fern/fern.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <memory>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct Pair {
  fern::Socket client;
  fern::Socket target;
};

// Each of two pumps has its share of the pair, so neither has to wait for the other.
void pump(const std::shared_ptr<Pair>& pair, fern::Socket& from, fern::Socket& to) {
  std::vector<char> buffer(64 * 1024);
  try {
    while (std::size_t size = from.recv(buffer)) to.sendall(std::span(buffer.data(), size));
    to.shutdown(fern::Socket::Direction::Send);  // the other direction goes on
  } catch (const std::system_error&) {
    pair->client.close();  // wakes the other pump
    pair->target.close();
  }
}

void forward(fern::Socket client, const fern::Address& target) {
  auto pair = std::make_shared<Pair>();
  pair->client = std::move(client);
  try {
    pair->target = fern::create_connection(target, 5s);
  } catch (const std::runtime_error& error) {
    std::cout << target.to_string() << ": " << error.what() << '\n' << std::flush;
    return;
  }
  fern::spawn_raw([pair] { pump(pair, pair->target, pair->client); });
  pump(pair, pair->client, pair->target);
}

int serve(const fern::Address& address, const fern::Address& target) {
  fern::StreamServer server(address, [&](fern::Socket s) { forward(std::move(s), target); });
  auto stop = fern::on_signal(SIGINT, [&] { server.stop(1s); });
  std::cout << "listening on " << server.address().to_string() << '\n' << std::flush;
  server.serve_forever();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: port_forwarder LISTEN TARGET, as in 127.0.0.1:8080 127.0.0.1:80\n";
    return 2;
  }
  try {
    return serve(fern::Address::parse(argv[1]), fern::Address::parse(argv[2]));
  } catch (const std::exception& error) {
    std::cerr << "port_forwarder: " << error.what() << '\n';
    return 1;
  }
}
