#pragma once

// The blocks that tls.cpp makes for green threads, for late_libraries.cpp, which sets up in them
// what is loaded when they are there. Only where FERN_WRAPS_DLOPEN is defined.

#include <cstddef>
#include <vector>

namespace fern::monkey::tls {

// A library's part of every block.
struct Module {
  bool operator==(const Module&) const = default;
  std::ptrdiff_t offset;  // from the thread pointer
  const void* image;
  std::size_t image_size;
  std::size_t size;
  bool libc;  // its caches stay with the block
};

// here() is the block that the thread pointer points at; move_to() changes that.
inline char* here() noexcept {
  char* pointer;
  asm("movq %%fs:0, %0" : "=r"(pointer));
  return pointer;
}
inline void move_to(void* block) noexcept { asm volatile("wrfsbase %0" : : "r"(block) : "memory"); }

// loaded() is what has a part in every block now.
std::vector<Module> loaded();

// set_up() makes of a module's part what a new thread would find. set_up_late() does it in all
// blocks that there are but this one, which the loader knows, and in those that are used again.
void set_up(void* block, const Module& module) noexcept;
void set_up_late(const std::vector<Module>& modules);

// late_libraries_forked() is called in a fork's child. late_libraries.cpp.
void late_libraries_forked() noexcept;

}  // namespace fern::monkey::tls
