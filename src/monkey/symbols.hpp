#pragma once

// The table as data: every name that the monkey wraps, and where its wrapper is.

#include <fern/monkey.hpp>

#include <span>

namespace fern::monkey {

struct Symbol {
  const char* name;
  Part part;
  void* wrapper;
};

std::span<const Symbol> symbols() noexcept;

// wrapper_of() is null for what is not wrapped.
void* wrapper_of(const char* name) noexcept;

}  // namespace fern::monkey
