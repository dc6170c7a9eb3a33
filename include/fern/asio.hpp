#pragma once

// AsioStream makes a Socket an Asio SyncReadStream and SyncWriteStream, so that Boost.Beast and
// others who are written for those run on greenlets unchanged:
//
//   namespace http = boost::beast::http;
//   fern::Socket socket = fern::create_connection("example.org", 80, 5s);
//   fern::AsioStream stream(socket);
//   stream.set_deadline(10s);                    // one budget for the exchange
//   http::write(stream, request);
//   boost::beast::flat_buffer buffer;
//   http::response<http::string_body> response;
//   http::read(stream, buffer, response);
//
// Errors of the network are boost::system ones, thrown or in the error_code; the peer's end is
// boost::asio::error::eof. Time running out (TimeoutError) and a kill (GreenletExit) are thrown by
// every call, the ones with an error_code too: a loop that looks at codes cannot swallow them.
//
// The only header of Fern that includes Boost, and nothing but Asio's buffers and errors; not in
// fern.hpp.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/socket_parts.hpp>
#include <fern/socket.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <cstddef>

namespace fern {

class AsioStream {
 public:
  // The socket must outlive the stream, and is used by it as by anybody else.
  explicit AsioStream(Socket& socket) noexcept : socket_(&socket) {}

  Socket& socket() const noexcept { return *socket_; }

  // set_deadline() is for all calls until it is set anew; forever at first.
  void set_deadline(Deadline deadline) noexcept { deadline_ = deadline; }

  // read_some() waits until something has come and returns how much was put into the buffers;
  // write_some() until some of them has gone. Without room or data they return 0 at once.
  template <class MutableBuffers>
  std::size_t read_some(const MutableBuffers& buffers, boost::system::error_code& error) {
    Parts parts;
    for (auto at = boost::asio::buffer_sequence_begin(buffers);
         at != boost::asio::buffer_sequence_end(buffers); ++at) {
      parts.add(boost::asio::mutable_buffer(*at));
    }
    error = {};
    if (parts.count == 0) return 0;
    int number = 0;
    std::size_t got = detail::recv_parts(*socket_, parts.all, parts.count, deadline_, number);
    if (number != 0) {
      error.assign(number, boost::system::system_category());
    } else if (got == 0) {
      error = boost::asio::error::eof;
    }
    return got;
  }
  template <class MutableBuffers>
  std::size_t read_some(const MutableBuffers& buffers) {
    boost::system::error_code error;
    std::size_t got = read_some(buffers, error);
    if (error) throw boost::system::system_error(error, "fern::AsioStream::read_some()");
    return got;
  }

  template <class ConstBuffers>
  std::size_t write_some(const ConstBuffers& buffers, boost::system::error_code& error) {
    Parts parts;
    for (auto at = boost::asio::buffer_sequence_begin(buffers);
         at != boost::asio::buffer_sequence_end(buffers); ++at) {
      boost::asio::const_buffer buffer(*at);
      parts.add({const_cast<void*>(buffer.data()), buffer.size()});
    }
    error = {};
    if (parts.count == 0) return 0;
    int number = 0;
    std::size_t went = detail::send_parts(*socket_, parts.all, parts.count, deadline_, number);
    if (number != 0) error.assign(number, boost::system::system_category());
    return went;
  }
  template <class ConstBuffers>
  std::size_t write_some(const ConstBuffers& buffers) {
    boost::system::error_code error;
    std::size_t went = write_some(buffers, error);
    if (error) throw boost::system::system_error(error, "fern::AsioStream::write_some()");
    return went;
  }

 private:
  // The first of a sequence's buffers that are not empty: "some" of them.
  struct Parts {
    void add(boost::asio::mutable_buffer buffer) noexcept {
      if (buffer.size() > 0 && count < most) all[count++] = {buffer.data(), buffer.size()};
    }
    static constexpr std::size_t most = 16;
    detail::Part all[most];
    std::size_t count = 0;
  };

  Socket* socket_;
  Deadline deadline_;
};

}  // namespace fern
