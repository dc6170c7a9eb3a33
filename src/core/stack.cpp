#include "core/stack.hpp"

#include "base/proc.hpp"
#include "core/greenlet.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <new>
#include <vector>

namespace fern::core {
namespace {

constexpr std::size_t first_slab = std::size_t{16} << 20;
constexpr std::size_t open_step = std::size_t{16} << 20;
constexpr std::size_t most_open_step = std::size_t{1} << 30;  // where overcommitting is forbidden
// Linux 6.13 and 6.14; Debian 12's headers do not have them yet.
constexpr int madv_guard_install = 102;
constexpr int pidfd_self = -10000;
constexpr std::uint32_t most_guards = 64;  // installed by one call

constinit std::atomic<Slab*> all_slabs{nullptr};
constinit std::atomic<std::size_t> mprotect_guards{0};

std::size_t round_up(std::size_t value, std::size_t step) noexcept {
  return (value + step - 1) / step * step;
}

// An odd number of pages: a power of two apart the stacks' entries in the page tables would share a
// few sets of the caches (src/README.md has the figures).
std::size_t stride_of(std::size_t size) noexcept {
  return round_up(size, page_size()) | page_size();
}

Guard probe_guard() noexcept {
  void* page =
      mmap(nullptr, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return Guard::Protect;
  bool works = madvise(page, page_size(), madv_guard_install) == 0;
  munmap(page, page_size());
  return works ? Guard::Install : Guard::Protect;
}

}  // namespace

#if !defined(__x86_64__)
std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}
#endif

Guard guard_kind() noexcept {
  static const Guard kind = probe_guard();
  return kind;
}

std::size_t max_map_count() noexcept {
  static const std::size_t count = base::read_number("/proc/sys/vm/max_map_count", 65530);
  return count;
}

Stack stack_of(const Greenlet& block) noexcept {
  return block.stack == nullptr ? Stack{} : block.slab->sizes->stack(*block.stack);
}

// Stacks stand whole pages apart, so their tops would share a few sets of the caches. At most
// 2 KiB, so that a parked greenlet still fits one page.
char* first_frame(const StackSlot& slot, const Stack& stack) noexcept {
  constexpr std::size_t colours = 16;
  constexpr std::size_t colour = 128;
  return stack.top - homecoming - slot.index % colours * colour;
}

StackPool::StackPool(Guard best) noexcept : best_guard_(best) {
  default_.stride = stride_of(default_size);
}

StackPool::Class& StackPool::class_of(std::size_t size) {
  if (size == 0) size = default_size;
  if (size > largest_size) throw std::bad_alloc();
  const std::size_t stride = stride_of(std::max({size, smallest_size, 3 * page_size()}));
  if (stride == default_.stride) return default_;
  for (Class* sizes = others_; sizes != nullptr; sizes = sizes->next) {
    if (sizes->stride == stride) return *sizes;
  }
  auto* sizes = new Class;
  sizes->stride = stride;
  sizes->next = others_;
  others_ = sizes;
  return *sizes;
}

Greenlet* StackPool::take(std::size_t size) {
  Class& sizes = size == default_size ? default_ : class_of(size);
  Greenlet* block = sizes.free;
  if (block == nullptr) return fresh(sizes);
  sizes.free = block->next;
  --stats_.free;
  return block;
}

bool StackPool::pass_on(StackSlot& slot, const Greenlet& ended, Greenlet& to) noexcept {
  if (&class_of(ended) != &class_of(to)) return false;
  slot.user = &to;
  to.stack = &slot;
  to.extras |= extra_stack;
  to.tools = slot.tools = ended.tools;
  return true;
}

// There is one, since there are as many stacks as blocks, and one of those has none.
StackSlot& StackPool::fresh_stack(Class& sizes) noexcept {
  while (sizes.lending->lent == sizes.lending->count) sizes.lending = sizes.lending->newer;
  Slab& slab = *sizes.lending;
  std::uint32_t index = slab.lent;
  auto* slot = ::new (static_cast<void*>(&slab.slots[index])) StackSlot;
  slot->index = index;
  slot->base = slab.stacks + index * slab.stride;
  if (index == slab.guarded) guard_more(slab);
  stack_registered(sizes.stack(*slot));
  slab.lent = index + 1;
  return *slot;
}

// A block that nobody has used yet; from a new slab if the newest is used up.
Greenlet* StackPool::fresh(Class& sizes) {
  Slab* slab = sizes.slabs;
  if (slab == nullptr || slab->used == slab->count) slab = map(sizes);
  if (slab->used == slab->opened && !open_more(*slab)) throw std::bad_alloc();
  std::uint32_t index = slab->used++;
  auto* block = ::new (static_cast<void*>(&slab->blocks[index])) Greenlet;
  block->slab = slab;
  block->index = index;
  if (&sizes != &default_) block->extras = extra_size;
  ++stats_.made;
  return block;
}

// Slabs double, so that a million stacks are a dozen mappings; where address space is short they
// shrink again, down to a single stack.
Slab* StackPool::map(Class& sizes) {
  const std::size_t stride = sizes.stride;
  constexpr std::size_t each = sizeof(Greenlet) + sizeof(StackSlot);
  // Aligning the blocks may take up to one more.
  auto head_of = [](std::size_t count) {
    return round_up(sizeof(Slab) + sizeof(Greenlet) + count * each, page_size());
  };
  const std::size_t least = head_of(1) + stride;
  if (sizes.next_slab == 0) sizes.next_slab = first_slab;
  std::size_t bytes = std::max(sizes.next_slab, round_up(least, page_size()));
  void* base = MAP_FAILED;
  for (;;) {
    base = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base != MAP_FAILED || bytes == least) break;
    bytes = std::max(round_up(bytes / 2, page_size()), least);
  }
  if (base == MAP_FAILED) throw std::bad_alloc();
  madvise(base, bytes, MADV_NOHUGEPAGE);

  // Ids and indices have 32 bits; a slab of the smallest stacks stays far below. One too many at
  // first: the head is rounded up to pages.
  std::size_t count = bytes / (stride + each) + 1;
  while (head_of(count) + count * stride > bytes) --count;
  const std::size_t head = head_of(count);
  if (mprotect(base, head, PROT_READ | PROT_WRITE) != 0) {
    munmap(base, bytes);
    throw std::bad_alloc();
  }
  auto* slab = ::new (base) Slab;
  slab->base = static_cast<char*>(base);
  slab->bytes = bytes;
  slab->stride = stride;
  slab->sizes = &sizes;
  slab->blocks =
      reinterpret_cast<Greenlet*>(slab->base + round_up(sizeof(Slab), alignof(Greenlet)));
  slab->slots = reinterpret_cast<StackSlot*>(slab->blocks + count);
  slab->stacks = slab->base + head;
  slab->count = static_cast<std::uint32_t>(count);
  slab->first_id = next_id_;
  if (!open_more(*slab)) {
    munmap(base, bytes);
    throw std::bad_alloc();
  }
  blocks_registered(base, head);
  next_id_ += slab->count;
  slab->next = sizes.slabs;
  (sizes.slabs == nullptr ? sizes.lending : sizes.slabs->newer) = slab;
  sizes.slabs = slab;
  // Valgrind scans whole mappings for leaks and refuses very large ones.
  sizes.next_slab = on_valgrind() ? first_slab : std::max(bytes * 2, first_slab);
  slab->registered = all_slabs.load(std::memory_order_relaxed);
  while (!all_slabs.compare_exchange_weak(slab->registered, slab, std::memory_order_release)) {
  }
  ++stats_.slabs;
  stats_.mapped += bytes;
  return slab;
}

// Opens the next stacks, an eighth more where there are many, fewer when memory is short.
bool StackPool::open_more(Slab& slab) noexcept {
  auto more = static_cast<std::uint32_t>(std::max<std::size_t>(1, open_step / slab.stride));
  const auto most =
      static_cast<std::uint32_t>(std::max<std::size_t>(1, most_open_step / slab.stride));
  more = std::max(more, std::min(slab.opened / 8, most));
  more = std::min(more, slab.count - slab.opened);
  for (; more > 0; more /= 2) {
    char* begin = slab.stacks + slab.opened * slab.stride;
    char* end = begin + more * slab.stride;
    // The last step takes what is left over with it: an open slab is one mapping, not two.
    if (slab.opened + more == slab.count) end = slab.base + slab.bytes;
    if (mprotect(begin, static_cast<std::size_t>(end - begin), PROT_READ | PROT_WRITE) == 0) {
      slab.opened += more;
      return true;
    }
  }
  return false;
}

// A guard that cannot be had is no reason to fail: locked memory refuses it, for one.
void StackPool::guard(char* page) noexcept {
  if (best_guard_ == Guard::Install && madvise(page, page_size(), madv_guard_install) == 0) return;
  if (best_guard_ != Guard::None &&
      mprotect_guards.load(std::memory_order_relaxed) < max_map_count() / 4 &&
      mprotect(page, page_size(), PROT_NONE) == 0) {
    mprotect_guards.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  ++stats_.unguarded;
}

// Guards the next stacks: of a slab of many several with one call, which costs two thirds each.
void StackPool::guard_more(Slab& slab) noexcept {
  auto page = [&] { return slab.stacks + slab.guarded * slab.stride; };
  std::uint32_t most = std::min({most_guards, slab.lent / 8, slab.opened - slab.guarded});
  if (most > 1 && best_guard_ == Guard::Install && guards_many_ && !on_valgrind()) {
    const int saved = errno;
    std::array<iovec, most_guards> pages;
    for (std::uint32_t i = 0; i < most; ++i) {
      pages[i] = {page() + i * slab.stride, page_size()};
    }
    long done = syscall(SYS_process_madvise, pidfd_self, pages.data(), most, madv_guard_install, 0);
    errno = saved;
    guards_many_ = done > 0;
    if (done > 0) {
      slab.guarded += static_cast<std::uint32_t>(static_cast<std::size_t>(done) / page_size());
    }
    if (slab.guarded > slab.lent) return;
  }
  guard(page());
  ++slab.guarded;
}

void StackPool::trim(std::size_t keep) noexcept {
  trim(default_, keep);
  for (Class* sizes = others_; sizes != nullptr; sizes = sizes->next) trim(*sizes, keep);
}

bool StackPool::wants_trim(std::size_t keep) const noexcept {
  auto warm = [keep](const Class& sizes) { return sizes.free_count > keep + sizes.cold; };
  if (warm(default_)) return true;
  for (Class* sizes = others_; sizes != nullptr; sizes = sizes->next) {
    if (warm(*sizes)) return true;
  }
  return false;
}

// The free list is LIFO, so what has been unused longest is at its end: mark that, then give back
// whole runs of marked neighbours with one call each. Guards survive MADV_DONTNEED. While many more
// become free it waits: their neighbours will follow, and the runs be longer.
void StackPool::trim(Class& sizes, std::size_t keep) noexcept {
  std::size_t cold = sizes.unused > keep ? sizes.unused - keep : 0;
  const bool ebbing = sizes.free_count > sizes.trimmed_at + sizes.trimmed_at / 4;
  sizes.unused = sizes.trimmed_at = sizes.free_count;
  if (ebbing) return;
  std::size_t skip = sizes.free_count - std::min(cold, sizes.free_count);
  std::size_t fresh = 0;  // marked now
  std::size_t place = 0;
  for (StackSlot* slot = sizes.free_stacks; slot != nullptr; slot = slot->next, ++place) {
    if (slot->cold || place < skip) continue;
    slot->cold = slot->marked = true;
    slot->resting.sp = nullptr;
    ++fresh;
  }
  if (fresh == 0) return;
  sizes.cold += fresh;
  stats_.given_back += fresh;
  for (Slab* slab = sizes.slabs; slab != nullptr; slab = slab->next) {
    for (std::uint32_t i = 0; i < slab->lent;) {
      std::uint32_t end = i;
      while (end < slab->lent && slab->slots[end].marked) slab->slots[end++].marked = false;
      if (end > i)
        madvise(slab->stacks + i * slab->stride, (end - i) * slab->stride, MADV_DONTNEED);
      i = end + 1;
    }
  }
}

StackStats StackPool::stats() const noexcept { return stats_; }

StackAddress stack_at(const void* address) noexcept {
  const auto* byte = static_cast<const char*>(address);
  for (Slab* slab = all_slabs.load(std::memory_order_acquire); slab != nullptr;
       slab = slab->registered) {
    if (byte < slab->stacks || byte >= slab->stacks + slab->count * slab->stride) continue;
    auto offset = static_cast<std::size_t>(byte - slab->stacks);
    std::size_t index = offset / slab->stride;
    if (index >= slab->lent || !slab->slots[index].lent) return {};
    return {slab->slots[index].user, offset % slab->stride < page_size()};
  }
  return {};
}

std::size_t stack_touched(const Stack& stack) {
  const std::size_t pages = stack.size() / page_size();
  std::vector<unsigned char> resident(pages);
  if (mincore(stack.bottom, stack.size(), resident.data()) != 0) return 0;
  for (std::size_t i = 0; i < pages; ++i) {
    if ((resident[i] & 1) != 0) return (pages - i) * page_size();
  }
  return 0;
}

}  // namespace fern::core
