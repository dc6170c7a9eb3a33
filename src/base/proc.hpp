#pragma once

// What /proc says of this process and kernel, and whether it is still the process it was.

#include <fern/config.hpp>

#include <cstddef>

namespace fern::base {

// read_number() is the number that a one-line file begins with, or the fallback. It and
// thread_count() read a file each time: not for hot paths.
std::size_t read_number(const char* path, std::size_t fallback) noexcept;

// thread_count() is how many OS threads this process has; 0 when /proc does not tell.
FERN_INTERNAL std::size_t thread_count() noexcept;

// forks() is how often a fork has made this process another one since the first call.
FERN_INTERNAL unsigned forks() noexcept;

}  // namespace fern::base
