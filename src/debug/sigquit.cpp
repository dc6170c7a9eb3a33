#include "base/real.hpp"
#include "core/fault.hpp"
#include "core/hub.hpp"

#include <fern/debug.hpp>

#include <cerrno>
#include <csignal>
#include <sstream>
#include <string>
#include <system_error>

namespace fern::debug {
namespace {

// Listens for as long as the hub serves its thread. No core::Hub::External: a signal that only asks
// wakes nobody.
struct Listener final : core::Hub::Extension {
  explicit Listener(core::Hub& hub) : hub(hub), signal(hub.loop().listen(SIGQUIT, this, raised)) {
    if (signal == nullptr) {
      throw std::system_error(errno, std::system_category(), "fern::debug::on_sigquit()");
    }
    hub.attach(*this);
  }
  void ended() noexcept override;

  // On the hub's own stack.
  static void raised(void*, int) noexcept {
    try {
      std::ostringstream out;
      dump(out);
      std::string text = out.str();
      real::write_all(2, text.data(), text.size());
    } catch (...) {
      core::report_current("fern::debug::on_sigquit()");
    }
  }

  core::Hub& hub;
  core::Loop::Signal* signal;
};

thread_local Listener* listener = nullptr;

void Listener::ended() noexcept {
  hub.loop().unlisten(*signal);
  listener = nullptr;
  delete this;
}

}  // namespace

void on_sigquit() {
  if (listener == nullptr) listener = new Listener(core::Hub::current());
}

}  // namespace fern::debug
