#include "io/fd_slot.hpp"

#include <sys/mman.h>

#include <algorithm>

namespace fern::io {

constinit FdSlot FdSlot::first_[chunk_size];
constinit std::atomic<FdSlot*> FdSlot::more_[chunks];

FdSlot* FdSlot::find_far(unsigned number) noexcept {
  if (number >= chunks * chunk_size) return nullptr;
  std::atomic<FdSlot*>& place = more_[number / chunk_size];
  FdSlot* chunk = place.load(std::memory_order_acquire);
  if (chunk == nullptr) {
    // Zeros are slots of descriptors that nobody has seen.
    void* fresh = mmap(nullptr, chunk_size * sizeof(FdSlot), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED) return nullptr;
    if (place.compare_exchange_strong(chunk, static_cast<FdSlot*>(fresh),
                                      std::memory_order_acq_rel)) {
      chunk = static_cast<FdSlot*>(fresh);
    } else {
      munmap(fresh, chunk_size * sizeof(FdSlot));
    }
  }
  return chunk + number % chunk_size;
}

int FdSlot::next_noted(unsigned first, unsigned last) noexcept {
  last = std::min(last, chunks * chunk_size - 1);
  for (unsigned number = first; number <= last; ++number) {
    const FdSlot* chunk =
        number < chunk_size ? first_ : more_[number / chunk_size].load(std::memory_order_acquire);
    if (chunk == nullptr) {
      number |= chunk_size - 1;  // nobody has seen any of these
    } else if (chunk[number % chunk_size].load().table() != 0) {
      return static_cast<int>(number);
    }
  }
  return -1;
}

void FdSlot::adopt(bool stream) noexcept {
  std::uint64_t before = word_.load(std::memory_order_relaxed);
  std::uint64_t after;
  do {
    after = (View(before).generation() + 1U) | owned_bit | (stream ? stream_bit : 0);
  } while (!word_.compare_exchange_weak(before, after, std::memory_order_acq_rel));
}

bool FdSlot::note(std::uint32_t generation, std::uint32_t table) noexcept {
  std::uint64_t before = word_.load(std::memory_order_acquire);
  for (;;) {
    View view(before);
    if (view.generation() != generation) return false;
    if (view.table() == table || view.table() == many) return true;
    std::uint64_t noted = view.table() == 0 ? table : many;
    std::uint64_t after = (before & ~(std::uint64_t{many} << 32)) | noted << 32;
    if (word_.compare_exchange_weak(before, after, std::memory_order_acq_rel)) return true;
  }
}

FdSlot::View FdSlot::take() noexcept {
  std::uint64_t before = word_.load(std::memory_order_acquire);
  while (!word_.compare_exchange_weak(before, View(before).generation() + 1U,
                                      std::memory_order_acq_rel)) {
  }
  return View(before);
}

}  // namespace fern::io
