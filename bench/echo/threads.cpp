// An OS thread for each connection (glibc's pthreads by std::thread), -O2, with blocking calls.
#include <unistd.h>

#include <array>
#include <thread>

#include "server.hpp"

int main() {
  int listener = echo::listen_here();
  for (int fd; (fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
    echo::no_delay(fd);
    std::thread([fd] {
      std::array<char, echo::buffer_size> data;
      for (ssize_t came; (came = recv(fd, data.data(), data.size(), 0)) > 0;) {
        if (send(fd, data.data(), static_cast<std::size_t>(came), MSG_NOSIGNAL) != came) break;
      }
      close(fd);
    }).detach();
  }
}
