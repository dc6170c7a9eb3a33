// state-threads 1.9 (libst-dev), -O2. Recommended: its epoll event system instead of select.
// Nothing else was tried.
#include <st.h>

#include "server.hpp"

namespace {

void* serve(void* argument) {
  auto* socket = static_cast<st_netfd_t>(argument);
  char data[echo::buffer_size];
  for (ssize_t came; (came = st_read(socket, data, sizeof data, ST_UTIME_NO_TIMEOUT)) > 0;) {
    if (st_write(socket, data, static_cast<std::size_t>(came), ST_UTIME_NO_TIMEOUT) != came) break;
  }
  st_netfd_close(socket);
  return nullptr;
}

}  // namespace

int main() {
  st_set_eventsys(ST_EVENTSYS_ALT);
  if (st_init() < 0) echo::die("st_init");
  st_netfd_t listener = st_netfd_open_socket(echo::listen_here());
  while (st_netfd_t socket = st_accept(listener, nullptr, nullptr, ST_UTIME_NO_TIMEOUT)) {
    echo::no_delay(st_netfd_fileno(socket));
    st_thread_create(serve, socket, 0, 64 * 1024);
  }
}
