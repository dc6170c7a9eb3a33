#include "site.hpp"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/system/error_code.hpp>
#include <fern/address.hpp>
#include <fern/asio.hpp>
#include <fern/deadline.hpp>
#include <fern/greenlet.hpp>
#include <fern/server.hpp>
#include <fern/socket.hpp>

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace crawler {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t links_per_page = 20;

// The paths are "/" for page 0 and "/page/N" for page N.
std::string path_of(std::size_t page) { return page == 0 ? "/" : "/page/" + std::to_string(page); }

std::optional<std::size_t> page_at(std::string_view path) {
  constexpr std::string_view prefix = "/page/";
  if (path == "/") return 0;
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  std::size_t page = 0;
  auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), page);
  if (error != std::errc() || end != path.data() + path.size()) return std::nullopt;
  return page;
}

class Site {
 public:
  explicit Site(const SitePlan& plan) : plan_(plan) {}

  // Answers one connection's requests, until it is closed.
  void serve(fern::Socket socket) {
    constexpr unsigned http_1_1 = 11;
    fern::AsioStream stream(socket);
    boost::beast::flat_buffer buffer;
    boost::system::error_code error;
    for (;;) {
      http::request<http::string_body> request;
      http::read(stream, buffer, request, error);
      if (error) return;
      http::response<http::string_body> response(http::status::ok, http_1_1);
      std::string_view path(request.target().data(), request.target().size());
      fill(path, response);
      response.prepare_payload();
      http::write(stream, response, error);
      if (error || !request.keep_alive()) return;
    }
  }

  std::size_t served() const noexcept { return served_; }

 private:
  void fill(std::string_view path, http::response<http::string_body>& response) {
    if (path == "/robots.txt") {
      response.set(http::field::content_type, "text/plain");
      response.body() = "User-agent: *\nDisallow:\n";
      return;
    }
    response.set(http::field::content_type, "text/html; charset=utf-8");
    auto page = page_at(path);
    if (page && *page < plan_.pages) {
      fern::sleep(plan_.latency);
      ++served_;
      response.body() = html(*page);
    } else {
      response.result(http::status::not_found);
      response.body() = "<p>No such page.";
    }
  }

  std::string html(std::size_t page) const {
    std::string title = "Page " + std::to_string(page);
    std::string text = "<!DOCTYPE html>\n<html><head><title>" + title +
                       "</title></head>\n<body><h1>" + title + "</h1>\n";
    if (page > 0) text += "<p><a href=\"" + path_of((page - 1) / links_per_page) + "\">Up</a>\n";
    text += "<ul>\n";
    std::size_t first = page * links_per_page + 1;
    for (std::size_t child = first; child < first + links_per_page && child < plan_.pages;
         ++child) {
      text += "<li><a href=\"" + path_of(child) + "\">Page " + std::to_string(child) + "</a>\n";
    }
    text += "</ul>\n</body></html>\n";
    return text;
  }

  SitePlan plan_;
  std::size_t served_ = 0;
};

}  // namespace

void serve_site(const SitePlan& plan, fern::Socket control) {
  Site site(plan);
  fern::StreamServer server(fern::Address::loopback(),
                            [&](fern::Socket socket) { site.serve(std::move(socket)); });
  server.start();
  control.sendall(std::to_string(server.address().port()) + "\n");
  control.recv(1);
  server.stop(fern::Deadline::past());
  try {
    control.sendall(std::to_string(site.served()) + "\n");
  } catch (const std::system_error&) {
    // The crawler has not just shut its end down, it is gone: there is nobody to tell.
  }
}

}  // namespace crawler
