#include <fern/signal.hpp>

#include "core/fault.hpp"
#include "core/hub.hpp"

#include <fern/greenlet.hpp>

#include <cerrno>
#include <memory>
#include <system_error>
#include <thread>

namespace fern {

struct SignalHandler::State {
  explicit State(core::Hub& hub, detail::Function<void(int)> f)
      : hub(hub), external(hub), f(std::make_shared<detail::Function<void(int)>>(std::move(f))) {}

  core::Hub& hub;
  std::thread::id thread = std::this_thread::get_id();
  core::Hub::External external;
  std::shared_ptr<detail::Function<void(int)>> f;  // greenlets may outlive the handler
  core::Loop::Signal* signal = nullptr;

  static void raised(void* self, int number) noexcept;
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
  core::Hub& hub = core::Hub::current();
  core::Loop& loop = hub.loop();
  auto state = std::make_unique<SignalHandler::State>(hub, std::move(f));
  state->signal = loop.listen(number, state.get(), SignalHandler::State::raised);
  if (state->signal == nullptr) {
    throw std::system_error(errno, std::system_category(), "fern::on_signal()");
  }
  SignalHandler handler;
  handler.state_ = state.release();
  return handler;
}

void SignalHandler::cancel() noexcept {
  State* state = std::exchange(state_, nullptr);
  if (state == nullptr) return;
  // In another thread, or when its hub has ended before it: what is left belongs to that hub.
  if (core::Hub::here() != &state->hub || state->thread != std::this_thread::get_id()) return;
  state->hub.loop().unlisten(*state->signal);
  delete state;
}

}  // namespace fern
