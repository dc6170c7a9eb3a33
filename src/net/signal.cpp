#include <fern/signal.hpp>

#include "core/fault.hpp"
#include "core/hub.hpp"

#include <fern/greenlet.hpp>

#include <cerrno>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace fern {

// Belongs to the handler, whose last act is a message to the hub if that is another thread's; the
// hub may have ended by then, and serve another thread.
struct SignalHandler::State final : core::Hub::Extension, detail::Remote {
  State(core::Hub& hub, detail::Function<void(int)> f)
      : hub(hub), f(std::make_shared<detail::Function<void(int)>>(std::move(f))) {}

  core::Hub& hub;
  std::optional<core::Hub::External> external;     // while it listens
  std::shared_ptr<detail::Function<void(int)>> f;  // greenlets may outlive the handler
  core::Loop::Signal* signal = nullptr;            // the hub's thread only; null once it has ended

  static void raised(void* self, int number) noexcept;

  void listen(int number) {
    signal = hub.loop().listen(number, this, raised);
    if (signal == nullptr) {
      throw std::system_error(errno, std::system_category(), "fern::on_signal()");
    }
    hub.attach(*this);
    external.emplace(hub);
  }
  void ended() noexcept override {
    hub.loop().unlisten(*std::exchange(signal, nullptr));
    external.reset();
  }
  void end() noexcept {
    if (signal != nullptr) {
      hub.detach(*this);
      ended();
    }
    delete this;
  }
};

// On the hub's own stack.
void SignalHandler::State::raised(void* self, int number) noexcept {
  try {
    spawn_raw([f = static_cast<State*>(self)->f, number] { (*f)(number); });
  } catch (...) {
    core::report_current("fern::on_signal()");
  }
}

SignalHandler detail::listen_to(int number, Function<void(int)> f) {
  auto state = std::make_unique<SignalHandler::State>(core::Hub::current(), std::move(f));
  state->listen(number);
  SignalHandler handler;
  handler.state_ = state.release();
  return handler;
}

void SignalHandler::cancel() noexcept {
  State* state = std::exchange(state_, nullptr);
  if (state == nullptr) return;
  if (core::Hub::here() == &state->hub) {
    state->end();
    return;
  }
  state->run = [](detail::Remote* remote) noexcept { static_cast<State*>(remote)->end(); };
  state->hub.post(static_cast<detail::Remote&>(*state));
}

}  // namespace fern
