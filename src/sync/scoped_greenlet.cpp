#include "core/hub.hpp"

#include <fern/scoped_greenlet.hpp>
#include <fern/timeout.hpp>

#include <iostream>
#include <utility>

namespace fern::detail {

void end_scope(const AnyGreenlet& greenlet, std::exception_ptr exception,
               std::chrono::nanoseconds limit) noexcept {
  if (greenlet.ready()) return;
  bool can_wait = !core::Hub::current().on_own_stack();
  ShieldKill shield;
  if (greenlet.kill({std::move(exception), can_wait, limit})) return;
  std::cerr << "fern: greenlet " << greenlet.name() << " (id " << greenlet.id()
            << ") did not end with its scope\n";
}

}  // namespace fern::detail
