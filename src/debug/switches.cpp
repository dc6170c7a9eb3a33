#include "core/hub.hpp"
#include "core/switch_watch.hpp"

#include <fern/debug.hpp>
#include <fern/errors.hpp>

#include <memory>
#include <new>
#include <sstream>

namespace fern {
namespace {

std::string running_name() { return core::name_of(core::Hub::current().running()); }

}  // namespace

FailedToSwitch::FailedToSwitch(const std::string& what) : std::logic_error(what) {}
FailedToSwitch::~FailedToSwitch() = default;

namespace detail {
namespace {

core::SwitchWatch& of(unsigned char* room) noexcept {
  return *std::launder(reinterpret_cast<core::SwitchWatch*>(room));
}

}  // namespace

SwitchScope::SwitchScope() {
  static_assert(sizeof(core::SwitchWatch) <= sizeof watch_);
  if (core::Hub::current().on_own_stack()) {
    throw BlockingInHub("assert_switches() was called on the hub's own stack");
  }
  ::new (static_cast<void*>(watch_)) core::SwitchWatch;
}

SwitchScope::~SwitchScope() { std::destroy_at(&of(watch_)); }

void SwitchScope::check() {
  if (of(watch_).switches() > 0) return;
  throw FailedToSwitch("greenlet " + running_name() + " did not switch");
}

void SwitchScope::check(std::chrono::nanoseconds limit) {
  std::chrono::nanoseconds longest(of(watch_).longest());
  if (longest <= limit) return;
  using Milliseconds = std::chrono::duration<double, std::milli>;
  std::ostringstream what;
  what << "greenlet " << running_name() << " ran for " << Milliseconds(longest).count()
       << " ms without a switch, and " << Milliseconds(limit).count() << " ms are the limit";
  throw FailedToSwitch(what.str());
}

}  // namespace detail
}  // namespace fern
