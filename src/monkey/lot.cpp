#include "monkey/lot.hpp"

#include "base/assert.hpp"
#include "base/native.hpp"
#include "base/real.hpp"
#include "core/hub.hpp"
#include "monkey/handlers.hpp"
#include "monkey/state.hpp"
#include "monkey/times.hpp"

#include <fern/detail/wait_queue.hpp>

#include <linux/futex.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <ctime>
#include <optional>
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

// A wake-up in a handler of a signal (sem_post may be called there) that has interrupted this very
// thread while it had a bucket: done when that is free again.
struct Deferred {
  const Word* word;
  int most;
  std::uint32_t bits;
};
constexpr int most_deferred = 16;
constinit thread_local bool inside = false;
constinit thread_local std::atomic<int> deferred_count{0};
constinit thread_local Deferred deferred[most_deferred]{};

// Inside holds the bucket that it locks, and another one if asked.
class Inside {
 public:
  explicit Inside(Bucket& bucket) noexcept : Inside(bucket, bucket) {}
  Inside(Bucket& a, Bucket& b) noexcept : first_(&a < &b ? a : b), second_(&a < &b ? b : a) {
    inside = true;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    first_.lock.lock();
    if (&second_ != &first_) second_.lock.lock();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() {
    if (&second_ != &first_) second_.lock.unlock();
    first_.lock.unlock();
    std::atomic_signal_fence(std::memory_order_seq_cst);
    inside = false;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    while (deferred_count.load(std::memory_order_relaxed) > 0) {
      const Deferred& late = deferred[deferred_count.fetch_sub(1, std::memory_order_relaxed) - 1];
      wake(late.word, late.most, late.bits);
    }
  }

 private:
  Bucket& first_;
  Bucket& second_;
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
  // A waiter may go as soon as it is told. A handler of a signal, where all is native, may have
  // interrupted the hub at its ready queue, and posts.
  void tell() noexcept {
    core::Hub* here = core::Hub::here();
    for (Waiter* waiter = first_; waiter != nullptr;) {
      Waiter* next = waiter->next_told;
      if (waiter->hub == nullptr) {
        waiter->told.store(1, std::memory_order_release);
        real::futex(&waiter->told, FUTEX_WAKE_PRIVATE, 1, nullptr);
      } else if (waiter->hub == here && base::native_depth == 0) {
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
    Inside locked(*bucket);
    const void* address = waiter.address.load(std::memory_order_relaxed);
    if (address == nullptr) return false;
    Bucket& its = bucket_of(address);
    if (&its == bucket) {
      its.remove(waiter);
      its.waiting.fetch_sub(1, std::memory_order_relaxed);
      waiter.address.store(nullptr, std::memory_order_relaxed);
      return true;
    }
    bucket = &its;  // it has been moved
  }
}

// FUTEX_WAIT_BITSET takes an absolute time of the steady clock.
int sleep_natively(Bucket* bucket, Waiter& waiter, Deadline limit) noexcept {
  timespec until = to_timespec(std::chrono::nanoseconds(limit.ns()));
  for (;;) {
    if (waiter.told.load(std::memory_order_acquire) != 0) return 0;
    int slept = real::futex(&waiter.told, FUTEX_WAIT_BITSET_PRIVATE, 0,
                            limit.is_never() ? nullptr : &until, FUTEX_BITSET_MATCH_ANY);
    if (slept == 0 || errno != ETIMEDOUT) continue;
    if (leave(bucket, waiter)) return ETIMEDOUT;
    limit = {};  // told at this moment
  }
}

int park(Bucket* bucket, Waiter& waiter, const char* what, Deadline limit, End end) noexcept {
  core::Hub& hub = *waiter.hub;
  core::Greenlet& self = *waiter.greenlet;
  std::optional<Interrupts> interrupts;
  std::optional<core::Hub::External> external;  // a handler may wake it
  if (end == End::Interrupt && &self == &hub.main()) {
    interrupts.emplace();
    external.emplace(hub);
  }
  std::uint16_t shield = end == End::Ignore ? 1 : 0;
  int result = 0;
  self.shields = static_cast<std::uint16_t>(self.shields + shield);
  while (waiter.told.load(std::memory_order_acquire) == 0) {
    core::Wake why = hub.try_park(what, -1, limit);
    bool handled = interrupts.has_value() && interrupts->came();
    if (why == core::Wake::Notified && !handled) continue;
    if (leave(bucket, waiter)) {
      result = handled ? EINTR : why == core::Wake::TimedOut ? ETIMEDOUT : ECANCELED;
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
  struct Expected {
    const Word& word;
    std::uint32_t value;
  } as_expected{word, expected};
  auto is = [](void* context) noexcept {
    auto& here = *static_cast<Expected*>(context);
    return here.word.load(std::memory_order_seq_cst) == here.value;
  };
  return wait_if(word, is, &as_expected, what, limit, end, bits);
}

int wait_if(const Word& word, bool (*waits)(void* context) noexcept, void* context,
            const char* what, Deadline limit, End end, std::uint32_t bits) noexcept {
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
  {
    Inside locked(*bucket);
    if (!waits(context)) {
      bucket->waiting.fetch_sub(1, std::memory_order_relaxed);
      return EAGAIN;
    }
    bucket->append(waiter);
  }
  int result = waiter.hub == nullptr ? sleep_natively(bucket, waiter, limit)
                                     : park(bucket, waiter, what, limit, end);
  errno = saved;
  return result;
}

int wake(const Word* word, int most, std::uint32_t bits) noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Bucket& bucket = bucket_of(word);
  if (bucket.waiting.load(std::memory_order_seq_cst) == 0) return 0;
  if (inside) [[unlikely]] {
    int place = deferred_count.fetch_add(1, std::memory_order_relaxed);
    FERN_ASSERT(place < most_deferred,
                "fern::monkey::lot::wake(): too many in handlers of signals");
    deferred[place] = {word, most, bits};
    return 0;
  }
  int saved = errno;
  Told told;
  int count = 0;
  {
    Inside locked(bucket);
    for (Waiter* waiter = bucket.first; waiter != nullptr && count < most;) {
      Waiter* next = waiter->next;
      if (waiter->address == word && (waiter->bits & bits) != 0) {
        take(bucket, *waiter, told);
        ++count;
      }
      waiter = next;
    }
    bucket.waiting.fetch_sub(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  }
  told.tell();
  errno = saved;
  return count;
}

namespace {

// `expected` is null when the word does not matter.
int move(const Word* from, const std::uint32_t* expected, int most, const Word* to,
         int moved) noexcept {
  int saved = errno;
  if (from == to) moved = 0;  // they stay where they are
  Bucket& source = bucket_of(from);
  Bucket& target = bucket_of(to);
  Told told;
  int woken = 0;
  int requeued = 0;
  {
    Inside locked(source, target);
    if (expected != nullptr && from->load(std::memory_order_seq_cst) != *expected) return -EAGAIN;
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
    target.waiting.fetch_add(static_cast<std::uint32_t>(requeued), std::memory_order_seq_cst);
    source.waiting.fetch_sub(static_cast<std::uint32_t>(woken + requeued),
                             std::memory_order_relaxed);
  }
  told.tell();
  errno = saved;
  return woken + requeued;
}

}  // namespace

int requeue(const Word* from, int most, const Word* to, int moved) noexcept {
  return move(from, nullptr, most, to, moved);
}

int requeue_if(const Word& from, std::uint32_t expected, int most, const Word* to,
               int moved) noexcept {
  return move(&from, &expected, most, to, moved);
}

std::size_t waiting() noexcept {
  std::size_t sum = 0;
  for (const Bucket& bucket : buckets) sum += bucket.waiting.load(std::memory_order_relaxed);
  return sum;
}

void forked() noexcept {
  for (Bucket& bucket : buckets) {
    bucket.lock.unlock();
    bucket.first = bucket.last = nullptr;
    bucket.waiting.store(0, std::memory_order_relaxed);
  }
}

}  // namespace fern::monkey::lot
