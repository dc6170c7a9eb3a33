// What is thrown at a greenlet from outside: how it waits, when it is thrown, and whether it
// arrives.

#include "base/real.hpp"
#include "core/greenlet.hpp"
#include "core/hub.hpp"

#include <fern/errors.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>

namespace fern {

// KillAccess is core's view into GreenletExit.
struct KillAccess {
  // Copies share it: as long as somebody else has it too, the exception is on its way, is being
  // handled, or is kept by an exception_ptr.
  static void mark(GreenletExit& exit, core::Greenlet& running) noexcept {
    try {
      exit.dismissed_ = std::make_shared<std::atomic<bool>>(false);
    } catch (...) {
      return;  // no memory: the kill counts, its report does not
    }
    running.exit = exit.dismissed_;
    running.extras |= core::extra_cold;
    running.pending |= core::pending_look;
  }
};

void GreenletExit::dismiss() const noexcept {
  if (dismissed_ != nullptr) dismissed_->store(true, std::memory_order_relaxed);
}

}  // namespace fern

namespace fern::core {
namespace {

[[noreturn]] void throw_exit(Greenlet& running, GreenletExit exit) {
  KillAccess::mark(exit, running);
  throw exit;
}

// A GreenletExit is thrown anew, so that it is this kill's alone. One of a class derived from it
// cannot be copied, and is not looked for.
[[noreturn]] void throw_kill(Greenlet& running, std::exception_ptr exception) {
  if (exception == nullptr) throw_exit(running, GreenletExit());
  try {
    std::rethrow_exception(std::move(exception));
  } catch (const GreenletExit& exit) {
    if (typeid(exit) != typeid(GreenletExit)) throw;
    throw_exit(running, exit);
  }
}

void report_swallowed(const Greenlet& running) noexcept {
  try {
    std::string text = "fern: greenlet " + name_of(running) + " (id " +
                       std::to_string(id_of(running)) + ") swallowed a GreenletExit and goes on\n";
    real::write_all(2, text.data(), text.size());
  } catch (...) {
    // A report that finds no memory is not worth dying for.
  }
}

}  // namespace

constinit std::atomic<void (*)(const Greenlet&) noexcept> told_of_refusals{nullptr};

void interrupt(Greenlet& greenlet, Pending bit) noexcept {
  greenlet.pending |= bit;
  if (greenlet.state != State::Parked && greenlet.state != State::Suspended) return;
  if (greenlet.shields > 0 || greenlet.context.eh.uncaught > 0) return;
  if (greenlet.state == State::Suspended) give_to_hub(greenlet);
  Hub::wake(greenlet, Wake::Interrupted);
}

bool interruptible(const Greenlet& running, const EhGlobals& live) noexcept {
  return (running.pending & pending_throw) != 0 && running.shields == 0 && live.uncaught == 0;
}

int refuse(Greenlet& running) noexcept {
  constexpr std::uint8_t ended = pending_kill | pending_loop_exit;
  bool killed = (running.pending & ended) != 0;
  std::uint8_t told = running.pending & (killed ? ended : std::uint8_t{pending_timeout});
  if ((running.told & told) == 0) running.refusals = 0;
  running.told |= told;
  running.extras |= extra_cold;
  if (running.refusals < patient_refusals) {
    ++running.refusals;
    running.hub->give_way();
  } else {
    if (running.refusals == patient_refusals) {
      if (auto* tell = told_of_refusals.load(std::memory_order_acquire)) tell(running);
    }
    ++running.shields;
    running.hub->try_park("a call that ignores its end", -1, std::chrono::milliseconds(1));
    --running.shields;
  }
  return killed ? ECANCELED : ETIMEDOUT;
}

void throw_pending(Greenlet& running) {
  constexpr std::uint8_t thrown = pending_kill | pending_loop_exit;
  if ((running.pending & thrown) != 0) {
    running.pending &= static_cast<std::uint8_t>(~thrown);
    running.told &= static_cast<std::uint8_t>(~thrown);
    running.flags |= flag_thrown;
    throw_kill(running, std::exchange(running.kill_exception, nullptr));
  }
  throw_expired(running);
}

// While something is thrown or handled it is too early to say: a handler may have turned the kill
// into an error that ends the greenlet as well.
void look_for_exit(Greenlet& running, const EhGlobals& live) noexcept {
  if (live.uncaught > 0 || live.caught != nullptr || running.exit.use_count() > 1) return;
  running.pending &= static_cast<std::uint8_t>(~pending_look);
  if (!running.exit->load(std::memory_order_relaxed)) report_swallowed(running);
  running.exit.reset();
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
    case State::Suspended:
      if ((greenlet.pending & pending_kill) != 0) return;  // the first one is still to be thrown
      greenlet.kill_exception = std::move(exception);
      greenlet.extras |= extra_cold;
      interrupt(greenlet, pending_kill);
      return;
  }
}

}  // namespace fern::core
