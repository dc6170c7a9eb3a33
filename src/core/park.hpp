#pragma once

// A park, for whoever wants it inlined: a wait that is made after each call of the kernel, which
// has pushed code out of the caches, pays for each line of it.

#include "core/context.hpp"
#include "core/hub.hpp"

namespace fern::core {

template <Hub::Fetch fetch>
__attribute__((always_inline)) inline Greenlet& Hub::next() noexcept {
  Greenlet& next = first<fetch>();
  if (begins(next)) [[unlikely]]
    begin(next);
  return next;
}

template <Hub::Fetch fetch>
__attribute__((always_inline)) inline void Hub::switch_away(Greenlet& from) noexcept {
  Greenlet& to = next<fetch>();
  context_switch(from.context, from.tools, to.context, to.tools, *eh_);
}

// Parks with nothing pending that may be thrown.
template <Hub::Fetch fetch>
__attribute__((always_inline)) inline Wake Hub::stop(Greenlet& self, const char* what,
                                                     std::int64_t on, Deadline deadline) noexcept {
  self.waits_for = what;
  self.waits_on = on;
  if (deadline.is_never()) [[likely]] {
    self.state = State::Parked;
    switch_away<fetch>(self);
  } else {
    switch_away_until(self, deadline);
  }
  self.waits_for = nullptr;
  if (self.woken != Wake::Interrupted) [[likely]]
    return self.woken;
  return (self.pending & pending_throw) == 0 ? Wake::Notified : Wake::Interrupted;
}

template <Hub::Fetch fetch>
__attribute__((always_inline)) inline Wake Hub::try_to_stop(const char* what, std::int64_t on,
                                                            Deadline deadline) noexcept {
  Greenlet& self = *running_;
  if (self.pending != 0 && may_not_stop(self)) [[unlikely]]
    return Wake::Interrupted;
  return stop<fetch>(self, what, on, deadline);
}

__attribute__((always_inline)) inline Wake Hub::try_park_fetched(const char* what, std::int64_t on,
                                                                 Deadline deadline) noexcept {
  return try_to_stop<Fetch::Done>(what, on, deadline);
}

}  // namespace fern::core
