// The locks of pthreads, in the memory of their own objects: a word that is 0 when free, and the
// lot. Greenlets and native threads use the same words, so all threads of the process come here
// once the threads are green. The words keep the meaning that glibc 2.36 gives them, so that a lock
// which was initialised statically, or taken before, is right. What is shared between processes,
// robust, or has a priority protocol stays glibc's: a greenlet that has to wait for one asks again
// and again.

#include "core/hub.hpp"
#include "monkey/green.hpp"
#include "monkey/lot.hpp"
#include "monkey/state.hpp"
#include "monkey/thread.hpp"
#include "monkey/until.hpp"
#include "monkey/wait.hpp"

#include <algorithm>
#include <chrono>
#include <climits>
#include <mutex>

namespace fern::monkey::replaced {
namespace {

using lot::Word;

Word& word_at(void* object, std::size_t offset = 0) noexcept {
  return *reinterpret_cast<Word*>(static_cast<char*>(object) + offset);
}

// --- waiting for what is glibc's --------------------------------------------------------------

// `ask` is 0, EBUSY or EAGAIN for "not yet", or another errno.
template <class Ask>
int ask_until(const char* what, Deadline limit, Ask ask) noexcept {
  auto pause = std::chrono::microseconds(50);
  for (;;) {
    int error = ask();
    if (error != EBUSY && error != EAGAIN) return error;
    if (limit.expired()) return ETIMEDOUT;
    Deadline soon = pause;
    core::Hub& hub = *core::Hub::here();
    ++hub.running().shields;
    hub.try_park(what, -1, std::min(soon, limit));
    --hub.running().shields;
    pause = std::min(pause * 2, std::chrono::microseconds(10'000));
  }
}

// --- mutexes ----------------------------------------------------------------------------------

enum Kind { normal = 0, recursive = 1, errorcheck = 2, adaptive = 3 };

int type_of(const pthread_mutex_t& mutex) noexcept { return mutex.__data.__kind & 3; }

// Robust, with a protocol, or shared between processes.
bool is_foreign(const pthread_mutex_t& mutex) noexcept { return (mutex.__data.__kind & 0xf0) != 0; }

Word& word_of(pthread_mutex_t& mutex) noexcept { return word_at(&mutex.__data.__lock); }

bool try_take(Word& word) noexcept {
  std::uint32_t free = 0;
  return word.compare_exchange_strong(free, 1, std::memory_order_acquire,
                                      std::memory_order_relaxed);
}

// 2 says that somebody may be waiting; whoever has waited leaves it so, for the next.
int take(Word& word, const char* what, Deadline limit = {}) noexcept {
  while (word.exchange(2, std::memory_order_acquire) != 0) {
    if (lot::wait(word, 2, what, limit, lot::End::Ignore) == ETIMEDOUT) return ETIMEDOUT;
  }
  return 0;
}

// -1: not ours yet. Else what the call returns.
int relock(pthread_mutex_t& mutex, std::uint32_t me, bool only_try) noexcept {
  int type = type_of(mutex);
  if (type != recursive && type != errorcheck) return -1;
  if (static_cast<std::uint32_t>(__atomic_load_n(&mutex.__data.__owner, __ATOMIC_RELAXED)) != me)
    return -1;
  if (type == errorcheck) return only_try ? EBUSY : EDEADLK;
  if (mutex.__data.__count == UINT_MAX) return EAGAIN;
  ++mutex.__data.__count;
  return 0;
}

void taken(pthread_mutex_t& mutex, std::uint32_t me) noexcept {
  __atomic_store_n(&mutex.__data.__owner, static_cast<int>(me), __ATOMIC_RELAXED);
  mutex.__data.__count = 1;
  ++mutex.__data.__nusers;
}

int lock(pthread_mutex_t& mutex, Deadline limit) noexcept {
  std::uint32_t me = self_id();
  if (int result = relock(mutex, me, false); result >= 0) return result;
  Word& word = word_of(mutex);
  if (!try_take(word)) {
    if (int error = take(word, "pthread_mutex_lock()", limit); error != 0) return error;
  }
  taken(mutex, me);
  return 0;
}

int timedlock(pthread_mutex_t* mutex, clockid_t clock, const timespec* time) noexcept {
  if (!is_foreign(*mutex) && try_take(word_of(*mutex))) {
    // glibc, too, looks at the time only if it has to wait.
    taken(*mutex, self_id());
    return 0;
  }
  Deadline limit;
  if (int error = until(clock, *time, limit); error != 0) return error;
  if (is_foreign(*mutex)) {
    if (!goes_green(Part::Threads)) return native::pthread_mutex_clocklock(mutex, clock, time);
    return ask_until("pthread_mutex_timedlock()", limit,
                     [&] { return native::pthread_mutex_trylock(mutex); });
  }
  return lock(*mutex, limit);
}

int unlock(pthread_mutex_t& mutex) noexcept {
  int type = type_of(mutex);
  if (type == recursive || type == errorcheck) {
    if (static_cast<std::uint32_t>(__atomic_load_n(&mutex.__data.__owner, __ATOMIC_RELAXED)) !=
        self_id())
      return EPERM;
    if (--mutex.__data.__count != 0 && type == recursive) return 0;
  }
  __atomic_store_n(&mutex.__data.__owner, 0, __ATOMIC_RELAXED);
  --mutex.__data.__nusers;
  Word& word = word_of(mutex);
  if (word.exchange(0, std::memory_order_release) == 2) [[unlikely]] {
    // The mutex may be gone by now.
    if (lot::wake(&word, 1) > 0 && goes_green(Part::Threads)) fair();
  }
  return 0;
}

}  // namespace

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  if (!is_foreign(*mutex)) [[likely]]
    return lock(*mutex, {});
  if (!goes_green(Part::Threads)) return native::pthread_mutex_lock(mutex);
  return ask_until("pthread_mutex_lock()", {},
                   [&] { return native::pthread_mutex_trylock(mutex); });
}

int pthread_mutex_trylock(pthread_mutex_t* mutex) {
  if (is_foreign(*mutex)) return native::pthread_mutex_trylock(mutex);
  std::uint32_t me = self_id();
  if (int result = relock(*mutex, me, true); result >= 0) return result;
  if (!try_take(word_of(*mutex))) {
    if (goes_green(Part::Threads)) fair();  // a loop of these waits for somebody
    return EBUSY;
  }
  taken(*mutex, me);
  return 0;
}

int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* time) {
  return timedlock(mutex, CLOCK_REALTIME, time);
}

int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* time) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return EINVAL;
  return timedlock(mutex, clock, time);
}

int pthread_mutex_unlock(pthread_mutex_t* mutex) {
  if (is_foreign(*mutex)) return native::pthread_mutex_unlock(mutex);
  return unlock(*mutex);
}

// --- condition variables ----------------------------------------------------------------------
//
// The first word counts notifications: who waits does so while it is as it was when the mutex was
// still held. glibc's flags, at the end, say which clock, and whether processes share it.

namespace {

constexpr std::size_t cond_flags = 36;
constexpr std::uint32_t cond_shared = 1;
constexpr std::uint32_t cond_monotonic = 2;

std::uint32_t flags_of(pthread_cond_t* cond) noexcept {
  return word_at(cond, cond_flags).load(std::memory_order_relaxed);
}

int wait(pthread_cond_t* cond, pthread_mutex_t* mutex, Deadline limit) {
  Word& notified = word_at(cond);
  std::uint32_t seen = notified.load(std::memory_order_acquire);
  if (int error = replaced::pthread_mutex_unlock(mutex); error != 0) return error;
  // What says that the greenlet is to end looks like a wake-up for nothing.
  int result = lot::wait(notified, seen, "pthread_cond_wait()", limit);
  if (int error = replaced::pthread_mutex_lock(mutex); error != 0) return error;
  end_if_cancelled();
  return result == ETIMEDOUT ? ETIMEDOUT : 0;
}

int timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock, const timespec* time) {
  Deadline limit;
  if (int error = until(clock, *time, limit); error != 0) return error;
  return wait(cond, mutex, limit);
}

}  // namespace

int pthread_cond_wait(pthread_cond_t* cond, pthread_mutex_t* mutex) {
  if ((flags_of(cond) & cond_shared) != 0) return native::pthread_cond_wait(cond, mutex);
  return wait(cond, mutex, {});
}

int pthread_cond_timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex, const timespec* time) {
  std::uint32_t flags = flags_of(cond);
  if ((flags & cond_shared) != 0) return native::pthread_cond_timedwait(cond, mutex, time);
  return timedwait(cond, mutex, (flags & cond_monotonic) != 0 ? CLOCK_MONOTONIC : CLOCK_REALTIME,
                   time);
}

int pthread_cond_clockwait(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock,
                           const timespec* time) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return EINVAL;
  if ((flags_of(cond) & cond_shared) != 0) {
    return native::pthread_cond_clockwait(cond, mutex, clock, time);
  }
  return timedwait(cond, mutex, clock, time);
}

int pthread_cond_signal(pthread_cond_t* cond) {
  if ((flags_of(cond) & cond_shared) != 0) return native::pthread_cond_signal(cond);
  word_at(cond).fetch_add(1, std::memory_order_seq_cst);
  lot::wake(&word_at(cond), 1);
  return 0;
}

int pthread_cond_broadcast(pthread_cond_t* cond) {
  if ((flags_of(cond) & cond_shared) != 0) return native::pthread_cond_broadcast(cond);
  word_at(cond).fetch_add(1, std::memory_order_seq_cst);
  lot::wake(&word_at(cond), INT_MAX);
  return 0;
}

// --- read-write locks -------------------------------------------------------------------------
//
// The first word is the number of readers, or `writing`; the second counts writers that wait, whom
// new readers let go first, unless the lock prefers readers and so lets a reader lock again.

namespace {

constexpr std::uint32_t writing = 0x80000000;
constexpr std::size_t rwlock_shared = 28;
constexpr std::size_t rwlock_writer = 24;
constexpr std::size_t rwlock_kind = 48;

struct ReadWrite {
  explicit ReadWrite(pthread_rwlock_t* lock) noexcept
      : state(word_at(lock)),
        writers(word_at(lock, 4)),
        writer(word_at(lock, rwlock_writer)),
        prefers_writers(word_at(lock, rwlock_kind).load(std::memory_order_relaxed) != 0) {}
  Word& state;
  Word& writers;
  Word& writer;  // who writes
  bool prefers_writers;

  // Whether it is open for a reader, who is in then.
  bool try_read(std::uint32_t& seen) noexcept {
    seen = state.load(std::memory_order_relaxed);
    while (seen < writing - 1 &&
           !(prefers_writers && writers.load(std::memory_order_relaxed) > 0)) {
      if (state.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire)) return true;
    }
    return false;
  }
  bool try_write(std::uint32_t& seen) noexcept {
    seen = 0;
    return state.compare_exchange_strong(seen, writing, std::memory_order_acquire);
  }
};

bool is_foreign(pthread_rwlock_t* lock) noexcept {
  return word_at(lock, rwlock_shared).load(std::memory_order_relaxed) != 0;
}

int read(pthread_rwlock_t* lock, Deadline limit) noexcept {
  ReadWrite parts(lock);
  std::uint32_t seen;
  while (!parts.try_read(seen)) {
    if (seen == writing && parts.writer.load(std::memory_order_relaxed) == self_id())
      return EDEADLK;
    if (seen == writing - 1) return EAGAIN;
    if (lot::wait(parts.state, seen, "pthread_rwlock_rdlock()", limit, lot::End::Ignore) ==
        ETIMEDOUT)
      return ETIMEDOUT;
  }
  return 0;
}

int write(pthread_rwlock_t* lock, Deadline limit) noexcept {
  ReadWrite parts(lock);
  std::uint32_t seen;
  if (!parts.try_write(seen)) {
    if (seen == writing && parts.writer.load(std::memory_order_relaxed) == self_id())
      return EDEADLK;
    parts.writers.fetch_add(1, std::memory_order_relaxed);
    int error = 0;
    while (error != ETIMEDOUT && !parts.try_write(seen)) {
      error = lot::wait(parts.state, seen, "pthread_rwlock_wrlock()", limit, lot::End::Ignore);
    }
    parts.writers.fetch_sub(1, std::memory_order_relaxed);
    if (error == ETIMEDOUT) {
      lot::wake(&parts.state, INT_MAX);  // readers that let us go first
      return ETIMEDOUT;
    }
  }
  parts.writer.store(self_id(), std::memory_order_relaxed);
  return 0;
}

int read_until(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) noexcept {
  std::uint32_t seen;
  if (ReadWrite(lock).try_read(seen)) return 0;
  Deadline limit;
  if (int error = until(clock, *time, limit); error != 0) return error;
  return read(lock, limit);
}

int write_until(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) noexcept {
  Deadline limit;
  if (int error = until(clock, *time, limit); error != 0) return error;
  return write(lock, limit);
}

bool known(clockid_t clock) noexcept { return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC; }

}  // namespace

int pthread_rwlock_rdlock(pthread_rwlock_t* lock) {
  return is_foreign(lock) ? native::pthread_rwlock_rdlock(lock) : read(lock, {});
}

int pthread_rwlock_wrlock(pthread_rwlock_t* lock) {
  return is_foreign(lock) ? native::pthread_rwlock_wrlock(lock) : write(lock, {});
}

int pthread_rwlock_tryrdlock(pthread_rwlock_t* lock) {
  if (is_foreign(lock)) return native::pthread_rwlock_tryrdlock(lock);
  std::uint32_t seen;
  if (ReadWrite(lock).try_read(seen)) return 0;
  if (goes_green(Part::Threads)) fair();
  return EBUSY;
}

int pthread_rwlock_trywrlock(pthread_rwlock_t* lock) {
  if (is_foreign(lock)) return native::pthread_rwlock_trywrlock(lock);
  ReadWrite parts(lock);
  std::uint32_t seen;
  if (parts.try_write(seen)) {
    parts.writer.store(self_id(), std::memory_order_relaxed);
    return 0;
  }
  if (goes_green(Part::Threads)) fair();
  return EBUSY;
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t* lock, const timespec* time) {
  if (is_foreign(lock)) return native::pthread_rwlock_timedrdlock(lock, time);
  return read_until(lock, CLOCK_REALTIME, time);
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t* lock, const timespec* time) {
  if (is_foreign(lock)) return native::pthread_rwlock_timedwrlock(lock, time);
  return write_until(lock, CLOCK_REALTIME, time);
}

int pthread_rwlock_clockrdlock(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) {
  if (is_foreign(lock)) return native::pthread_rwlock_clockrdlock(lock, clock, time);
  return known(clock) ? read_until(lock, clock, time) : EINVAL;
}

int pthread_rwlock_clockwrlock(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) {
  if (is_foreign(lock)) return native::pthread_rwlock_clockwrlock(lock, clock, time);
  return known(clock) ? write_until(lock, clock, time) : EINVAL;
}

int pthread_rwlock_unlock(pthread_rwlock_t* lock) {
  if (is_foreign(lock)) return native::pthread_rwlock_unlock(lock);
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

// --- barriers, spin locks, semaphores, once ---------------------------------------------------

// glibc's barrier has `in` (how many have come), the round, how many are to come, and whether it is
// shared, in this order.
int pthread_barrier_wait(pthread_barrier_t* barrier) {
  if (word_at(barrier, 12).load(std::memory_order_relaxed) != 0) {
    return native::pthread_barrier_wait(barrier);
  }
  Word& come = word_at(barrier);
  Word& round = word_at(barrier, 4);
  std::uint32_t all = word_at(barrier, 8).load(std::memory_order_relaxed);
  std::uint32_t now = round.load(std::memory_order_acquire);
  if (come.fetch_add(1, std::memory_order_acq_rel) + 1 == all) {
    come.store(0, std::memory_order_relaxed);
    round.fetch_add(1, std::memory_order_seq_cst);
    lot::wake(&round, INT_MAX);
    return PTHREAD_BARRIER_SERIAL_THREAD;
  }
  while (lot::wait(round, now, "pthread_barrier_wait()", {}, lot::End::Ignore) != 0 &&
         round.load(std::memory_order_acquire) == now) {
  }
  return 0;
}

int pthread_spin_lock(pthread_spinlock_t* lock) {
  for (int spins = 0; native::pthread_spin_trylock(lock) != 0; ++spins) {
    if (spins < 100) continue;
    spins = 0;
    pause_turn();
  }
  return 0;
}

// Whoever locks by trying again and again waits for somebody.
int pthread_spin_trylock(pthread_spinlock_t* lock) {
  int error = native::pthread_spin_trylock(lock);
  if (error != 0 && goes_green(Part::Threads)) fair();
  return error;
}

namespace {

constexpr std::size_t sem_shared = 8;

bool is_foreign(sem_t* semaphore) noexcept {
  return word_at(semaphore, sem_shared).load(std::memory_order_relaxed) != 0;
}

bool try_acquire(Word& value) noexcept {
  std::uint32_t seen = value.load(std::memory_order_relaxed);
  while (seen > 0) {
    if (value.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire)) return true;
  }
  return false;
}

int failed(int error) noexcept {
  errno = error;
  return -1;
}

int acquire(sem_t* semaphore, Deadline limit) {
  if (is_foreign(semaphore)) {
    int error = ask_until("sem_wait()", limit,
                          [&] { return native::sem_trywait(semaphore) == 0 ? 0 : errno; });
    return error == 0 ? 0 : failed(error);
  }
  Word& value = word_at(semaphore);
  while (!try_acquire(value)) {
    int error = lot::wait(value, 0, "sem_wait()", limit);
    end_if_cancelled();
    if (error == ETIMEDOUT || error == ECANCELED) return failed(error);
  }
  return 0;
}

int acquire_until(sem_t* semaphore, clockid_t clock, const timespec* time) {
  if (!is_foreign(semaphore) && try_acquire(word_at(semaphore))) return 0;
  Deadline limit;
  if (int error = until(clock, *time, limit); error != 0) return failed(error);
  return acquire(semaphore, limit);
}

bool natively(sem_t* semaphore) noexcept {
  return is_foreign(semaphore) && !goes_green(Part::Threads);
}

}  // namespace

int sem_wait(sem_t* semaphore) {
  return natively(semaphore) ? native::sem_wait(semaphore) : acquire(semaphore, {});
}

int sem_trywait(sem_t* semaphore) {
  int result = native::sem_trywait(semaphore);
  if (result != 0 && goes_green(Part::Threads)) {
    int error = errno;
    fair();
    errno = error;
  }
  return result;
}

int sem_timedwait(sem_t* semaphore, const timespec* time) {
  if (natively(semaphore)) return native::sem_timedwait(semaphore, time);
  return acquire_until(semaphore, CLOCK_REALTIME, time);
}

int sem_clockwait(sem_t* semaphore, clockid_t clock, const timespec* time) {
  if (!known(clock)) return failed(EINVAL);
  if (natively(semaphore)) return native::sem_clockwait(semaphore, clock, time);
  return acquire_until(semaphore, clock, time);
}

int sem_post(sem_t* semaphore) {
  if (is_foreign(semaphore)) return native::sem_post(semaphore);
  Word& value = word_at(semaphore);
  std::uint32_t seen = value.load(std::memory_order_relaxed);
  do {
    if (seen == SEM_VALUE_MAX) return failed(EOVERFLOW);
  } while (!value.compare_exchange_weak(seen, seen + 1, std::memory_order_seq_cst));
  lot::wake(&value, 1);
  return 0;
}

// glibc's values: bit 0, somebody is at it; 2, done. std::call_once hands its function over in two
// thread_locals of libstdc++, which others change while we wait.
int pthread_once(pthread_once_t* control, void (*routine)()) {
  void* callable = std::__once_callable;
  void (*call)() = std::__once_call;
  Word& word = word_at(control);
  for (;;) {
    std::uint32_t seen = word.load(std::memory_order_acquire);
    if ((seen & 2) != 0) return 0;
    if ((seen & 1) != 0) {
      lot::wait(word, seen, "pthread_once()", {}, lot::End::Ignore);
      continue;
    }
    if (word.compare_exchange_strong(seen, 1, std::memory_order_acquire)) break;
  }
  // Left by an exception or by pthread_exit, somebody else is to do it.
  struct Attempt {
    Word& word;
    std::uint32_t result = 0;
    ~Attempt() {
      word.store(result, std::memory_order_seq_cst);
      lot::wake(&word, INT_MAX);
    }
  } attempt{word};
  std::__once_callable = callable;
  std::__once_call = call;
  routine();
  attempt.result = 2;
  return 0;
}

// --- turns ------------------------------------------------------------------------------------

int sched_yield() {
  pause_turn();
  return 0;
}

}  // namespace fern::monkey::replaced
