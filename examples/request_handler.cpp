// A handler that is a class: one object for each connection, all at once, in greenlets. It answers
// lines with lines. Ctrl-C lets those who are served finish, for 5 s. Started again at once, the
// server has its address back, although connections to it are still dying.
//   build/examples/request_handler 127.0.0.1:7777        and then: nc 127.0.0.1 7777
#include <fern/fern.hpp>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <csignal>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>

using namespace std::chrono_literals;

namespace {

class Request {
 public:
  Request(fern::Socket socket, const fern::Address& peer)
      : socket_(std::move(socket)), peer_(peer.to_string()) {
    socket_.set_timeout(60s);  // for everything that this object waits for
  }
  ~Request() { std::cout << peer_ << ": " << lines_ << " lines, " << end_ << '\n' << std::flush; }

  void handle() {
    try {
      for (std::string line; read_line(line); ++lines_) socket_.sendall(answer(line) + "\n");
      end_ = "and left";
    } catch (const std::runtime_error& error) {  // the network, or a silent minute
      end_ = error.what();
    }
  }

 private:
  static std::string answer(std::string line) {
    std::ranges::transform(line, line.begin(), [](unsigned char c) { return std::toupper(c); });
    return line;
  }

  bool read_line(std::string& line) {
    std::size_t end;
    while ((end = input_.find('\n')) == std::string::npos) {
      if (input_.size() > 65536) throw std::runtime_error("a line without an end");
      std::string part = socket_.recv(4096);
      if (part.empty()) return false;
      input_ += part;
    }
    line = input_.substr(0, end);
    input_.erase(0, end + 1);
    return true;
  }

  fern::Socket socket_;
  std::string peer_;
  std::string input_;
  std::string end_ = "cut off";
  int lines_ = 0;
};

}  // namespace

int main(int argc, char** argv) try {
  fern::StreamServer server(
      argc > 1 ? fern::Address::parse(argv[1]) : fern::Address::loopback(),
      [](fern::Socket s, const fern::Address& peer) { Request(std::move(s), peer).handle(); });
  auto stop = fern::on_signal(SIGINT, [&] { server.stop(5s); });
  std::cout << "listening on " << server.address().to_string() << '\n' << std::flush;
  server.serve_forever();
} catch (const std::exception& error) {
  std::cerr << "request_handler: " << error.what() << '\n';
  return 1;
}
