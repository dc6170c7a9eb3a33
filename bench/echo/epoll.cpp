// The limit, Linux's epoll(7) by hand, -O2: level-triggered, each connection armed once and left
// armed. Tried and slower: edge-triggered with reading to EAGAIN (a recv more each time), arming
// again before each wait (an epoll_ctl more each time).
#include <sys/epoll.h>
#include <unistd.h>

#include <array>

#include "server.hpp"

int main() {
  int listener = echo::listen_here(SOCK_NONBLOCK);
  int poll = epoll_create1(EPOLL_CLOEXEC);
  auto arm = [&](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0) echo::die("epoll_ctl");
  };
  arm(listener);
  std::array<epoll_event, 1024> events;
  std::array<char, echo::buffer_size> data;
  for (;;) {
    int count = epoll_wait(poll, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener) {
        for (int fresh;
             (fresh = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
          echo::no_delay(fresh);
          arm(fresh);
        }
        continue;
      }
      ssize_t came = recv(fd, data.data(), data.size(), 0);
      if (came < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      // The client reads as fast as it is answered: its window has room for the answer.
      if (came <= 0 || send(fd, data.data(), static_cast<std::size_t>(came), MSG_NOSIGNAL) != came)
        close(fd);
    }
  }
}
