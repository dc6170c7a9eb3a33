// Green: written like the blocking one, with greenlets for threads. One thread; a call that would
// block lets another greenlet run.
#include "models.hpp"

#include <fern/greenlet.hpp>
#include <fern/wait.hpp>

#include <cerrno>
#include <span>
#include <system_error>
#include <vector>

namespace {

void echo(fern::Socket connection, Served& served) {
  std::vector<char> buffer(4096);
  try {
    while (std::size_t got = connection.recv(buffer)) {
      connection.sendall(std::span(buffer.data(), got));
      served.bytes += static_cast<long>(got);
    }
  } catch (const std::system_error& error) {
    if (error.code().value() == ECONNRESET) ++served.resets;
  }
}

}  // namespace

void serve_green(fern::Socket listener, int connections, Served& served) {
  std::vector<fern::Greenlet<void>> greenlets;
  for (; served.connections < connections; ++served.connections) {
    greenlets.push_back(fern::spawn(echo, listener.accept(), std::ref(served)));
  }
  fern::joinall(greenlets);
}
