// Blocking: each call waits inside of the kernel, so each connection needs a thread of its own.
#include "models.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <thread>
#include <vector>

namespace {

// False when the connection is gone.
bool send_all(int fd, const char* data, ssize_t size) {
  while (size > 0) {
    ssize_t went = ::send(fd, data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
    if (went < 0) return false;
    data += went;
    size -= went;
  }
  return true;
}

void echo(int fd, Served& served) {
  std::vector<char> buffer(4096);
  for (;;) {
    ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == ECONNRESET) ++served.resets;
    if (got <= 0 || !send_all(fd, buffer.data(), got)) break;
    served.bytes += got;
  }
  ::close(fd);
}

}  // namespace

void serve_blocking(fern::Socket listener, int connections, Served& served) {
  int fd = listener.release();
  ::fcntl(fd, F_SETFL, 0);  // Fern had made it non-blocking
  std::vector<std::thread> threads;
  for (; served.connections < connections; ++served.connections) {
    int connection = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) throw std::system_error(errno, std::system_category(), "accept()");
    threads.emplace_back([connection, &served] { echo(connection, served); });
  }
  for (auto& thread : threads) thread.join();
  ::close(fd);
}
