#include "base/assert.hpp"

#include "base/real.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fern::base {

void assertion_failed(const char* what, const char* file, int line) noexcept {
  char text[512];
  int length =
      std::snprintf(text, sizeof text, "fern: assertion failed: %s (%s:%d)\n", what, file, line);
  if (length > 0) real::write_all(2, text, std::strlen(text));
  std::abort();
}

}  // namespace fern::base
