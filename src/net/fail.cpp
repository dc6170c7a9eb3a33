#include "net/fail.hpp"

#include "core/hub.hpp"
#include "io/fd_table.hpp"

#include <fern/errors.hpp>

#include <string>
#include <system_error>

namespace fern::net {

void fail(int error, const std::string& what) {
  core::Hub* hub = core::Hub::here();
  if (error == io::error_interrupted && hub != nullptr &&
      (hub->running().pending & core::pending_throw) != 0) {
    core::throw_pending(hub->running());
  }
  if (error == io::error_in_hub && hub != nullptr && hub->on_own_stack()) {
    throw BlockingInHub(what + " was called on the hub's own stack");
  }
  if (error == io::error_deadline) throw TimeoutError(what + " timed out");
  throw std::system_error(error, std::system_category(), what);
}

}  // namespace fern::net
