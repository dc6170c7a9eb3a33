// Read-write locks.
//
//   state    how many read, or `writing`       who cannot be let in waits at it
//   writers  how many wait to write            readers whom the lock has wait for writers, too
//   writer   who writes
//
// A lock of glibc's default kind prefers readers, so that one may lock again.

#include "monkey/green.hpp"
#include "monkey/lock_words.hpp"
#include "monkey/owners.hpp"
#include "monkey/thread.hpp"
#include "monkey/times.hpp"
#include "monkey/wait.hpp"

#include <climits>

namespace fern::monkey::replaced {
namespace {

using lot::Word;

constexpr std::uint32_t writing = 0x80000000;
constexpr std::size_t shared_offset = 28;
constexpr std::size_t writer_offset = 24;
constexpr std::size_t kind_offset = 48;

struct ReadWrite {
  explicit ReadWrite(pthread_rwlock_t* lock) noexcept
      : state(word_at(lock)),
        writers(word_at(lock, 4)),
        writer(word_at(lock, writer_offset)),
        prefers_writers(word_at(lock, kind_offset).load(std::memory_order_relaxed) ==
                        PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) {}
  Word& state;
  Word& writers;
  Word& writer;
  bool prefers_writers;

  // How many writers a reader has to let go first.
  std::uint32_t preferred() const noexcept {
    return prefers_writers ? writers.load(std::memory_order_seq_cst) : 0;
  }
  // `seen` is the state that did not let it in.
  bool try_read(std::uint32_t& seen) noexcept {
    seen = state.load(std::memory_order_relaxed);
    while (seen < writing - 1 && preferred() == 0) {
      if (state.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire)) return true;
    }
    return false;
  }
  bool try_write(std::uint32_t& seen) noexcept {
    seen = 0;
    if (!state.compare_exchange_strong(seen, writing, std::memory_order_acquire)) return false;
    writer.store(self_id(), std::memory_order_relaxed);
    return true;
  }
  bool mine(std::uint32_t seen) const noexcept {
    return seen == writing && writer.load(std::memory_order_relaxed) == self_id();
  }
};

bool is_foreign(pthread_rwlock_t* lock) noexcept {
  return word_at(lock, shared_offset).load(std::memory_order_relaxed) != 0;
}

// glibc would take all green threads of a hub for its writer.
int try_foreign_read(pthread_rwlock_t* lock) noexcept {
  if (owners.whose(lock, self_id()) == Owners::Mine) return EDEADLK;
  return native::pthread_rwlock_tryrdlock(lock);
}

int try_foreign_write(pthread_rwlock_t* lock) noexcept {
  if (owners.whose(lock, self_id()) == Owners::Mine) return EDEADLK;
  int error = native::pthread_rwlock_trywrlock(lock);
  if (error == 0) owners.take(lock, self_id());
  return error;
}

int read(pthread_rwlock_t* lock, Deadline limit) noexcept {
  constexpr const char* what = "pthread_rwlock_rdlock()";
  ReadWrite parts(lock);
  std::uint32_t seen;
  while (!parts.try_read(seen)) {
    if (parts.mine(seen)) return EDEADLK;
    if (seen == writing - 1) return EAGAIN;
    int error = 0;
    if (seen == writing) {
      error = lot::wait(parts.state, seen, what, limit, lot::End::Ignore);
    } else if (std::uint32_t first = parts.preferred(); first != 0) {
      error = lot::wait(parts.writers, first, what, limit, lot::End::Ignore);
    }
    if (error == ETIMEDOUT) return ETIMEDOUT;
  }
  return 0;
}

int write(pthread_rwlock_t* lock, Deadline limit) noexcept {
  ReadWrite parts(lock);
  std::uint32_t seen;
  if (parts.try_write(seen)) return 0;
  if (parts.mine(seen)) return EDEADLK;
  parts.writers.fetch_add(1, std::memory_order_seq_cst);
  int error = 0;
  while (error != ETIMEDOUT && !parts.try_write(seen)) {
    error = lot::wait(parts.state, seen, "pthread_rwlock_wrlock()", limit, lot::End::Ignore);
  }
  // Readers wait at it while it is what it was.
  parts.writers.fetch_sub(1, std::memory_order_seq_cst);
  lot::wake(&parts.writers, INT_MAX);
  return error == ETIMEDOUT ? ETIMEDOUT : 0;
}

// With a limit of never, if no time is given.
int read_until(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) noexcept {
  if (!is_foreign(lock)) {
    std::uint32_t seen;
    if (ReadWrite(lock).try_read(seen)) return 0;
  }
  Deadline limit;
  if (time != nullptr) {
    if (int error = until(clock, *time, limit); error != 0) return error;
  }
  if (!is_foreign(lock)) return read(lock, limit);
  return ask_until("pthread_rwlock_rdlock()", limit, [&] { return try_foreign_read(lock); });
}

int write_until(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) noexcept {
  Deadline limit;
  if (time != nullptr) {
    if (int error = until(clock, *time, limit); error != 0) return error;
  }
  if (!is_foreign(lock)) return write(lock, limit);
  return ask_until("pthread_rwlock_wrlock()", limit, [&] { return try_foreign_write(lock); });
}

// Of another process, and nobody else's business here.
bool natively(pthread_rwlock_t* lock) noexcept {
  return is_foreign(lock) && !goes_green(Part::Threads);
}

}  // namespace

int pthread_rwlock_init(pthread_rwlock_t* lock, const pthread_rwlockattr_t* attributes) {
  int error = native::pthread_rwlock_init(lock, attributes);
  if (error == 0) owners.forget(lock);  // as in pthread_mutex_init()
  return error;
}

int pthread_rwlock_rdlock(pthread_rwlock_t* lock) {
  if (natively(lock)) return native::pthread_rwlock_rdlock(lock);
  return read_until(lock, CLOCK_MONOTONIC, nullptr);
}

int pthread_rwlock_wrlock(pthread_rwlock_t* lock) {
  if (natively(lock)) return native::pthread_rwlock_wrlock(lock);
  return write_until(lock, CLOCK_MONOTONIC, nullptr);
}

int pthread_rwlock_tryrdlock(pthread_rwlock_t* lock) {
  if (is_foreign(lock)) return native::pthread_rwlock_tryrdlock(lock);
  std::uint32_t seen;
  if (ReadWrite(lock).try_read(seen)) return 0;
  if (goes_green(Part::Threads)) fair();
  return EBUSY;
}

int pthread_rwlock_trywrlock(pthread_rwlock_t* lock) {
  if (is_foreign(lock)) {
    int error = goes_green(Part::Threads) ? try_foreign_write(lock)
                                          : native::pthread_rwlock_trywrlock(lock);
    return error == EDEADLK ? EBUSY : error;
  }
  std::uint32_t seen;
  if (ReadWrite(lock).try_write(seen)) return 0;
  if (goes_green(Part::Threads)) fair();
  return EBUSY;
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t* lock, const timespec* time) {
  if (natively(lock)) return native::pthread_rwlock_timedrdlock(lock, time);
  return read_until(lock, CLOCK_REALTIME, time);
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t* lock, const timespec* time) {
  if (natively(lock)) return native::pthread_rwlock_timedwrlock(lock, time);
  return write_until(lock, CLOCK_REALTIME, time);
}

int pthread_rwlock_clockrdlock(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) {
  if (natively(lock)) return native::pthread_rwlock_clockrdlock(lock, clock, time);
  return waits_for(clock) ? read_until(lock, clock, time) : EINVAL;
}

int pthread_rwlock_clockwrlock(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) {
  if (natively(lock)) return native::pthread_rwlock_clockwrlock(lock, clock, time);
  return waits_for(clock) ? write_until(lock, clock, time) : EINVAL;
}

int pthread_rwlock_unlock(pthread_rwlock_t* lock) {
  if (is_foreign(lock)) {
    if (owners.whose(lock, self_id()) == Owners::Mine) owners.release(lock);
    return native::pthread_rwlock_unlock(lock);
  }
  ReadWrite parts(lock);
  Word* state = &parts.state;
  if (state->load(std::memory_order_relaxed) == writing) {
    parts.writer.store(0, std::memory_order_relaxed);
    state->store(0, std::memory_order_seq_cst);
    if (lot::wake(state, INT_MAX) > 0 && goes_green(Part::Threads)) fair();
  } else if (state->fetch_sub(1, std::memory_order_seq_cst) == 1) {
    lot::wake(state, INT_MAX);
  }
  return 0;
}

}  // namespace fern::monkey::replaced
