#include <fern/socket.hpp>

#include "base/real.hpp"
#include "io/fd_table.hpp"
#include "io/syscalls_here.hpp"
#include "net/fail.hpp"
#include "net/socket_access.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>

namespace fern {
namespace {

// Room for what the kernel writes, of whatever family.
struct RawAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* raw() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  Address address() const noexcept { return Address::from_raw(&storage, size); }
};

const sockaddr* raw(const Address& address) noexcept {
  return static_cast<const sockaddr*>(address.raw());
}

socklen_t raw_size(const Address& address) noexcept {
  return static_cast<socklen_t>(address.raw_size());
}

int domain(Address::Family family) noexcept {
  switch (family) {
    case Address::Family::V4:
      return AF_INET;
    case Address::Family::V6:
      return AF_INET6;
    case Address::Family::Unix:
      return AF_UNIX;
    case Address::Family::None:
      break;
  }
  return AF_UNSPEC;
}

[[noreturn]] void fail_at(int error, const char* what, const Address& address) {
  net::fail(error, std::string(what) + " to " + address.to_string());
}

[[noreturn]] void fail_after(int error, const char* what, std::size_t done, std::size_t all) {
  net::fail(error, std::string(what) + " after " + std::to_string(done) + " of " +
                       std::to_string(all) + " bytes");
}

int get_option(int fd, int level, int name, const char* what) {
  int value = 0;
  socklen_t size = sizeof value;
  if (real::getsockopt(fd, level, name, &value, &size) < 0) net::fail(errno, what);
  return value;
}

__attribute__((noinline)) Deadline earlier(Deadline deadline, std::int64_t timeout_ns) {
  return std::min(deadline, Deadline(std::chrono::nanoseconds(timeout_ns)));
}

}  // namespace

Socket SocketAccess::opened(int fd, bool stream, const char* what) {
  if (fd < 0) net::fail(errno, what);
  if (!io::adopt(fd, stream)) {
    real::close(fd);
    net::fail(EMFILE, what);
  }
  return adopted(fd);
}

Socket::Socket(int fd) {
  const char* what = "fern::Socket::Socket()";
  bool stream = get_option(fd, SOL_SOCKET, SO_TYPE, what) == SOCK_STREAM;
  int flags = real::fcntl(fd, F_GETFL, 0);
  if (flags < 0) net::fail(errno, what);
  if ((flags & O_NONBLOCK) == 0 && real::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
    net::fail(errno, what);
  if (!io::adopt(fd, stream)) {
    real::fcntl(fd, F_SETFL, flags);
    net::fail(EMFILE, what);
  }
  flags_ = flags;
  fd_.store(fd, std::memory_order_relaxed);
}

void Socket::take(Socket& other) noexcept {
  flags_ = std::exchange(other.flags_, -1);
  timeout_ns_.store(other.timeout_ns_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  frames_.store(other.frames_.exchange(nullptr, std::memory_order_relaxed),
                std::memory_order_relaxed);
  fd_.store(other.fd_.exchange(-1, std::memory_order_relaxed), std::memory_order_relaxed);
}

Socket::Socket(Socket&& other) noexcept { take(other); }

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    drop_frames();
    if (int old = fd_.exchange(-1, std::memory_order_relaxed); old >= 0) io::close(old, false);
    take(other);
  }
  return *this;
}

Socket::~Socket() {
  drop_frames();
  if (int old = fd(); old >= 0) io::close(old, false);
}

Socket Socket::make(Address::Family family, int type, const char* what) {
  int fd = real::socket(domain(family), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return SocketAccess::opened(fd, type == SOCK_STREAM, what);
}

Socket Socket::tcp(Address::Family family) {
  return make(family, SOCK_STREAM, "fern::Socket::tcp()");
}

Socket Socket::udp(Address::Family family) {
  return make(family, SOCK_DGRAM, "fern::Socket::udp()");
}

Socket Socket::unix_stream() {
  return make(Address::Family::Unix, SOCK_STREAM, "fern::Socket::unix_stream()");
}

Deadline Socket::limit(Deadline deadline) const {
  std::int64_t timeout = timeout_ns_.load(std::memory_order_relaxed);
  return timeout == no_timeout ? deadline : earlier(deadline, timeout);
}

void Socket::set_timeout(std::optional<std::chrono::nanoseconds> timeout) noexcept {
  std::int64_t ns = timeout ? std::max<std::int64_t>(timeout->count(), 0) : no_timeout;
  timeout_ns_.store(ns, std::memory_order_relaxed);
}

void Socket::bind(const Address& address) {
  if (real::bind(fd(), raw(address), raw_size(address)) < 0) {
    fail_at(errno, "fern::Socket::bind()", address);
  }
}

void Socket::listen(int backlog) {
  if (real::listen(fd(), backlog) < 0) net::fail(errno, "fern::Socket::listen()");
}

Socket Socket::accept(Address& peer, Deadline deadline) {
  const char* what = "fern::Socket::accept()";
  Deadline until = limit(deadline);
  for (;;) {
    RawAddress from;
    int accepted = io::accept(fd(), from.raw(), &from.size, until);
    if (accepted >= 0) {
      Socket connection = SocketAccess::adopted(accepted);
      peer = from.address();
      if (peer.family() == Address::Family::V4 || peer.family() == Address::Family::V6) {
        SocketAccess::set_no_delay(accepted);
      }
      return connection;
    }
    if (errno != ECONNABORTED) net::fail(errno, what);
  }
}

Socket Socket::accept(Deadline deadline) {
  Address peer;
  return accept(peer, deadline);
}

void Socket::connect(const Address& address, Deadline deadline) {
  if (io::connect(fd(), raw(address), raw_size(address), limit(deadline)) < 0) {
    fail_at(errno, "fern::Socket::connect()", address);
  }
}

std::size_t Socket::send(detail::ConstBytes data, Deadline deadline) {
  ssize_t sent = io::send(fd(), data.data(), data.size(), 0, limit(deadline));
  if (sent < 0) net::fail(errno, "fern::Socket::send()");
  return static_cast<std::size_t>(sent);
}

void Socket::sendall(detail::ConstBytes data, Deadline deadline) {
  if (data.size() == 0) return;
  const ssize_t went = io::send_now(fd(), data.data(), data.size(), 0);
  if (static_cast<std::size_t>(went) != data.size()) [[unlikely]]
    sendall_rest(data, went, limit(deadline));
}

// Most goes at once: this goes on after a first try.
__attribute__((noinline)) void Socket::sendall_rest(detail::ConstBytes data, std::ptrdiff_t went,
                                                    Deadline until) {
  for (std::size_t sent = 0;;) {
    if (went < 0) went = io::send_on(fd(), data.data() + sent, data.size() - sent, 0, until);
    if (went < 0) fail_after(errno, "fern::Socket::sendall()", sent, data.size());
    sent += static_cast<std::size_t>(went);
    if (sent == data.size()) return;
    went = io::send_now(fd(), data.data() + sent, data.size() - sent, 0);
  }
}

std::size_t Socket::recv(detail::Bytes buffer, Deadline deadline) {
  ssize_t got = io::recv_here(fd(), buffer.data(), buffer.size(), limit(deadline), this);
  if (got < 0) net::fail(errno, "fern::Socket::recv()");
  return static_cast<std::size_t>(got);
}

std::string Socket::recv(std::size_t most, Deadline deadline) {
  // Received where the last one was, which is near, and kept as what it is: a string of its own to
  // wait with would be a place to be filled with zeros, and far by the time that it is used.
  io::FdTable* table = io::FdTable::make_here();
  if (table == nullptr || most > table->scratch().size()) {
    std::string data(most, '\0');
    data.resize(recv(data, deadline));
    return data;
  }
  char* scratch = table->scratch().data();
  return {scratch, recv(detail::Bytes(scratch, most), deadline)};
}

bool Socket::recv_exact(detail::Bytes buffer, Deadline deadline) {
  Deadline until = limit(deadline);
  std::size_t got = 0;
  while (got < buffer.size()) {
    ssize_t came = io::recv(fd(), buffer.data() + got, buffer.size() - got, 0, until);
    if (came == 0 && got == 0) return false;
    if (came <= 0) {
      int error = came == 0 ? ECONNRESET : errno;
      fail_after(error, "fern::Socket::recv_exact()", got, buffer.size());
    }
    got += static_cast<std::size_t>(came);
  }
  return true;
}

std::size_t Socket::recvfrom(detail::Bytes buffer, Address& from, Deadline deadline) {
  RawAddress peer;
  ssize_t got =
      io::recvfrom(fd(), buffer.data(), buffer.size(), 0, peer.raw(), &peer.size, limit(deadline));
  if (got < 0) net::fail(errno, "fern::Socket::recvfrom()");
  from = peer.address();
  return static_cast<std::size_t>(got);
}

std::pair<std::string, Address> Socket::recvfrom(std::size_t most, Deadline deadline) {
  std::pair<std::string, Address> result(std::string(most, '\0'), Address());
  result.first.resize(recvfrom(result.first, result.second, deadline));
  return result;
}

std::size_t Socket::sendto(detail::ConstBytes data, const Address& to, Deadline deadline) {
  ssize_t sent =
      io::sendto(fd(), data.data(), data.size(), 0, raw(to), raw_size(to), limit(deadline));
  if (sent < 0) fail_at(errno, "fern::Socket::sendto()", to);
  return static_cast<std::size_t>(sent);
}

void Socket::shutdown(Direction direction) {
  int how = direction == Direction::Receive ? SHUT_RD
            : direction == Direction::Send  ? SHUT_WR
                                            : SHUT_RDWR;
  if (io::shutdown(fd(), how) < 0) net::fail(errno, "fern::Socket::shutdown()");
}

void Socket::close() noexcept {
  int old = fd_.exchange(-1);
  if (old < 0) return;
  close_frames();
  io::close(old, true);
}

int Socket::release() noexcept {
  int old = fd_.exchange(-1);
  if (old < 0) return -1;
  close_frames();
  io::release(old);
  int flags = std::exchange(flags_, -1);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) {
    int now = real::fcntl(old, F_GETFL, 0);
    if (now >= 0) real::fcntl(old, F_SETFL, now & ~O_NONBLOCK);
  }
  return old;
}

void Socket::set_option(int level, int name, int value) {
  if (real::setsockopt(fd(), level, name, &value, sizeof value) < 0) {
    net::fail(errno, "fern::Socket::set_option()");
  }
}

int Socket::option(int level, int name) const {
  return get_option(fd(), level, name, "fern::Socket::option()");
}

Address Socket::local_address() const {
  RawAddress local;
  if (real::getsockname(fd(), local.raw(), &local.size) < 0) {
    net::fail(errno, "fern::Socket::local_address()");
  }
  return local.address();
}

Address Socket::remote_address() const {
  RawAddress remote;
  if (real::getpeername(fd(), remote.raw(), &remote.size) < 0) {
    net::fail(errno, "fern::Socket::remote_address()");
  }
  return remote.address();
}

void SocketAccess::set_no_delay(int fd) noexcept {
  int yes = 1;
  real::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);  // a wish, not a need
}

}  // namespace fern
