// Sockets made in one go: connections by name, servers, pairs.

#include "base/real.hpp"
#include "io/fd_table.hpp"
#include "io/syscalls.hpp"
#include "net/fail.hpp"
#include "net/socket_access.hpp"

#include <fern/dns.hpp>
#include <fern/socket.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <vector>

namespace fern {
namespace {

Socket for_address(const Address& address) {
  if (address.family() == Address::Family::Unix) return Socket::unix_stream();
  return Socket::tcp(address.family());
}

bool is_ip(const Address& address) noexcept {
  return address.family() == Address::Family::V4 || address.family() == Address::Family::V6;
}

// One address's share of the budget: an even part of what is left, but enough for a slow one.
Deadline share(Deadline budget, std::size_t addresses_left) {
  constexpr std::chrono::nanoseconds enough = std::chrono::seconds(2);
  if (budget.is_never() || addresses_left <= 1) return budget;
  std::chrono::nanoseconds part = budget.remaining() / static_cast<long>(addresses_left);
  return std::min(budget, Deadline(std::max(part, enough)));
}

// 0, or an errno of io::connect: what a kill or a Timeout scope means must not be mistaken for an
// address that does not answer.
int try_connection(Socket& socket, const Address& address, Deadline deadline) {
  try {
    socket = for_address(address);
  } catch (const std::system_error& error) {
    return error.code().value();  // a family that this machine does not have
  }
  if (is_ip(address)) SocketAccess::set_no_delay(socket.fd());
  auto size = static_cast<socklen_t>(address.raw_size());
  int failed =
      io::connect(socket.fd(), static_cast<const sockaddr*>(address.raw()), size, deadline);
  return failed == 0 ? 0 : errno;
}

[[noreturn]] void fail_at(int error, const Address& address) {
  net::fail(error, "fern::create_connection() to " + address.to_string());
}

}  // namespace

Socket create_connection(const Address& address, Deadline deadline) {
  Socket socket;
  if (int error = try_connection(socket, address, deadline); error != 0) fail_at(error, address);
  return socket;
}

Socket create_connection(std::string_view host, std::uint16_t port, Deadline deadline) {
  std::vector<Address> addresses = resolve(host, port, deadline);
  for (std::size_t left = addresses.size();; --left) {
    const Address& address = addresses[addresses.size() - left];
    Socket socket;
    int error = try_connection(socket, address, share(deadline, left));
    if (error == 0) return socket;
    bool ours = error == io::error_interrupted || error == io::error_in_hub;
    if (ours || left == 1 || deadline.expired()) fail_at(error, address);
  }
}

Socket create_server(const Address& address, int backlog) {
  Socket socket = for_address(address);
  if (is_ip(address)) socket.set_option(SOL_SOCKET, SO_REUSEADDR, 1);
  socket.bind(address);
  socket.listen(backlog);
  return socket;
}

std::pair<Socket, Socket> socketpair() {
  int both[2];
  const char* what = "fern::socketpair()";
  if (real::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both) < 0) {
    net::fail(errno, what);
  }
  Socket first = SocketAccess::adopted(-1);
  try {
    first = SocketAccess::opened(both[0], true, what);
  } catch (...) {
    real::close(both[1]);
    throw;
  }
  return {std::move(first), SocketAccess::opened(both[1], true, what)};
}

}  // namespace fern
