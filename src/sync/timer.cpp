#include "core/hub.hpp"

#include <fern/errors.hpp>
#include <fern/timer.hpp>

#include <utility>

namespace fern {
namespace {

// From a thread that is not its hub's.
void post_cancel(core::Greenlet& greenlet) noexcept {
  struct Cancel : detail::Remote {
    core::Greenlet* greenlet = nullptr;
  };
  auto* message = new Cancel;
  message->greenlet = &greenlet;
  core::retain(greenlet);
  message->run = [](detail::Remote* remote) noexcept {
    auto* self = static_cast<Cancel*>(remote);
    if (self->greenlet->state == core::State::Unstarted) core::kill(*self->greenlet, nullptr);
    core::release(*self->greenlet);
    delete self;
  };
  greenlet.hub->post(*message);
}

// Null if it has ended.
core::Greenlet* own(const AnyGreenlet& timed) {
  if (!timed.valid() || timed.ready()) return nullptr;
  core::Greenlet* greenlet = detail::Access::block(timed);
  if (greenlet->hub != core::Hub::here()) {
    throw GreenletError("this Timer belongs to another thread");
  }
  return greenlet;
}

}  // namespace

AnyGreenlet Timer::begin(core::Greenlet* block, Deadline when) {
  detail::start_later(block, when);
  block->flags |= core::flag_detached | core::flag_read;  // nobody will ask for its exception
  return detail::Access::adopt<AnyGreenlet>(block);
}

Timer& Timer::operator=(Timer&& other) noexcept {
  if (this != &other) {
    cancel();
    greenlet_ = std::move(other.greenlet_);
  }
  return *this;
}

bool Timer::cancel() noexcept {
  core::Greenlet* greenlet = detail::Access::block(greenlet_);
  if (greenlet == nullptr || core::is_dead(*greenlet)) return false;
  if (greenlet->hub != core::Hub::here()) {
    post_cancel(*greenlet);
    return false;
  }
  if (greenlet->state != core::State::Unstarted) return false;
  core::kill(*greenlet, nullptr);
  return true;
}

bool Timer::restart(Deadline when) {
  core::Greenlet* greenlet = own(greenlet_);
  return greenlet != nullptr && core::postpone_start(*greenlet, when);
}

bool Timer::pending() const {
  core::Greenlet* greenlet = own(greenlet_);
  return greenlet != nullptr && greenlet->state == core::State::Unstarted;
}

bool Timer::join(Deadline deadline) const { return !greenlet_.valid() || greenlet_.join(deadline); }

}  // namespace fern
