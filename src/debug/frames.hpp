#pragma once

// Backtraces as text.

#include <iosfwd>
#include <string>

namespace fern::debug {

constexpr int most_frames = 64;

// write_frame() writes a line for a return address: the function, and where in which file it is.
void write_frame(std::ostream& out, void* address);

// function_at() is the name of the exported function that the address is in; empty if it has none.
std::string function_at(void* address);

}  // namespace fern::debug
