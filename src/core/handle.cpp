#include "core/end_watch.hpp"
#include "core/fault.hpp"
#include "core/hub.hpp"

#include <fern/errors.hpp>
#include <fern/greenlet.hpp>

#include <limits>
#include <new>
#include <string>
#include <utility>

namespace fern {
namespace {

// A link with a callback of the user's: runs it in a greenlet of its own, with a handle.
struct CallbackLink : core::Link {
  enum class When : unsigned char { Always, Value, Exception };
  detail::Function<void(AnyGreenlet)> f;
  When when = When::Always;
};

bool wanted(const core::Greenlet& ended, CallbackLink::When when) noexcept {
  if (when == CallbackLink::When::Always) return true;
  return (ended.error == nullptr) == (when == CallbackLink::When::Value);
}

void call(core::Link* link, core::Greenlet& ended) noexcept {
  auto* self = static_cast<CallbackLink*>(link);
  // A thread that has ended runs no callbacks.
  if (wanted(ended, self->when) && ended.hub == core::Hub::here()) {
    core::retain(ended);
    auto handle = detail::Access::adopt<AnyGreenlet>(&ended);
    try {
      spawn_raw([f = std::move(self->f), handle]() mutable { f(std::move(handle)); });
    } catch (...) {
      core::report_current("calling a greenlet's link");  // no memory: it must not pass in silence
    }
  }
  delete self;
}

LinkId add_link(core::Greenlet& greenlet, detail::Function<void(AnyGreenlet)> f,
                CallbackLink::When when) {
  static thread_local LinkId last_id = 0;
  if (greenlet.hub != &core::Hub::current()) {
    throw GreenletError("AnyGreenlet::link(): the greenlet belongs to another thread");
  }
  auto* link = new CallbackLink;
  link->f = std::move(f);
  link->when = when;
  link->ended = call;
  link->id = ++last_id;
  LinkId id = link->id;
  if (core::is_dead(greenlet)) {
    call(link, greenlet);
  } else {
    greenlet.flags |= core::flag_linked;
    core::link(greenlet, *link);
  }
  return id;
}

// Kills from another thread: a message to the greenlet's hub, which holds a handle meanwhile.
void post_kill(core::Greenlet& greenlet, std::exception_ptr exception) {
  struct Kill : detail::Remote {
    core::Greenlet* greenlet = nullptr;
    std::exception_ptr exception;
  };
  auto* message = new Kill;
  message->greenlet = &greenlet;
  message->exception = std::move(exception);
  core::retain(greenlet);
  message->run = [](detail::Remote* remote) noexcept {
    auto* self = static_cast<Kill*>(remote);
    core::kill(*self->greenlet, std::move(self->exception));
    core::release(*self->greenlet);
    delete self;
  };
  greenlet.hub->post(*message);
}

// An EndWatch for a greenlet of the own hub, which most joins are for.
struct Joiner : core::Link {
  Joiner(core::Greenlet& joined, core::Greenlet& self) noexcept : joined(joined), self(self) {
    ended = [](core::Link* link, core::Greenlet&) noexcept {
      core::Hub::wake(static_cast<Joiner*>(link)->self, core::Wake::Notified);
    };
    core::link(joined, *this);
  }
  ~Joiner() {
    if (!core::is_dead(joined)) core::unlink(joined, *this);
  }
  core::Greenlet& joined;
  core::Greenlet& self;
};

__attribute__((always_inline)) inline bool park_until_dead(core::Hub& hub, core::Greenlet& greenlet,
                                                           Deadline deadline) {
  const auto id = static_cast<std::int64_t>(core::id_of(greenlet));
  while (!core::is_dead(greenlet)) {
    if (hub.park("join()", id, deadline) == core::Wake::TimedOut) return core::is_dead(greenlet);
  }
  return true;
}

}  // namespace

AnyGreenlet::AnyGreenlet(const AnyGreenlet& other) noexcept : block_(other.block_) {
  if (block_ != nullptr) core::retain(*block_);
}

void AnyGreenlet::drop() noexcept { core::release(*block_); }

core::Greenlet* AnyGreenlet::checked() const {
  if (block_ == nullptr) throw GreenletError("AnyGreenlet: this handle is empty");
  return block_;
}

bool AnyGreenlet::join(Deadline deadline) const {
  core::Greenlet& greenlet = block_ != nullptr ? *block_ : *checked();
  if (core::is_dead(greenlet)) return true;
  if (deadline == Deadline::past()) return false;
  core::Hub& hub = core::Hub::current();
  if (hub.on_own_stack()) throw BlockingInHub("join() was called on the hub's own stack");
  core::Greenlet& self = hub.running();
  if (&greenlet == &self) throw GreenletError("AnyGreenlet::join(): a greenlet cannot join itself");
  if (greenlet.hub == &hub) {
    Joiner joiner(greenlet, self);
    return park_until_dead(hub, greenlet, deadline);
  }
  core::EndWatch watch(
      greenlet,
      [](void* joiner) noexcept {
        core::Hub::wake(*static_cast<core::Greenlet*>(joiner), core::Wake::Notified);
      },
      &self);
  return park_until_dead(hub, greenlet, deadline);
}

void AnyGreenlet::get(Deadline deadline) const {
  if (!join(deadline)) throw TimeoutError("the greenlet has not ended in time");
  if (auto error = exception()) std::rethrow_exception(std::move(error));
  if (killed()) throw GreenletKilled(core::name_of(*block_));
}

bool AnyGreenlet::kill(const KillOptions& options) const {
  core::Greenlet& greenlet = *checked();
  if (core::is_dead(greenlet)) return true;
  core::Hub& hub = core::Hub::current();
  if (greenlet.hub != &hub) {
    post_kill(greenlet, options.exception);
    return options.block && join(options.deadline);
  }
  core::kill(greenlet, options.exception);
  if (!options.block) return core::is_dead(greenlet);
  if (&greenlet == &hub.running()) {
    // Killing oneself throws from here; where it is held back there is nothing to wait for.
    if (core::interruptible(greenlet, hub.live_eh())) core::throw_pending(greenlet);
    return false;
  }
  // Its turn comes before ours: mostly it has ended when we go on, and what its end made ready
  // comes after us.
  if (!core::is_dead(greenlet) && options.deadline != Deadline::past()) yield();
  return join(options.deadline);
}

bool AnyGreenlet::cancel() const {
  core::Greenlet& greenlet = *checked();
  if (greenlet.hub != &core::Hub::current() || greenlet.state != core::State::Unstarted)
    return false;
  core::kill(greenlet, nullptr);
  return true;
}

bool AnyGreenlet::ready() const noexcept { return block_ != nullptr && core::is_dead(*block_); }

bool AnyGreenlet::started() const noexcept {
  if (block_ == nullptr) return false;
  return (block_->life.load(std::memory_order_acquire) &
          (core::life_dead | core::life_unstarted)) == 0;
}

bool AnyGreenlet::successful() const noexcept { return ready() && block_->error == nullptr; }

bool AnyGreenlet::killed() const noexcept {
  return ready() && (__atomic_load_n(&block_->flags, __ATOMIC_RELAXED) & core::flag_killed) != 0;
}

std::exception_ptr AnyGreenlet::exception() const noexcept {
  if (!ready()) return nullptr;
  // Several threads may say so at once, and it only ever becomes true.
  if (block_->error != nullptr) {
    __atomic_fetch_or(&block_->flags, core::flag_read, __ATOMIC_RELAXED);
  }
  return block_->error;
}

LinkId AnyGreenlet::link(detail::Function<void(AnyGreenlet)> f) const {
  return add_link(*checked(), std::move(f), CallbackLink::When::Always);
}

LinkId AnyGreenlet::link_value(detail::Function<void(AnyGreenlet)> f) const {
  return add_link(*checked(), std::move(f), CallbackLink::When::Value);
}

LinkId AnyGreenlet::link_exception(detail::Function<void(AnyGreenlet)> f) const {
  return add_link(*checked(), std::move(f), CallbackLink::When::Exception);
}

bool AnyGreenlet::unlink(LinkId id) const noexcept {
  if (block_ == nullptr || id == 0 || block_->hub != core::Hub::mine()) return false;
  for (core::Link* link = block_->links; link != nullptr; link = link->next) {
    if (link->id != id) continue;
    core::unlink(*block_, *link);
    delete static_cast<CallbackLink*>(link);
    return true;
  }
  return false;
}

std::string AnyGreenlet::name() const { return core::name_of(*checked()); }

void AnyGreenlet::set_name(std::string_view name) const {
  core::Greenlet& greenlet = *checked();
  auto* copy = new std::string(name);
  delete std::exchange(greenlet.name, copy);
  greenlet.extras |= core::extra_cold;
}

std::uint64_t AnyGreenlet::id() const noexcept {
  return block_ == nullptr ? 0 : core::id_of(*block_);
}

std::size_t AnyGreenlet::stack_used() const {
  return core::stack_touched(core::stack_of(*checked()));
}

AnyGreenlet current_greenlet() {
  core::Greenlet& running = core::Hub::current().running();
  core::retain(running);
  return detail::Access::adopt<AnyGreenlet>(&running);
}

}  // namespace fern
