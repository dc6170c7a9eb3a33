#include "monkey/owners.hpp"

#include <mutex>
#include <new>

namespace fern::monkey {

constinit Owners owners;

Owners::Owned** Owners::Bucket::find(const void* what) noexcept {
  Owned** place = &first;
  while (*place != nullptr && (*place)->lock != what) place = &(*place)->next;
  return place;
}

Owners::Bucket& Owners::bucket_of(const void* lock) noexcept {
  auto bits = reinterpret_cast<std::uintptr_t>(lock) >> 3;
  return buckets_[(bits * 0x9e3779b97f4a7c15u) >> (64 - bucket_bits)];
}

void Owners::add(Bucket& bucket, std::unique_ptr<Owned>& fresh) noexcept {
  if (fresh == nullptr) return;
  fresh->next = bucket.first;
  bucket.first = fresh.release();
  noted_.fetch_add(1, std::memory_order_relaxed);
}

std::unique_ptr<Owners::Owned> Owners::unlink(Owned** place) noexcept {
  std::unique_ptr<Owned> gone(*place);
  *place = gone->next;
  noted_.fetch_sub(1, std::memory_order_relaxed);
  return gone;
}

Owners::Whose Owners::whose(const void* lock, std::uint32_t me) noexcept {
  Bucket& bucket = bucket_of(lock);
  std::lock_guard guard(bucket.lock);
  Owned* found = *bucket.find(lock);
  return found == nullptr ? Nobodys : found->owner == me ? Mine : Others;
}

bool Owners::others(std::uint32_t me) noexcept {
  for (Bucket& bucket : buckets_) {
    std::lock_guard guard(bucket.lock);
    for (Owned* each = bucket.first; each != nullptr; each = each->next) {
      if (each->owner != me) return true;
    }
  }
  return false;
}

// What is allocated and freed is so without the bucket's lock.

void Owners::take(void* lock, std::uint32_t me, Kind kind) noexcept {
  std::unique_ptr<Owned> fresh(new (std::nothrow) Owned{lock, me, 1, kind, nullptr});
  Bucket& bucket = bucket_of(lock);
  std::lock_guard guard(bucket.lock);
  if (Owned* found = *bucket.find(lock)) {
    found->count = found->owner == me ? found->count + 1 : 1;
    found->owner = me;
    found->kind = kind;
  } else {
    add(bucket, fresh);
  }
}

bool Owners::try_take(void* lock, std::uint32_t me) noexcept {
  std::unique_ptr<Owned> fresh(new (std::nothrow) Owned{lock, me, 1, Foreign, nullptr});
  Bucket& bucket = bucket_of(lock);
  std::lock_guard guard(bucket.lock);
  if (Owned* found = *bucket.find(lock)) {
    if (found->owner != me) return false;
    ++found->count;
  } else {
    add(bucket, fresh);
  }
  return true;
}

bool Owners::release(const void* lock) noexcept {
  std::unique_ptr<Owned> gone;
  Bucket& bucket = bucket_of(lock);
  std::lock_guard guard(bucket.lock);
  Owned** place = bucket.find(lock);
  if (*place == nullptr) return true;
  if (--(*place)->count > 0) return false;
  gone = unlink(place);
  return true;
}

bool Owners::forget(const void* lock) noexcept {
  if (!any()) [[likely]]
    return false;
  std::unique_ptr<Owned> gone;
  Bucket& bucket = bucket_of(lock);
  std::lock_guard guard(bucket.lock);
  Owned** place = bucket.find(lock);
  if (*place == nullptr) return false;
  gone = unlink(place);
  return true;
}

void* Owners::left_by(std::uint32_t me) noexcept {
  if (!any()) [[likely]]
    return nullptr;
  for (Bucket& bucket : buckets_) {
    for (;;) {
      std::unique_ptr<Owned> gone;
      std::lock_guard guard(bucket.lock);
      Owned** place = &bucket.first;
      while (*place != nullptr && (*place)->owner != me) place = &(*place)->next;
      if (*place == nullptr) break;
      gone = unlink(place);
      if (gone->kind == Robust) return gone->lock;
    }
  }
  return nullptr;
}

// The child is its parent's thread, and has what that had; what others had stays locked for ever,
// as natively.
void Owners::forked() noexcept {
  for (Bucket& bucket : buckets_) bucket.lock.unlock();
}

}  // namespace fern::monkey
