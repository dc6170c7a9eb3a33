#include "fern/asio.hpp"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <string>
#include <tuple>
#include <vector>

#include "fern/errors.hpp"
#include "fern/greenlet.hpp"
#include "support.hpp"

namespace asio = boost::asio;
namespace http = boost::beast::http;
using namespace std::chrono_literals;

namespace {

static_assert(boost::beast::is_sync_stream<fern::AsioStream>::value);

class AsioTest : public FernTest {
 protected:
  fern::Socket a;
  fern::Socket b;
  AsioTest() { std::tie(a, b) = fern::socketpair(); }
};

TEST_F(AsioTest, ReadsAndWritesSeveralBuffersAtOnce) {
  fern::AsioStream from(a);
  fern::AsioStream to(b);
  std::vector<asio::const_buffer> out{asio::buffer("he", 2), asio::const_buffer(),
                                      asio::buffer("llo", 3)};
  EXPECT_EQ(from.write_some(out), 5U);
  char first[1];
  char second[10];
  std::array<asio::mutable_buffer, 2> in{asio::buffer(first), asio::buffer(second)};
  EXPECT_EQ(to.read_some(in), 5U);
  EXPECT_EQ(first[0], 'h');
  EXPECT_EQ(std::string(second, 4), "ello");
  EXPECT_EQ(to.read_some(asio::mutable_buffer()), 0U);
  EXPECT_EQ(from.write_some(asio::const_buffer()), 0U);
}

TEST_F(AsioTest, ThePeersEndIsEof) {
  fern::AsioStream stream(a);
  b.close();
  char byte[1];
  boost::system::error_code error;
  EXPECT_EQ(stream.read_some(asio::buffer(byte), error), 0U);
  EXPECT_EQ(error, asio::error::eof);
  EXPECT_THROW(stream.read_some(asio::buffer(byte)), boost::system::system_error);
  stream.write_some(asio::buffer("x", 1), error);
  EXPECT_EQ(error, asio::error::broken_pipe);
}

TEST_F(AsioTest, TimeRunningOutIsThrownWhateverTheCall) {
  fern::AsioStream stream(a);
  stream.set_deadline(1ms);
  char byte[1];
  boost::system::error_code error;
  EXPECT_THROW(stream.read_some(asio::buffer(byte), error), fern::TimeoutError);
  stream.set_deadline({});
  a.set_timeout(1ms);
  EXPECT_THROW(stream.read_some(asio::buffer(byte)), fern::TimeoutError);
}

TEST_F(AsioTest, AKillIsThrownWhateverTheCall) {
  auto reader = fern::spawn([&] {
    fern::AsioStream stream(a);
    char byte[1];
    boost::system::error_code error;
    stream.read_some(asio::buffer(byte), error);
  });
  fern::sleep(1ms);
  reader.kill();
  EXPECT_TRUE(reader.killed());
}

TEST_F(AsioTest, BeastTalksHttpOverIt) {
  auto server = fern::spawn([&] {
    fern::AsioStream stream(b);
    boost::beast::flat_buffer buffer;
    http::request<http::string_body> request;
    http::read(stream, buffer, request);
    http::response<http::string_body> response{http::status::ok, 11};
    response.body() = std::string(1 << 20, 'x') + std::string(request.target());
    response.chunked(true);
    http::write(stream, response);
  });
  fern::AsioStream stream(a);
  stream.set_deadline(30s);
  http::request<http::empty_body> request{http::verb::get, "/page", 11};
  request.set(http::field::host, "test");
  http::write(stream, request);
  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(2 << 20);
  http::read(stream, buffer, parser);
  EXPECT_EQ(parser.get().body(), std::string(1 << 20, 'x') + "/page");
  server.get();
}

}  // namespace
