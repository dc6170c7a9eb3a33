#include "core/raw_greenlet.hpp"

#include "base/assert.hpp"
#include "core/hub.hpp"
#include "core/switch_watch.hpp"

#include <fern/errors.hpp>

#include <cxxabi.h>

#include <new>
#include <optional>
#include <string>
#include <utility>

namespace fern::core {
namespace {

using detail::ValueAccess;

constexpr detail::ValueOps more_came{.signal = true};

// Where a result goes, and where one looks for somebody who has not ended.
Greenlet* parent_of(Greenlet& greenlet) noexcept {
  if (greenlet.parent != nullptr) return greenlet.parent;
  Greenlet& main = greenlet.hub->main();
  return &greenlet == &main ? nullptr : &main;
}

bool resumable(const Greenlet& greenlet) noexcept {
  return greenlet.state == State::Suspended ||
         (greenlet.state == State::Unstarted && is_raw(greenlet));
}

RawGreenlet handle_of(Greenlet* greenlet) noexcept {
  if (greenlet == nullptr) return RawGreenlet();
  retain(*greenlet);
  return detail::Access::adopt<RawGreenlet>(greenlet);
}

std::optional<GreenletExit> exit_in(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const GreenletExit& exit) {
    return exit;
  } catch (...) {
    return std::nullopt;
  }
}

// --- the switch -------------------------------------------------------------------------------

// Puts the value, and what comes with it, where `to` finds it; it has to go on at once.
__attribute__((noinline)) void hand(Hub& hub, Greenlet& origin, Greenlet& to, Value&& value,
                                    std::exception_ptr error) noexcept {
  bool traced = hub.raw().trace != nullptr;
  bool orphan = (origin.slow & slow_orphan) != 0 && is_orphan(origin);
  origin.slow &= static_cast<std::uint8_t>(~slow_orphan);
  if (traced || orphan || error != nullptr) {
    hub.raw().crossing.value = std::move(value);
    hub.raw().crossing.error = std::move(error);
    if (traced || orphan) hub.raw().crossing.origin = handle_of(&origin);
    to.woken = Wake::Notified;
    ValueAccess::signal(*to.inbox, more_came);
  } else {
    *to.inbox = std::move(value);
  }
  if (to.state == State::Unstarted) {
    to.life.fetch_and(~life_unstarted, std::memory_order_relaxed);
  }
  to.state = State::Ready;
}

// Switching to oneself: nothing happens, but it may be traced, and an error is thrown.
void stay(Hub& hub, Value& value, std::exception_ptr error) noexcept {
  Greenlet& self = hub.running();
  self.inbox = &value;
  hand(hub, self, self, std::move(value), std::move(error));
}

void set_trace(Hub& hub, std::shared_ptr<const TraceCallback> trace) noexcept {
  hub.raw().trace.swap(trace);
  hub.for_each([&](Greenlet& greenlet) {
    greenlet.slow &= static_cast<std::uint8_t>(~slow_traced);
    if (hub.raw().trace != nullptr) greenlet.slow |= slow_traced;
  });
}

// Calls the trace; what it throws takes the place of what was passed.
void trace(Hub& hub, Greenlet& self, Crossing& arrived) {
  auto callback = hub.raw().trace;
  auto event = arrived.error == nullptr ? TraceEvent::Switch : TraceEvent::Throw;
  try {
    (*callback)(event, arrived.origin, handle_of(&self));
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (...) {
    set_trace(hub, nullptr);
    arrived.error = std::current_exception();
  }
}

// --- checks -----------------------------------------------------------------------------------

[[noreturn]] void misused(const char* what, const std::string& why) {
  throw GreenletError(std::string("RawGreenlet::") + what + ": " + why);
}

bool is_ours(const Greenlet& greenlet) noexcept {
  Hub* hub = Hub::mine();
  return greenlet.hub == hub && greenlet.era == hub->era();
}

// The thread's hub, if the greenlet is one of its.
Hub& hub_of(Greenlet* greenlet, const char* what) {
  if (greenlet == nullptr) misused(what, "this handle is empty");
  if (is_ours(*greenlet)) return *greenlet->hub;
  bool exited = greenlet->hub->closed() || greenlet->era != greenlet->hub->era();
  misused(what, exited ? "cannot switch to a different thread (which happens to have exited)"
                       : "cannot switch to a different thread");
}

void check_parent(Greenlet* parent, const char* what) {
  if (parent == nullptr) misused(what, "the parent's handle is empty");
  if (!is_ours(*parent)) misused(what, "the parent cannot be on a different thread");
}

// On the hub's own stack nobody runs; main is who is outside of all.
Greenlet& current(Hub& hub) noexcept { return hub.on_own_stack() ? hub.main() : hub.running(); }

// Who goes on when the running greenlet switches to `asked`: that one, the first of its parents
// that has not ended, or the running one itself. Throws what a wait throws.
Greenlet& target_of(Greenlet* asked, const char* what) {
  Hub& hub = hub_of(asked, what);
  if (hub.running().pending != 0) hub.meet_pending(what);
  let_go_of_dropped(hub.raw());
  Greenlet* to = asked;
  while (to != nullptr && is_dead(*to)) to = parent_of(*to);
  if (to == nullptr) misused(what, "it has ended, and so have all of its parents");
  if (to != &hub.running() && !resumable(*to)) {
    misused(what, "only its hub can resume " + describe(*to));
  }
  return *to;
}

}  // namespace

void cross(Hub& hub, Greenlet& to, Value& value, std::exception_ptr error) noexcept {
  Greenlet& self = hub.running();
  FERN_ASSERT(self.state == State::Ready,
              "fern::RawGreenlet::switch_to(): from one that does not run");
  hand(hub, self, to, std::move(value), std::move(error));
  self.inbox = &value;
  self.state = State::Suspended;
  if ((self.slow & slow_watched) != 0) [[unlikely]]
    SwitchWatch::stopped(hub.watches());
  hub.continue_with(to);
  context_switch(self.context, self.tools, to.context, to.tools, hub.live_eh());
  self.inbox = nullptr;
  if ((self.slow & slow_watched) != 0) [[unlikely]]
    SwitchWatch::resumed(hub.watches(), self);
}

void give_to_hub(Greenlet& suspended) noexcept {
  ValueAccess::signal(*suspended.inbox, more_came);
  suspended.state = State::Parked;
}

void keep_exit(Greenlet& ended, const GreenletExit& exit) noexcept {
  try {
    task_of(ended).value = Value(exit);
  } catch (...) {
    ended.error = std::current_exception();
    ended.extras |= extra_cold;
  }
}

Greenlet* bequeath(Greenlet& ended) noexcept {
  leave_raw(ended);
  detail::RawTask& task = task_of(ended);
  std::exception_ptr error = ended.error;
  if (error != nullptr) ended.flags |= flag_read;
  if (task.dropped) {
    if (error != nullptr) report(ended);
    error = nullptr;
    task.value = Value();
  }
  for (Greenlet* to = parent_of(ended); to != nullptr; to = parent_of(*to)) {
    if (is_dead(*to)) continue;
    if (!resumable(*to)) break;
    hand(*ended.hub, ended, *to, std::move(task.value), std::move(error));
    return to;
  }
  if (error != nullptr) report(ended);
  return nullptr;
}

}  // namespace fern::core

namespace fern::detail {

using core::Greenlet;
using core::Hub;

void attend(Value& inbox) {
  Hub& hub = *Hub::here();
  Greenlet& self = hub.running();
  ValueAccess::clear_signal(inbox);
  while (self.woken == core::Wake::Interrupted) {
    if (self.pending != 0) hub.meet_pending("switch_to()");
    // What was to be thrown has been taken back: a Timeout that was cancelled.
    hub.suspend(inbox);
    if (!ValueAccess::signals(inbox)) return;
    ValueAccess::clear_signal(inbox);
  }
  core::Crossing arrived = std::exchange(hub.raw().crossing, {});
  inbox = std::move(arrived.value);
  if (hub.raw().trace != nullptr && arrived.origin.valid()) core::trace(hub, self, arrived);
  arrived.origin = RawGreenlet();  // nobody else may hold it: then it unwinds now
  if (arrived.error == nullptr) return;
  inbox = Value();
  std::rethrow_exception(std::move(arrived.error));
}

void switch_slowly(Greenlet* asked, Value& value) {
  Greenlet& to = core::target_of(asked, "switch_to()");
  Hub& hub = *to.hub;
  if (&to == &hub.running()) {
    core::stay(hub, value, nullptr);
  } else {
    core::cross(hub, to, value, nullptr);
  }
}

Value throw_raw(Greenlet* asked, std::exception_ptr error) {
  if (error == nullptr) error = std::make_exception_ptr(GreenletExit());
  Greenlet& to = core::target_of(asked, "throw_in()");
  Hub& hub = *to.hub;
  Value value;
  if (&to != asked) {
    if (auto exit = core::exit_in(error)) {
      value = Value(*std::move(exit));
      error = nullptr;
    }
  }
  if (&to == &hub.running()) {
    core::stay(hub, value, std::move(error));
  } else {
    core::cross(hub, to, value, std::move(error));
  }
  if (ValueAccess::signals(value)) attend(value);
  return value;
}

#ifdef FERN_INLINE_SWITCH
namespace {

__attribute__((noinline)) Passage prepare_switch_slowly(Greenlet* to, Value& value) {
  switch_slowly(to, value);
  return {nullptr, nullptr};
}

}  // namespace

// The quick way calls nothing, so that it saves no registers.
Passage prepare_switch(Greenlet* to, Value& value) {
  Hub* hub = core::this_hub;
  if (to == nullptr || to->hub != hub || to->state != core::State::Suspended ||
      !ValueAccess::plain(value)) [[unlikely]] {
    return prepare_switch_slowly(to, value);
  }
  Greenlet& self = hub->running();
  if ((self.pending | self.slow) != 0) [[unlikely]]
    return prepare_switch_slowly(to, value);
  ValueAccess::pass(value, *to->inbox);
  to->state = core::State::Ready;
  self.inbox = &value;
  self.state = core::State::Suspended;
  hub->continue_with(*to);
  return passage(*hub, self, *to);
}
#endif

Greenlet* raw_parent() {
  Hub& hub = Hub::current();
  core::let_go_of_dropped(hub.raw());
  return &core::current(hub);
}

Greenlet* raw_parent(Greenlet* asked) {
  core::check_parent(asked, "RawGreenlet()");
  core::let_go_of_dropped(asked->hub->raw());
  return asked;
}

void set_raw_task(Greenlet* block, RawTask* task, Greenlet* parent) noexcept {
  static_assert(sizeof(RawTask) > Greenlet::room_size, "a raw greenlet has its stack at once");
  set_task(block, task, true);
  block->extras |= core::extra_cold;
  core::retain(*parent);
  block->parent = parent;
  block->inbox = &task->value;
  block->flags |= core::flag_raw;
  block->life.fetch_or(core::life_raw_bits, std::memory_order_relaxed);
  // Made while its thread ends: it never begins.
  if ((block->pending & core::pending_kill) != 0) core::kill(*block, nullptr);
}

}  // namespace fern::detail

namespace fern {

RawGreenlet RawGreenlet::parent() const& {
  core::hub_of(block_, "parent()");
  return core::handle_of(core::parent_of(*block_));
}

RawGreenlet RawGreenlet::parent() && {
  RawGreenlet parent = std::as_const(*this).parent();
  *this = RawGreenlet();
  return parent;
}

void RawGreenlet::set_parent(const RawGreenlet& parent) const {
  core::hub_of(block_, "set_parent()");
  core::check_parent(parent.block_, "set_parent()");
  if (block_->parent == nullptr) {
    core::misused("set_parent()", block_->slab == nullptr
                                      ? "cannot set the parent of a main greenlet"
                                      : "a greenlet of spawn() has no parent to set");
  }
  if (core::is_in_line(*parent.block_, *block_))
    core::misused("set_parent()", "cyclic parent chain");
  core::retain(*parent.block_);
  core::release(*std::exchange(block_->parent, parent.block_));
}

RawGreenlet getcurrent() { return core::handle_of(&core::current(core::Hub::current())); }

TraceCallback settrace(TraceCallback callback) {
  TraceCallback previous = gettrace();
  std::shared_ptr<const TraceCallback> next;
  if (callback) next = std::make_shared<const TraceCallback>(std::move(callback));
  core::set_trace(core::Hub::current(), std::move(next));
  return previous;
}

TraceCallback gettrace() {
  const auto& trace = core::Hub::current().raw().trace;
  return trace == nullptr ? TraceCallback() : *trace;
}

}  // namespace fern
