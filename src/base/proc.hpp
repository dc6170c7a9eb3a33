#pragma once

// What /proc says of this process and kernel. Each call reads a file: not for hot paths.

#include <cstddef>

namespace fern::base {

// read_number() is the number that a one-line file begins with, or the fallback.
std::size_t read_number(const char* path, std::size_t fallback) noexcept;

// thread_count() is how many OS threads this process has; 0 when /proc does not tell.
std::size_t thread_count() noexcept;

}  // namespace fern::base
