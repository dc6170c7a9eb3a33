#include <fern/detail/socket_parts.hpp>

#include "io/fd_table.hpp"
#include "io/syscalls.hpp"
#include "net/fail.hpp"
#include "net/socket_access.hpp"

#include <algorithm>
#include <cerrno>

namespace fern::detail {
namespace {

constexpr std::size_t most_parts = 16;

struct Message {
  Message(const Part* parts, std::size_t count) noexcept {
    header.msg_iov = vectors;
    header.msg_iovlen = std::min(count, most_parts);
    for (std::size_t i = 0; i < header.msg_iovlen; ++i) vectors[i] = {parts[i].data, parts[i].size};
  }
  msghdr header{};
  iovec vectors[most_parts];
};

std::size_t result(ssize_t moved, const char* what, int& error) {
  error = moved < 0 ? errno : 0;
  if (moved >= 0) return static_cast<std::size_t>(moved);
  bool ours =
      error == io::error_deadline || error == io::error_interrupted || error == io::error_in_hub;
  if (ours) net::fail(error, what);
  return 0;
}

}  // namespace

std::size_t recv_parts(Socket& socket, const Part* parts, std::size_t count, Deadline deadline,
                       int& error) {
  Deadline until = SocketAccess::limit(socket, deadline);
  if (count == 1) {
    ssize_t got = io::recv(socket.fd(), parts->data, parts->size, 0, until);
    return result(got, "fern::Socket::recv()", error);
  }
  Message message(parts, count);
  return result(io::recvmsg(socket.fd(), &message.header, 0, until), "fern::Socket::recv()", error);
}

std::size_t send_parts(Socket& socket, const Part* parts, std::size_t count, Deadline deadline,
                       int& error) {
  Deadline until = SocketAccess::limit(socket, deadline);
  if (count == 1) {
    ssize_t went = io::send(socket.fd(), parts->data, parts->size, 0, until);
    return result(went, "fern::Socket::send()", error);
  }
  Message message(parts, count);
  return result(io::sendmsg(socket.fd(), &message.header, 0, until), "fern::Socket::send()", error);
}

}  // namespace fern::detail
