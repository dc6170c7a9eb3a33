#include <fern/deadline.hpp>

#include "base/assert.hpp"
#include "base/clock.hpp"

namespace fern {

std::int64_t Deadline::after_ns(std::int64_t timeout_ns) noexcept {
  std::int64_t point;
  return __builtin_add_overflow(base::now_ns(), timeout_ns, &point) ? never_ns : point;
}

void Deadline::refuse_nan() noexcept {
  FERN_ASSERT(false, "fern::Deadline(): the duration is not a number");
}

std::int64_t Deadline::remaining_ns() const noexcept { return ns_ - base::now_ns(); }

}  // namespace fern
