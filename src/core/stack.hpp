#pragma once

// Where stacks and control blocks come from: slabs, one mapping each.
//
//   | Slab | Greenlet 0 | Greenlet 1 | ... | pad | guard, stack 0 | guard, stack 1 | ...
//     head   dense array, index = stack index        fixed stride
//
// The blocks are dense because scheduling walks them: apart from the stacks, whose equal stride
// makes every line and page a miss (src/README.md has the figures). A slab starts as PROT_NONE
// and is opened in steps, so it stays one or two mappings and is charged only as far as opened.
// Slabs are never unmapped: a handle may outlive its thread, and hubs are used again.

#include "core/context.hpp"

#include <cstddef>
#include <cstdint>

namespace fern::core {

struct Greenlet;

// How stacks are guarded. Install: MADV_GUARD_INSTALL, no mapping spent (Linux 6.13). Protect:
// mprotect, two mappings a stack, until half of vm.max_map_count is spent. Then None, counted.
enum class Guard : unsigned char { Install, Protect, None };

struct StackStats {
  std::size_t slabs = 0;
  std::size_t mapped = 0;      // bytes of address space
  std::size_t made = 0;        // stacks ever opened
  std::size_t free = 0;        // of those, waiting for reuse
  std::size_t unguarded = 0;   // opened without a guard
  std::size_t given_back = 0;  // free ones whose memory went back to the system
};

#if defined(__x86_64__)
inline std::size_t page_size() noexcept { return 4096; }
#else
std::size_t page_size() noexcept;
#endif

// guard_kind() is what this kernel offers, probed once.
Guard guard_kind() noexcept;

struct StackSizes;

struct Slab {
  Slab* next = nullptr;        // the next older one of the same class
  Slab* registered = nullptr;  // the list of all slabs, which never shrinks
  char* base = nullptr;
  std::size_t bytes = 0;
  std::size_t stride = 0;  // guard page included
  char* stacks = nullptr;  // bottom of stack 0's guard
  Greenlet* blocks = nullptr;
  std::uint32_t count = 0;      // stacks that fit
  std::uint32_t opened = 0;     // stacks that mprotect has opened
  std::uint32_t used = 0;       // stacks ever handed out
  std::uint32_t first_id = 0;   // id of block 0
  StackSizes* sizes = nullptr;  // the class it belongs to

  Stack stack(std::uint32_t index) const noexcept {
    char* bottom = stacks + index * stride;
    return {bottom + page_size(), bottom + stride};
  }
};

// All stacks of one size.
struct StackSizes {
  StackSizes* next = nullptr;
  std::size_t stride = 0;
  std::size_t next_slab = 0;  // bytes to map next
  Slab* slabs = nullptr;      // newest first
  Greenlet* free = nullptr;
  std::size_t free_count = 0;
  std::size_t cold = 0;    // free ones whose memory has gone back
  std::size_t unused = 0;  // least free_count since the last trim
};

// StackPool serves one hub; only its thread calls it.
class StackPool {
 public:
  explicit StackPool(Guard best = guard_kind()) noexcept : best_guard_(best) {}

  static constexpr std::size_t default_size = 256 * 1024;
  static constexpr std::size_t smallest_size = 16 * 1024;  // room for a signal frame and a throw
  static constexpr std::size_t largest_size = std::size_t{1} << 44;

  // take() gives a block with its stack, guarded, contents unspecified; LIFO. The size is rounded
  // up to pages. Throws std::bad_alloc when the system is out of memory and changes nothing.
  Greenlet* take(std::size_t size = default_size);

  // give() takes one back.
  void give(Greenlet* block) noexcept;

  // trim() gives back, in bulk, the memory of stacks that stayed unused since the call before the
  // last, beyond `keep` of each size. Called about once a second.
  void trim(std::size_t keep) noexcept;

  // wants_trim() asks whether there is memory to give back, at the next call or the one after.
  bool wants_trim(std::size_t keep) const noexcept;

  // for_each() calls f(Greenlet&) for every block ever handed out.
  template <class F>
  void for_each(F&& f);

  StackStats stats() const noexcept;

 private:
  using Class = StackSizes;

  Class& class_of(std::size_t size);
  Greenlet* fresh(Class& sizes);
  Slab* map(Class& sizes);
  bool open_more(Slab& slab) noexcept;
  void guard(Slab& slab, std::uint32_t index) noexcept;
  void trim(Class& sizes, std::size_t keep) noexcept;

  Guard best_guard_;
  Class default_;
  Class* others_ = nullptr;
  std::uint32_t next_id_ = 1;
  StackStats stats_;
};

// stack_at() finds whose stack or guard an address lies in; null if in none. Async-signal-safe.
struct StackAddress {
  Greenlet* block = nullptr;
  bool in_guard = false;
};
StackAddress stack_at(const void* address) noexcept;

// stack_of() and id_of() know a block's stack and number by its place.
Stack stack_of(const Greenlet& block) noexcept;

// stack_touched() is how many bytes of it are resident, from the top down to the lowest page.
std::size_t stack_touched(const Stack& stack);

std::size_t max_map_count() noexcept;

}  // namespace fern::core
