// LoopExit: noticing that a wait can never end, and saying who waits for what.

#include "base/clock.hpp"
#include "core/hub.hpp"
#include "core/registry.hpp"

#include <fern/errors.hpp>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <sstream>

namespace fern::core {
namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t ask_every_ns = 50'000'000;

std::int64_t stall_ns() noexcept {
  static const std::int64_t limit = [] {
    const char* text = std::getenv("FERN_STALL_SECONDS");
    double seconds = text == nullptr ? 10 : std::atof(text);
    return seconds <= 0 ? never : static_cast<std::int64_t>(seconds * 1e9);
  }();
  return limit;
}

}  // namespace

bool Hub::nothing_pending() noexcept {
  return external_ == 0 && mailbox_.load(std::memory_order_seq_cst) == nullptr;
}

// Called when nothing is ready and nothing is pending. If that goes for the whole process, the
// main greenlet is woken to throw. Whether another thread could wake us costs a look into /proc,
// too much for each time that a thread feeds this hub: asked at once, and then, since threads end
// without telling, again after twice the time that it has been so.
std::int64_t Hub::stuck(std::int64_t now) noexcept {
  if (main_.state == State::Dead && greenlets_ == 0) std::exit(0);  // a fork's last greenlet ended
  if (stuck_since_ == 0) stuck_since_ = now;
  if (!Registry::all_stuck(*this)) return stall_deadline(now);
  if (now >= ask_at_) {
    ask_at_ = now + std::max(ask_every_ns, now - stuck_since_);
    if (Registry::declare(*this)) {
      declare_deadlock();
      return now;
    }
  }
  return std::min(ask_at_, stall_deadline(now));
}

// A main that is shielded or unwinds cannot be thrown into: said once. Nothing stays pending, for
// whoever wakes it after all, another hub's main as it unwinds, has ended the deadlock.
void Hub::declare_deadlock() noexcept {
  if (main_.state != State::Parked && main_.state != State::Suspended) return;
  bool held_back = main_.shields > 0 || main_.context.eh.uncaught > 0;
  if (held_back && told_stuck_since_ == stuck_since_) return;
  try {
    std::ostringstream text;
    text << "this operation would block forever: nothing is left that could wake anybody\n";
    describe(text);
    if (held_back) {
      told_stuck_since_ = stuck_since_;
      std::cerr << "fern: " << text.str() << std::flush;
      return;
    }
    main_.kill_exception = std::make_exception_ptr(LoopExit(text.str()));
  } catch (...) {
    if (held_back) return;
    main_.kill_exception = std::current_exception();
  }
  interrupt(main_, pending_loop_exit);
}

// Another thread may still wake us, so sleep on; but say so after a while.
std::int64_t Hub::stall_deadline(std::int64_t now) noexcept {
  if (stall_reported_ || told_stuck_since_ == stuck_since_ || stall_ns() == never) return never;
  if (now - stuck_since_ >= stall_ns()) {
    report_stall(now);
    return never;
  }
  return stuck_since_ + stall_ns();
}

void Hub::report_stall(std::int64_t now) noexcept {
  stall_reported_ = true;
  try {
    std::ostringstream text;
    text << "fern: nothing has been ready for " << (now - stuck_since_) / 1'000'000'000
         << " s, and only another thread could wake:\n";
    describe(text);
    std::cerr << text.str() << std::flush;
  } catch (...) {
    // A report that finds no memory is not worth dying for.
  }
}

void Hub::describe(std::ostream& out) {
  for_each([&](Greenlet& greenlet) { out << "  " << core::describe(greenlet) << '\n'; });
}

std::string describe(const Greenlet& greenlet) {
  std::ostringstream out;
  out << name_of(greenlet) << " (id " << id_of(greenlet) << "): ";
  switch (greenlet.state) {
    case State::Free:
    case State::Dead:
      out << "ended";
      break;
    case State::Unstarted:
      out << "not started";
      break;
    case State::Ready:
      out << (greenlet.hub != nullptr && &greenlet.hub->running() == &greenlet ? "running"
                                                                               : "ready");
      break;
    case State::Suspended:
      out << "suspended in "
          << (greenlet.waits_for != nullptr ? greenlet.waits_for : "switch_to()");
      break;
    case State::Parked:
      out << "waits in " << (greenlet.waits_for != nullptr ? greenlet.waits_for : "park()");
      if (greenlet.waits_on >= 0) out << " on " << greenlet.waits_on;
      break;
  }
  if (greenlet.shields > 0 && greenlet.state != State::Dead) out << ", shielded";
  return out.str();
}

}  // namespace fern::core
