// What is thrown at a greenlet from outside: how it waits, and when it is thrown.

#include "core/greenlet.hpp"
#include "core/hub.hpp"

#include <fern/errors.hpp>

#include <utility>

namespace fern::core {

void interrupt(Greenlet& greenlet, Pending bit) noexcept {
  greenlet.pending |= bit;
  if (greenlet.state != State::Parked) return;
  if (greenlet.shields > 0 || greenlet.context.eh.uncaught > 0) return;
  Hub::wake(greenlet, Wake::Interrupted);
}

bool interruptible(const Greenlet& running, const EhGlobals& live) noexcept {
  return running.shields == 0 && live.uncaught == 0;
}

void throw_pending(Greenlet& running) {
  constexpr std::uint8_t thrown = pending_kill | pending_loop_exit;
  if ((running.pending & thrown) != 0) {
    running.pending &= static_cast<std::uint8_t>(~thrown);
    running.flags |= flag_thrown;
    std::exception_ptr exception = std::exchange(running.kill_exception, nullptr);
    if (exception == nullptr) throw GreenletExit();
    std::rethrow_exception(std::move(exception));
  }
  throw_expired(running);
}

void kill(Greenlet& greenlet, std::exception_ptr exception) noexcept {
  switch (greenlet.state) {
    case State::Free:
    case State::Dead:
      return;
    case State::Unstarted:
      end_unstarted(greenlet, std::move(exception));
      return;
    case State::Ready:
    case State::Parked:
      if ((greenlet.pending & pending_kill) != 0) return;  // the first one is still to be thrown
      greenlet.kill_exception = std::move(exception);
      interrupt(greenlet, pending_kill);
      return;
  }
}

}  // namespace fern::core
