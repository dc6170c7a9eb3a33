#include "monkey/naps.hpp"

#include "core/hub.hpp"

#include <algorithm>

namespace fern::monkey {

bool Naps::again() noexcept {
  if (late_) {
    errno = EAGAIN;
    return false;
  }
  core::Hub& hub = *core::Hub::here();
  Deadline until = std::min(Deadline(next_), limit_);
  next_ = std::min(next_ * 2, longest);
  core::Wake why = hub.try_park(what_, -1, until);
  if (why == core::Wake::Interrupted) {
    errno = core::refuse(hub.running());
    return false;
  }
  if (interrupts_.came()) {
    errno = EINTR;
    return false;
  }
  late_ = limit_.expired();
  return true;
}

}  // namespace fern::monkey
