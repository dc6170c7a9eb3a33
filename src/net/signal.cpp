#include <fern/signal.hpp>

#include "core/fault.hpp"
#include "core/hub.hpp"
#include "net/signals.hpp"

#include <fern/greenlet.hpp>

#include <cerrno>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace fern {
namespace {

// One of those of this thread that listen.
struct Listening : core::Hub::Extension {
  explicit Listening(core::Hub& hub) noexcept : hub(hub) {}

  core::Hub& hub;
  Listening* next_listening = nullptr;
  Listening* previous_listening = nullptr;

  void begin() noexcept {
    hub.attach(*this);
    next_listening = first;
    if (first != nullptr) first->previous_listening = this;
    first = this;
  }
  void leave() noexcept {
    (previous_listening == nullptr ? first : previous_listening->next_listening) = next_listening;
    if (next_listening != nullptr) next_listening->previous_listening = previous_listening;
  }

  static constinit thread_local Listening* first;
};

constinit thread_local Listening* Listening::first = nullptr;

}  // namespace

void net::end_signal_handlers() noexcept {
  while (Listening::first != nullptr) {
    Listening& one = *Listening::first;
    one.hub.detach(one);
    one.ended();
  }
}

// Belongs to the handler, whose last act is a message to the hub if that is another thread's; the
// hub may have ended by then, and serve another thread.
struct SignalHandler::State final : Listening, detail::Remote {
  State(core::Hub& hub, detail::Function<void(int)> f)
      : Listening(hub), f(std::make_shared<detail::Function<void(int)>>(std::move(f))) {}

  std::optional<core::Hub::External> external;     // while it listens
  std::shared_ptr<detail::Function<void(int)>> f;  // greenlets may outlive the handler
  core::Loop::Signal* signal = nullptr;            // the hub's thread only; null once it has ended

  static void raised(void* self, int number) noexcept;

  void listen(int number) {
    signal = hub.loop().listen(number, this, raised);
    if (signal == nullptr) {
      throw std::system_error(errno, std::system_category(), "fern::on_signal()");
    }
    begin();
    external.emplace(hub);
  }
  void ended() noexcept override {
    leave();
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
