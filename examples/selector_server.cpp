// An echo server of callbacks: a Selector says which sockets are ready, and what was registered
// with each is called. One greenlet for all, and everything is in small pieces; see echo_server
// for the same with a greenlet for each.
//   build/examples/selector_server 127.0.0.1:7777
#include <fern/fern.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <system_error>

using namespace std::chrono_literals;

namespace {

class Server {
 public:
  explicit Server(const fern::Address& address) : listener_(fern::create_server(address)) {
    selector_.add(listener_.fd(), fern::Interest::Read, [this](int) { accept(); });
  }
  fern::Address address() const { return listener_.local_address(); }

  void serve() {
    for (;;) {
      for (auto& ready : selector_.wait()) (*ready.data)(ready.fd);
    }
  }

 private:
  using Callback = std::function<void(int fd)>;

  void accept() try {
    fern::Socket socket = listener_.accept(0s);
    selector_.add(socket.fd(), fern::Interest::Read, [this](int fd) { echo(fd); });
    clients_.emplace(socket.fd(), std::move(socket));
  } catch (const fern::TimeoutError&) {  // it has gone again
  }

  void echo(int fd) {
    std::string data;
    try {
      data = clients_.at(fd).recv(65'536, 0s);
      clients_.at(fd).sendall(data, 10s);  // all the others wait as well
    } catch (const std::runtime_error& error) {
      std::cout << "a client is gone: " << error.what() << '\n' << std::flush;
      data.clear();
    }
    if (!data.empty()) return;
    selector_.remove(fd);
    clients_.erase(fd);
  }

  fern::Socket listener_;
  fern::Selector<Callback> selector_;
  std::map<int, fern::Socket> clients_;
};

}  // namespace

int main(int argc, char** argv) try {
  Server server(argc > 1 ? fern::Address::parse(argv[1]) : fern::Address::loopback());
  auto serving = fern::spawn([&] { server.serve(); });
  auto stop = fern::on_signal(SIGINT, [&] { serving.kill(); });
  std::cout << "listening on " << server.address().to_string() << '\n' << std::flush;
  serving.join();
  if (!serving.killed()) serving.get();
} catch (const std::exception& error) {
  std::cerr << "selector_server: " << error.what() << '\n';
  return 1;
}
