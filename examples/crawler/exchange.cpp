#include "exchange.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/optional/optional.hpp>
#include <boost/system/error_code.hpp>
#include <fern/asio.hpp>
#include <fern/greenlet.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace crawler {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::uint32_t max_head = 64 * 1024;  // bytes of an answer's head

// A body that is handed on as it arrives, up to a limit, and kept nowhere.
struct PassingBody {
  struct value_type {
    const Fetcher::Taker* take = nullptr;
    Answer* answer = nullptr;
    std::uint64_t max_bytes = 0;
  };

  class reader {
   public:
    template <bool is_request, class Fields>
    reader(http::header<is_request, Fields>&, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>& length, error_code& error) {
      error = {};
      if (length && *length > body_.max_bytes) error = http::error::body_limit;
    }

    template <class Buffers>
    std::size_t put(const Buffers& buffers, error_code& error) {
      error = {};
      std::size_t taken = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        boost::asio::const_buffer piece = *it;
        taken += piece.size();
        body_.answer->bytes += piece.size();
        if (body_.answer->bytes > body_.max_bytes) {
          error = http::error::body_limit;
          break;
        }
        (*body_.take)({static_cast<const char*>(piece.data()), piece.size()});
      }
      return taken;
    }

    void finish(error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

using Parser = http::response_parser<PassingBody>;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// Throws what a failed read means to the user.
[[noreturn]] void fail(const error_code& error, bool answered) {
  if (error == http::error::end_of_stream) {
    throw ConnectionError("connection closed without an answer");
  }
  if (error == http::error::partial_message) {
    throw FetchError("broken answer: the connection was closed inside of it");
  }
  if (error == http::error::body_limit) throw FetchError("body over the size limit");
  if (error.category() == http::make_error_code(http::error::end_of_stream).category()) {
    throw FetchError("broken answer: " + error.message());
  }
  if (!answered) throw ConnectionError(error.message());
  throw FetchError(error.message());
}

http::request<http::empty_body> request_for(const Url& url, const Options& options) {
  constexpr unsigned http_1_1 = 11;
  std::string_view target = url.target();
  http::request<http::empty_body> request(http::verb::get, {target.data(), target.size()},
                                          http_1_1);
  std::string_view host = url.authority();
  request.set(http::field::host, {host.data(), host.size()});
  request.set(http::field::user_agent, options.user_agent);
  request.set(http::field::accept, "text/html, */*;q=0.1");
  request.set(http::field::accept_encoding, "identity");
  return request;
}

void read_some(Connection& connection, fern::AsioStream& stream, Parser& parser) {
  error_code error;
  http::read_some(stream, connection.buffer, parser, error);
  if (error) fail(error, parser.got_some());
  // What is there already is read without a wait: this lets the others on, and a timeout in.
  fern::yield();
}

// "text/html; charset=utf-8" as two fields.
void take_content_type(std::string_view value, Answer& answer) {
  constexpr std::string_view blanks = " \t";
  constexpr std::string_view key = "charset=";
  std::string text = lower(value);
  answer.type = text.substr(0, text.find(';'));
  answer.type.erase(answer.type.find_last_not_of(blanks) + 1);
  std::size_t at = text.find(key, answer.type.size());
  if (at == std::string::npos) return;
  at = text.find_first_not_of('"', at + key.size());
  if (at != std::string::npos)
    answer.charset = text.substr(at, text.find_first_of("\"; \t", at) - at);
}

void take_head(const http::response_header<>& head, Answer& answer) {
  answer.status = head.result_int();
  answer.reason = view(http::obsolete_reason(head.result()));
  answer.location = view(head[http::field::location]);
  take_content_type(view(head[http::field::content_type]), answer);
  std::string encoding = lower(view(head[http::field::content_encoding]));
  if (!encoding.empty() && encoding != "identity") {
    throw FetchError("a content encoding that was not asked for");
  }
}

}  // namespace

bool exchange(Connection& connection, const Url& url, const Options& options, Answer& answer,
              const Fetcher::Taker& take) {
  constexpr unsigned switching_protocols = 101;
  fern::AsioStream stream(connection.socket);
  error_code error;
  http::write(stream, request_for(url, options), error);
  if (error) throw ConnectionError(error.message());
  for (;;) {
    answer = {};
    Parser parser;
    parser.get().body() = {&take, &answer, options.max_bytes};
    parser.header_limit(max_head);
    parser.body_limit(boost::none);
    while (!parser.is_header_done()) read_some(connection, stream, parser);
    unsigned status = parser.get().result_int();
    bool provisional = status / 100 == 1 && status != switching_protocols;
    if (provisional) continue;  // the answer proper follows
    take_head(parser.get(), answer);
    parser.eager(true);
    while (!parser.is_done()) read_some(connection, stream, parser);
    return parser.keep_alive() && connection.buffer.size() == 0;
  }
}

}  // namespace crawler
