#include "monkey/owners.hpp"

#include <fern/detail/wait_queue.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>

namespace fern::monkey {
namespace {

struct Owned {
  void* lock;
  std::uint32_t owner;
  unsigned count;
  Owners::Kind kind;
  Owned* next;
};

struct Bucket {
  fern::detail::SpinLock lock;
  Owned* first = nullptr;

  Owned** find(const void* what) noexcept {
    Owned** place = &first;
    while (*place != nullptr && (*place)->lock != what) place = &(*place)->next;
    return place;
  }
};

constexpr std::size_t bucket_count = 64;
constinit Bucket buckets[bucket_count];
constinit std::atomic<std::size_t> noted{0};

Bucket& bucket_of(const void* lock) noexcept {
  auto bits = reinterpret_cast<std::uintptr_t>(lock) >> 3;
  return buckets[(bits * 0x9e3779b97f4a7c15u) >> 58];
}
static_assert(bucket_count == std::size_t{1} << (64 - 58));

}  // namespace

constinit Owners owners;

Owners::Whose Owners::whose(const void* lock, std::uint32_t me) noexcept {
  Bucket& bucket = bucket_of(lock);
  std::lock_guard guard(bucket.lock);
  Owned* found = *bucket.find(lock);
  return found == nullptr ? Nobodys : found->owner == me ? Mine : Others;
}

void Owners::take(void* lock, std::uint32_t me, Kind kind) noexcept {
  std::unique_ptr<Owned> fresh(new (std::nothrow) Owned{lock, me, 1, kind, nullptr});
  Bucket& bucket = bucket_of(lock);
  std::lock_guard guard(bucket.lock);
  if (Owned* found = *bucket.find(lock)) {
    found->count = found->owner == me ? found->count + 1 : 1;
    found->owner = me;
    found->kind = kind;
  } else if (fresh != nullptr) {
    fresh->next = bucket.first;
    bucket.first = fresh.release();
    noted.fetch_add(1, std::memory_order_relaxed);
  }
}

bool Owners::release(const void* lock) noexcept {
  std::unique_ptr<Owned> gone;
  Bucket& bucket = bucket_of(lock);
  std::lock_guard guard(bucket.lock);
  Owned** place = bucket.find(lock);
  if (*place == nullptr) return true;
  if (--(*place)->count > 0) return false;
  gone.reset(*place);
  *place = gone->next;
  noted.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

void* Owners::left_by(std::uint32_t me) noexcept {
  if (noted.load(std::memory_order_relaxed) == 0) [[likely]]
    return nullptr;
  for (Bucket& bucket : buckets) {
    for (;;) {
      std::unique_ptr<Owned> gone;
      std::lock_guard guard(bucket.lock);
      Owned** place = &bucket.first;
      while (*place != nullptr && (*place)->owner != me) place = &(*place)->next;
      if (*place == nullptr) break;
      gone.reset(*place);
      *place = gone->next;
      noted.fetch_sub(1, std::memory_order_relaxed);
      if (gone->kind == Robust) return gone->lock;
    }
  }
  return nullptr;
}

// The child is its parent's thread, and has what that had; what others had stays locked for ever,
// as natively.
void Owners::forked() noexcept {
  for (Bucket& bucket : buckets) bucket.lock.unlock();
}

}  // namespace fern::monkey
