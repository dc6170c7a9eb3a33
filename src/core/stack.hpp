#pragma once

// Where stacks and control blocks come from: slabs, one mapping each.
//
//   | Slab | Greenlet 0, 1, ... | StackSlot 0, 1, ... | pad | guard, stack 0 | guard, stack 1 | ...
//     head   dense                dense                       fixed stride
//
// The blocks are dense because scheduling walks them: apart from the stacks, whose equal stride
// makes every line and page a miss (src/README.md has the figures). A block does not own a stack:
// one is lent to it at its first turn, the one given back last, which is warm. For each block there
// is one, so nobody waits for it in vain. A slab starts as PROT_NONE and is opened in steps, so it
// stays one or two mappings and is charged only as far as opened. Slabs are never unmapped: a
// handle may outlive its thread, and hubs are used again.

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
  std::size_t made = 0;        // blocks ever handed out, and as many stacks opened
  std::size_t free = 0;        // of those, waiting for reuse
  std::size_t unguarded = 0;   // stacks lent without a guard
  std::size_t given_back = 0;  // free stacks whose memory went back to the system
};

#if defined(__x86_64__)
inline std::size_t page_size() noexcept { return 4096; }
#else
std::size_t page_size() noexcept;
#endif

// guard_kind() is what this kernel offers, probed once.
Guard guard_kind() noexcept;

struct StackSizes;

// What is known of a stack.
struct StackSlot {
  union {
    StackSlot* next = nullptr;  // while it is free
    Greenlet* user;             // while it is lent; null when its user has let go of it, and runs
  };
  char* base = nullptr;   // of its guard
  detail::Saved resting;  // where it waits for its next user; null: has to be made new
  std::uint32_t index = 0;
  bool lent = false;
  bool cold = false;    // free, and its memory has gone back to the system
  bool marked = false;  // to be given back in this pass
  [[no_unique_address]] ToolContext tools;
};
#if !defined(FERN_ASAN) && !defined(FERN_TSAN)
static_assert(sizeof(StackSlot) == 32);
#endif

struct Slab {
  Slab* next = nullptr;        // the next older one of the same class
  Slab* registered = nullptr;  // the list of all slabs, which never shrinks
  char* base = nullptr;
  std::size_t bytes = 0;
  std::size_t stride = 0;  // guard page included
  char* stacks = nullptr;  // bottom of stack 0's guard
  Greenlet* blocks = nullptr;
  StackSlot* slots = nullptr;
  Slab* newer = nullptr;        // of the same class
  std::uint32_t count = 0;      // stacks that fit
  std::uint32_t opened = 0;     // stacks that mprotect has opened
  std::uint32_t used = 0;       // blocks ever handed out; at most as many as are opened
  std::uint32_t lent = 0;       // stacks ever lent
  std::uint32_t guarded = 0;    // stacks that have got their guards; at least as many
  std::uint32_t first_id = 0;   // id of block 0
  StackSizes* sizes = nullptr;  // the class it belongs to
};

// All stacks of one size.
struct StackSizes {
  StackSizes* next = nullptr;
  std::size_t stride = 0;
  std::size_t next_slab = 0;  // bytes to map next
  Slab* slabs = nullptr;      // newest first
  Slab* lending = nullptr;    // the oldest that may have a stack that was never lent
  Greenlet* free = nullptr;   // blocks
  StackSlot* free_stacks = nullptr;
  std::size_t free_count = 0;  // of stacks
  std::size_t cold = 0;        // free ones whose memory has gone back
  std::size_t unused = 0;      // least free_count since the last trim
  std::size_t trimmed_at = 0;  // free_count then

  Stack stack(const StackSlot& slot) const noexcept {
    return {slot.base + page_size(), slot.base + stride};
  }
};

// StackPool serves one hub; only its thread calls it.
class StackPool {
 public:
  explicit StackPool(Guard best = guard_kind()) noexcept;

  static constexpr std::size_t default_size = 260 * 1024;
  static constexpr std::size_t smallest_size = 16 * 1024;  // room for a signal frame and a throw
  static constexpr std::size_t largest_size = std::size_t{1} << 44;

  // take() gives a block whose stack will have that size, rounded up to an odd number of pages, the
  // guard's included; LIFO. Throws std::bad_alloc when the system is out of memory and changes
  // nothing.
  Greenlet* take(std::size_t size = default_size);

  // take_used() gives a used one of the default size, null if none is free.
  Greenlet* take_used() noexcept;

  // lend() lends it a stack, guarded, LIFO; returns the one that it would lend next, if that rests.
  const StackSlot* lend(Greenlet& block) noexcept;

  // pass_on() lends `to` the stack of one that has ended and let go of it, and still runs there;
  // false if `to` needs another size.
  bool pass_on(StackSlot& slot, const Greenlet& ended, Greenlet& to) noexcept;

  // give() takes a block back, give_stack() a stack that was lent to one of that size.
  void give(Greenlet* block) noexcept;
  void give_stack(StackSlot& slot, const Greenlet& user) noexcept;

  // trim() gives back, in bulk, the memory of stacks that stayed unused since the call before the
  // last, beyond `keep` of each size; the next time if a quarter more have become free meanwhile.
  // Called about once a second.
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
  Class& class_of(const Greenlet& block) noexcept;
  StackSlot& fresh_stack(Class& sizes) noexcept;
  Greenlet* fresh(Class& sizes);
  Slab* map(Class& sizes);
  bool open_more(Slab& slab) noexcept;
  void guard(char* page) noexcept;
  void guard_more(Slab& slab) noexcept;
  void trim(Class& sizes, std::size_t keep) noexcept;

  Guard best_guard_;
  bool guards_many_ = true;  // one call can, as far as we know
  Class default_;
  Class* others_ = nullptr;
  std::uint32_t next_id_ = 1;
  StackStats stats_;
};

// stack_at() finds to whom the stack is lent that an address, or its guard, lies in; null if to
// nobody. Async-signal-safe.
struct StackAddress {
  Greenlet* block = nullptr;
  bool in_guard = false;
};
StackAddress stack_at(const void* address) noexcept;

// stack_of() is the stack that it has, or had last; empty before its first turn.
FERN_INTERNAL Stack stack_of(const Greenlet& block) noexcept;

// Where the first frame begins, a little lower from stack to stack.
char* first_frame(const StackSlot& slot, const Stack& stack) noexcept;

// stack_touched() is how many bytes of it are resident, from the top down to the lowest page.
std::size_t stack_touched(const Stack& stack);

std::size_t max_map_count() noexcept;

}  // namespace fern::core
