#include "net/fail.hpp"

#include "core/hub.hpp"
#include "io/fd_table.hpp"

#include <fern/errors.hpp>

#include <cerrno>
#include <string>
#include <system_error>

namespace fern::net {

void fail(const char* what, const char* detail) {
  int error = errno;
  core::Hub* hub = core::Hub::here();
  if (error == io::error_interrupted && hub != nullptr && hub->running().pending != 0) {
    core::throw_pending(hub->running());
  }
  std::string text = what;
  if (error == io::error_in_hub && hub != nullptr && hub->on_own_stack()) {
    throw BlockingInHub(text + " was called on the hub's own stack");
  }
  if (detail != nullptr) text += detail;
  if (error == io::error_deadline) throw TimeoutError(text + " timed out");
  throw std::system_error(error, std::system_category(), text);
}

}  // namespace fern::net
