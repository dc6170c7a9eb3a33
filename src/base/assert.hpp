#pragma once

// FERN_ASSERT(condition, "fern::Class::method(): what went wrong") ends the program with that
// sentence. On in release builds: use it for checks that cost a comparison, where going on would
// corrupt. What timing or data can cause is not for this: that throws (see errors.hpp).

#include <fern/config.hpp>

namespace fern::base {

[[noreturn]] FERN_INTERNAL void assertion_failed(const char* what, const char* file,
                                                 int line) noexcept;

}  // namespace fern::base

#define FERN_ASSERT(condition, what)  \
  (__builtin_expect(!!(condition), 1) \
       ? static_cast<void>(0)         \
       : ::fern::base::assertion_failed((what), __FILE__, __LINE__))
