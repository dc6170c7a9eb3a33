// libuv 1.44.2 (libuv1-dev), -O2: a uv_poll_t on each connection, armed once and left armed; the
// reading and sending by hand. Tried and slower: starting and stopping it for each wait, and
// edge-triggered epoll in its loop.
#include <unistd.h>
#include <uv.h>

#include <array>

#include "server.hpp"

namespace {

std::array<char, echo::buffer_size> data;

void on_closed(uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); }

void on_data(uv_poll_t* watch, int status, int) {
  int fd = 0;
  uv_fileno(reinterpret_cast<uv_handle_t*>(watch), &fd);
  ssize_t came = status < 0 ? 0 : recv(fd, data.data(), data.size(), 0);
  if (came < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (came > 0 && send(fd, data.data(), static_cast<std::size_t>(came), MSG_NOSIGNAL) == came)
    return;
  uv_poll_stop(watch);
  close(fd);
  uv_close(reinterpret_cast<uv_handle_t*>(watch), on_closed);
}

void on_connection(uv_poll_t* watch, int, int) {
  int listener = 0;
  uv_fileno(reinterpret_cast<uv_handle_t*>(watch), &listener);
  for (int fd; (fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    echo::no_delay(fd);
    auto* fresh = new uv_poll_t;
    uv_poll_init(watch->loop, fresh, fd);
    uv_poll_start(fresh, UV_READABLE, on_data);
  }
}

}  // namespace

int main() {
  uv_poll_t listener;
  uv_poll_init(uv_default_loop(), &listener, echo::listen_here(SOCK_NONBLOCK));
  uv_poll_start(&listener, UV_READABLE, on_connection);
  return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
