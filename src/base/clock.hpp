#pragma once

// The one clock: CLOCK_MONOTONIC in nanoseconds, which is also std::chrono::steady_clock's.
// Reading it costs about 25 ns: read it where a wait begins or a batch ends, not in a loop.

#include <cstdint>

namespace fern::base {

std::int64_t now_ns() noexcept;

}  // namespace fern::base
