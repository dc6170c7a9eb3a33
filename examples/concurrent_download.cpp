// Downloads pages over HTTP, ten at a time, and tells what came of each in the order asked for:
//   build/examples/concurrent_download http://127.0.0.1:8000/ http://127.0.0.1:8000/index.html
#include <fern/fern.hpp>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct Url {
  std::string host;
  std::uint16_t port = 80;
  std::string path;
};

struct Page {
  std::string status;  // "HTTP/1.0 200 OK"
  std::size_t bytes = 0;
};

Url parse(std::string_view text) {
  constexpr std::string_view scheme = "http://";
  if (!text.starts_with(scheme)) throw std::invalid_argument("not an http URL");
  text.remove_prefix(scheme.size());
  std::size_t slash = text.find('/');
  std::string_view place = text.substr(0, slash);
  Url url{.host = std::string(place.substr(0, place.find(':'))),
          .path = slash == text.npos ? "/" : std::string(text.substr(slash))};
  if (std::size_t colon = place.find(':'); colon != place.npos) {
    const char* end = place.data() + place.size();
    auto [rest, error] = std::from_chars(place.data() + colon + 1, end, url.port);
    if (error != std::errc() || rest != end) throw std::invalid_argument("not a port");
  }
  return url;
}

Page download(const std::string& text) {
  Url url = parse(text);
  fern::Timeout timeout(10s);  // for all of it
  fern::Socket socket = fern::create_connection(url.host, url.port);
  socket.sendall("GET " + url.path + " HTTP/1.0\r\nHost: " + url.host + "\r\n\r\n");
  std::string answer;
  for (std::string part; !(part = socket.recv(65536)).empty();) answer += part;
  std::size_t head = answer.find("\r\n\r\n");
  if (head == answer.npos) throw std::runtime_error("not an HTTP answer");
  return {.status = answer.substr(0, answer.find("\r\n")), .bytes = answer.size() - head - 4};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> urls(argv + 1, argv + argc);
  if (urls.empty()) {
    std::cerr << "usage: concurrent_download URL...\n";
    return 2;
  }
  fern::GreenPool pool(10);
  auto pages = pool.imap(download, urls);
  auto url = urls.begin();
  int failures = 0;
  for (auto it = pages.begin(); it != pages.end(); ++it, ++url) {
    try {
      const Page& page = *it;  // throws what download threw
      std::cout << *url << ": " << page.status << ", " << page.bytes << " bytes\n";
    } catch (const std::exception& error) {
      std::cout << *url << ": " << error.what() << '\n';
      ++failures;
    }
  }
  return failures == 0 ? 0 : 1;
}
