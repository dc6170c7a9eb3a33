// Polling: nothing blocks, and the program asks every connection again and again. One thread, and
// all of a processor, however little there is to do.
#include "models.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

namespace {

struct Connection {
  int fd;
  std::string unsent = {};
};

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

// Does what can be done now; false when the connection has ended.
bool work(Connection& connection, Served& served) {
  char buffer[4096];
  ssize_t got = ::recv(connection.fd, buffer, sizeof buffer, 0);
  if (got == 0) return false;
  if (got > 0) {
    connection.unsent.append(buffer, static_cast<std::size_t>(got));
    served.bytes += got;
  } else if (!would_block()) {
    if (errno == ECONNRESET) ++served.resets;
    return false;
  }
  if (connection.unsent.empty()) return true;
  std::string& unsent = connection.unsent;
  ssize_t went = ::send(connection.fd, unsent.data(), unsent.size(), MSG_NOSIGNAL);
  if (went > 0) unsent.erase(0, static_cast<std::size_t>(went));
  return went >= 0 || would_block();
}

}  // namespace

void serve_polling(fern::Socket listener, int connections, Served& served) {
  std::vector<Connection> open;
  while (served.connections < connections || !open.empty()) {
    int fd = ::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      open.push_back({fd});
      ++served.connections;
    } else if (!would_block()) {
      throw std::system_error(errno, std::system_category(), "accept()");
    }
    std::erase_if(open, [&](Connection& connection) {
      if (work(connection, served)) return false;
      ::close(connection.fd);
      return true;
    });
  }
}
