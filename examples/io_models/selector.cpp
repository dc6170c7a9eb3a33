// Multiplexing: one call waits for all connections and says which are ready (select, poll, epoll).
// One thread. Level tells as long as a connection is ready, so one read each time will do; edge
// tells once, so whatever it tells of is read to the last byte.
#include "models.hpp"

#include <fern/selector.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace {

using fern::Interest;
using fern::Trigger;

struct Connection {
  std::string unsent = {};
};

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

// False when the connection has ended.
bool receive(int fd, Connection& connection, Trigger trigger, Served& served) {
  char buffer[4096];
  for (;;) {
    ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == ECONNRESET) ++served.resets;
    if (got <= 0) return got < 0 && would_block();
    connection.unsent.append(buffer, static_cast<std::size_t>(got));
    served.bytes += got;
    if (trigger == Trigger::Level) return true;
  }
}

bool send(int fd, Connection& connection) {
  ssize_t went = ::send(fd, connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
  if (went > 0) connection.unsent.erase(0, static_cast<std::size_t>(went));
  return went >= 0 || would_block();
}

void serve(const fern::Socket& listener, int connections, Trigger trigger, Served& served) {
  fern::Selector<Connection> selector(trigger);
  selector.add(listener.fd(), Interest::Read);
  while (served.connections < connections || selector.size() > 1) {
    for (auto& [fd, readable, writable, connection] : selector.wait()) {
      if (fd == listener.fd()) {
        int one;
        while ((one = ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
          selector.add(one, trigger == Trigger::Edge ? Interest::Both : Interest::Read);
          ++served.connections;
        }
        continue;
      }
      bool alive = !readable || receive(fd, *connection, trigger, served);
      if (alive && !connection->unsent.empty()) alive = send(fd, *connection);
      if (!alive) {
        selector.remove(fd);
        ::close(fd);
      } else if (trigger == Trigger::Level && writable != !connection->unsent.empty()) {
        // Level would tell of room for ever: ask only while there is something to send.
        selector.modify(fd, writable ? Interest::Read : Interest::Both);
      }
    }
  }
}

}  // namespace

void serve_level(fern::Socket listener, int connections, Served& served) {
  serve(listener, connections, Trigger::Level, served);
}

void serve_edge(fern::Socket listener, int connections, Served& served) {
  serve(listener, connections, Trigger::Edge, served);
}
