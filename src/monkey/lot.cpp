#include "monkey/lot.hpp"

#include "base/real.hpp"
#include "core/hub.hpp"
#include "monkey/state.hpp"
#include "monkey/times.hpp"

#include <fern/detail/wait_queue.hpp>

#include <linux/futex.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <ctime>
#include <utility>

namespace fern::monkey::lot {
namespace {

struct Waiter {
  Waiter* next = nullptr;
  Waiter* previous = nullptr;
  std::atomic<const void*> address{nullptr};  // changes under its bucket's lock; null: taken out
  std::uint32_t bits = any;
  core::Hub* hub = nullptr;  // null: a native thread, which sleeps at `told`
  core::Greenlet* greenlet = nullptr;
  Word told{0};  // woken and out of the bucket
  Waiter* next_told = nullptr;
  fern::detail::Remote remote;
};

struct alignas(64) Bucket {
  fern::detail::SpinLock lock;
  std::atomic<std::uint32_t> waiting{0};
  Waiter* first = nullptr;
  Waiter* last = nullptr;

  void append(Waiter& waiter) noexcept {
    waiter.next = nullptr;
    waiter.previous = last;
    (last == nullptr ? first : last->next) = &waiter;
    last = &waiter;
  }
  void remove(Waiter& waiter) noexcept {
    (waiter.previous == nullptr ? first : waiter.previous->next) = waiter.next;
    (waiter.next == nullptr ? last : waiter.next->previous) = waiter.previous;
  }
};

constexpr std::size_t bucket_count = 1024;
constinit Bucket buckets[bucket_count];

Bucket& bucket_of(const void* address) noexcept {
  auto bits = reinterpret_cast<std::uintptr_t>(address) >> 2;
  return buckets[(bits * 0x9e3779b97f4a7c15u) >> 54];
}
static_assert(bucket_count == std::size_t{1} << (64 - 54));

// Those taken out of a bucket are told when its lock is free again: posting takes a while.
class Told {
 public:
  void add(Waiter& waiter) noexcept {
    waiter.next_told = nullptr;
    (last_ == nullptr ? first_ : last_->next_told) = &waiter;
    last_ = &waiter;
  }
  // A waiter may go as soon as it is told.
  void tell() noexcept {
    core::Hub* here = core::Hub::here();
    for (Waiter* waiter = first_; waiter != nullptr;) {
      Waiter* next = waiter->next_told;
      if (waiter->hub == nullptr) {
        waiter->told.store(1, std::memory_order_release);
        real::futex(&waiter->told, FUTEX_WAKE_PRIVATE, 1, nullptr);
      } else if (waiter->hub == here) {
        waiter->told.store(1, std::memory_order_release);
        core::Hub::wake(*waiter->greenlet, core::Wake::Notified);
      } else {
        waiter->hub->post(waiter->remote);
      }
      waiter = next;
    }
  }

 private:
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
};

void take(Bucket& bucket, Waiter& waiter, Told& told) noexcept {
  bucket.remove(waiter);
  waiter.address.store(nullptr, std::memory_order_relaxed);
  told.add(waiter);
}

// Takes the waiter out if nobody has; false when it is told, or about to be.
bool leave(Bucket*& bucket, Waiter& waiter) noexcept {
  for (;;) {
    Bucket* now = bucket;
    now->lock.lock();
    if (waiter.address == nullptr) {
      now->lock.unlock();
      return false;
    }
    Bucket& its = bucket_of(waiter.address);  // it may have been moved
    if (&its == now) {
      now->remove(waiter);
      now->waiting.fetch_sub(1, std::memory_order_relaxed);
      waiter.address = nullptr;
      now->lock.unlock();
      return true;
    }
    now->lock.unlock();
    bucket = &its;
  }
}

// FUTEX_WAIT_BITSET takes an absolute time of the steady clock.
int sleep_natively(Bucket* bucket, Waiter& waiter, Deadline limit) noexcept {
  timespec until = to_timespec(std::chrono::nanoseconds(limit.ns()));
  for (;;) {
    if (waiter.told.load(std::memory_order_acquire) != 0) return 0;
    int slept = real::futex(&waiter.told, FUTEX_WAIT_BITSET_PRIVATE, 0,
                            limit.is_never() ? nullptr : &until);
    if (slept == 0 || errno != ETIMEDOUT) continue;
    if (leave(bucket, waiter)) return ETIMEDOUT;
    limit = {};  // told at this moment
  }
}

int park(Bucket* bucket, Waiter& waiter, const char* what, Deadline limit, End end) noexcept {
  core::Hub& hub = *waiter.hub;
  core::Greenlet& self = *waiter.greenlet;
  std::uint16_t shield = end == End::Ignore ? 1 : 0;
  int result = 0;
  self.shields = static_cast<std::uint16_t>(self.shields + shield);
  while (waiter.told.load(std::memory_order_acquire) == 0) {
    core::Wake why = hub.try_park(what, -1, limit);
    if (why == core::Wake::Notified) continue;
    if (leave(bucket, waiter)) {
      result = why == core::Wake::TimedOut ? ETIMEDOUT : ECANCELED;
      break;
    }
    // Told, and the message is on its way.
    ++self.shields;
    while (waiter.told.load(std::memory_order_acquire) == 0) hub.try_park(what);
    --self.shields;
  }
  self.shields = static_cast<std::uint16_t>(self.shields - shield);
  if (result == ECANCELED) core::refuse(self);
  return result;
}

}  // namespace

int wait(const Word& word, std::uint32_t expected, const char* what, Deadline limit, End end,
         std::uint32_t bits) noexcept {
  int saved = errno;
  Waiter waiter;
  waiter.address = &word;
  waiter.bits = bits;
  if (goes_green(Part::Threads)) {
    waiter.hub = core::Hub::here();
    waiter.greenlet = &waiter.hub->running();
    waiter.remote.run = [](fern::detail::Remote* remote) noexcept {
      auto& told =
          *reinterpret_cast<Waiter*>(reinterpret_cast<char*>(remote) - offsetof(Waiter, remote));
      core::Greenlet& greenlet = *told.greenlet;
      told.told.store(1, std::memory_order_release);
      core::Hub::wake(greenlet, core::Wake::Notified);
    };
  }
  Bucket* bucket = &bucket_of(&word);
  // Counted before the word is looked at: who changes it and then finds nobody counted was first.
  bucket->waiting.fetch_add(1, std::memory_order_seq_cst);
  bucket->lock.lock();
  if (word.load(std::memory_order_seq_cst) != expected) {
    bucket->waiting.fetch_sub(1, std::memory_order_relaxed);
    bucket->lock.unlock();
    return EAGAIN;
  }
  bucket->append(waiter);
  bucket->lock.unlock();
  int result = waiter.hub == nullptr ? sleep_natively(bucket, waiter, limit)
                                     : park(bucket, waiter, what, limit, end);
  errno = saved;
  return result;
}

int wake(const Word* word, int most, std::uint32_t bits) noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Bucket& bucket = bucket_of(word);
  if (bucket.waiting.load(std::memory_order_seq_cst) == 0) return 0;
  int saved = errno;
  Told told;
  int count = 0;
  bucket.lock.lock();
  for (Waiter* waiter = bucket.first; waiter != nullptr && count < most;) {
    Waiter* next = waiter->next;
    if (waiter->address == word && (waiter->bits & bits) != 0) {
      take(bucket, *waiter, told);
      ++count;
    }
    waiter = next;
  }
  bucket.waiting.fetch_sub(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  bucket.lock.unlock();
  told.tell();
  errno = saved;
  return count;
}

int requeue(const Word* from, int most, const Word* to, int moved) noexcept {
  int saved = errno;
  Bucket& source = bucket_of(from);
  Bucket& target = bucket_of(to);
  Bucket* first = &source < &target ? &source : &target;
  Bucket* second = &source < &target ? &target : &source;
  Told told;
  int woken = 0;
  int requeued = 0;
  first->lock.lock();
  if (second != first) second->lock.lock();
  for (Waiter* waiter = source.first; waiter != nullptr;) {
    Waiter* next = waiter->next;
    if (waiter->address == from) {
      if (woken < most) {
        take(source, *waiter, told);
        ++woken;
      } else if (requeued < moved) {
        source.remove(*waiter);
        waiter->address = to;
        target.append(*waiter);
        ++requeued;
      } else {
        break;
      }
    }
    waiter = next;
  }
  auto left = static_cast<std::uint32_t>(woken + requeued);
  target.waiting.fetch_add(static_cast<std::uint32_t>(requeued), std::memory_order_seq_cst);
  source.waiting.fetch_sub(left, std::memory_order_relaxed);
  if (second != first) second->lock.unlock();
  first->lock.unlock();
  told.tell();
  errno = saved;
  return woken + requeued;
}

void forked() noexcept {
  for (Bucket& bucket : buckets) {
    bucket.lock.unlock();
    bucket.first = bucket.last = nullptr;
    bucket.waiting.store(0, std::memory_order_relaxed);
  }
}

}  // namespace fern::monkey::lot
