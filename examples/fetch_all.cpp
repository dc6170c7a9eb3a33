// Fetches ten pages one after the other, and then all at once, from a server in this program
// that takes 20 ms over each. Compare the times.
#include <fern/fern.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

// Answers "GET /1000 HTTP/1.0" with a thousand bytes.
void answer(fern::Socket socket) {
  std::string request;
  while (request.find("\r\n\r\n") == request.npos) {
    std::string part = socket.recv(4096, 5s);
    if (part.empty() || request.size() > 4096) return;
    request += part;
  }
  fern::sleep(20ms);
  auto size = std::stoul(request.substr(request.find('/') + 1));
  socket.sendall("HTTP/1.0 200 OK\r\n\r\n" + std::string(size, 'x'), 5s);
}

std::size_t fetch(const fern::Address& server, const std::string& path) {
  fern::Timeout timeout(10s);  // for all of it
  fern::Socket socket = fern::create_connection(server);
  socket.sendall("GET " + path + " HTTP/1.0\r\n\r\n");
  std::string page;
  for (std::string part; !(part = socket.recv(65536)).empty();) page += part;
  std::size_t head = page.find("\r\n\r\n");
  if (!page.starts_with("HTTP/1.0 200 ") || head == page.npos) throw std::runtime_error("no page");
  return page.size() - head - 4;
}

void show(const char* how, const std::vector<std::size_t>& sizes, Clock::duration time) {
  std::cout << how << ':';
  for (std::size_t size : sizes) std::cout << ' ' << size;
  std::cout << " bytes in " << time / 1ms << " ms\n";
}

void fetch_all(const fern::Address& server) {
  std::vector<std::string> paths(10);
  for (std::size_t i = 0; i < paths.size(); ++i) paths[i] = "/" + std::to_string(100 * (i + 1));

  auto start = Clock::now();
  std::vector<std::size_t> sizes(paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) sizes[i] = fetch(server, paths[i]);
  show("one by one", sizes, Clock::now() - start);

  start = Clock::now();
  fern::GreenPool pool(10);
  sizes = pool.map([&](const std::string& path) { return fetch(server, path); }, paths);
  show("all at once", sizes, Clock::now() - start);
}

}  // namespace

int main() try {
  fern::StreamServer server(fern::Address::loopback(), answer);
  server.start();
  fetch_all(server.address());
  server.stop(1s);
} catch (const std::exception& error) {
  std::cerr << "fetch_all: " << error.what() << '\n';
  return 1;
}

// Prints, where ... varies:
//   one by one: 100 200 300 400 500 600 700 800 900 1000 bytes in ... ms
//   all at once: 100 200 300 400 500 600 700 800 900 1000 bytes in ... ms
