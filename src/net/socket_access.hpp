#pragma once

#include <fern/socket.hpp>

namespace fern {

// SocketAccess makes Sockets of descriptors that are Fern's from the beginning.
struct SocketAccess {
  // adopted() takes over a descriptor that io has adopted already.
  static Socket adopted(int fd) noexcept {
    Socket socket;
    socket.fd_.store(fd, std::memory_order_relaxed);
    return socket;
  }

  // opened() adopts a new, non-blocking one, or throws for `what` when it is negative.
  static Socket opened(int fd, bool stream, const char* what);

  // limit() is the earlier of the Deadline and what set_timeout() allows.
  static Deadline limit(const Socket& socket, Deadline deadline) { return socket.limit(deadline); }

  static void set_no_delay(int fd) noexcept;
};

}  // namespace fern
