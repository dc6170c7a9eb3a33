// Mutexes and condition variables.

#include "monkey/foreign.hpp"
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

// Shared between processes, or with a priority ceiling, which stands in the word. (All of them is
// what glibc leaves of one that has been destroyed.)
bool is_foreign(const pthread_mutex_t& mutex) noexcept {
  return (mutex.__data.__kind & (ceiling | shared)) != 0;
}

// Owners of robust ones that name nobody. The last two are glibc's.
constexpr int owner_died = INT_MAX - 2;
constexpr int not_recoverable = INT_MAX - 1;
constexpr int inconsistent = INT_MAX;

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
  bool mine =
      static_cast<std::uint32_t>(__atomic_load_n(&mutex.__data.__owner, __ATOMIC_RELAXED)) == me;
  if (!mine && is_robust(mutex)) mine = owners.whose(&mutex, me) == Owners::Mine;
  if (!mine) return -1;
  if (type == errorcheck) return only_try ? EBUSY : EDEADLK;
  if (mutex.__data.__count == UINT_MAX) return EAGAIN;
  ++mutex.__data.__count;
  return 0;
}

void set_owner(pthread_mutex_t& mutex, int owner) noexcept {
  __atomic_store_n(&mutex.__data.__owner, owner, __ATOMIC_RELAXED);
}

void give(pthread_mutex_t& mutex) noexcept;

// Of a robust one whose word we have.
int taken_robust(pthread_mutex_t& mutex, std::uint32_t me) noexcept {
  if (mutex.__data.__owner == not_recoverable) {
    give(mutex);
    return ENOTRECOVERABLE;
  }
  bool died = mutex.__data.__owner == owner_died;
  set_owner(mutex, died ? inconsistent : static_cast<int>(me));
  mutex.__data.__count = 1;
  owners.take(&mutex, me, Owners::Robust);
  return died ? EOWNERDEAD : 0;
}

int taken(pthread_mutex_t& mutex, std::uint32_t me) noexcept {
  if (is_robust(mutex)) [[unlikely]]
    return taken_robust(mutex, me);
  __atomic_store_n(&mutex.__data.__owner, static_cast<int>(me), __ATOMIC_RELAXED);
  mutex.__data.__count = 1;
  ++mutex.__data.__nusers;
  return 0;
}

int lock(pthread_mutex_t& mutex, Deadline limit) noexcept {
  std::uint32_t me = self_id();
  if (int result = relock(mutex, me, false); result >= 0) return result;
  Word& word = word_of(mutex);
  if (!try_take(word)) {
    if (int error = take(word, "pthread_mutex_lock()", limit); error != 0) return error;
  }
  return taken(mutex, me);
}

int timedlock(pthread_mutex_t* mutex, clockid_t clock, const timespec* time) noexcept {
  if (!is_foreign(*mutex) && try_take(word_of(*mutex))) {
    // glibc, too, looks at the time only if it has to wait.
    return taken(*mutex, self_id());
  }
  if (!is_foreign(*mutex)) {
    if (int result = relock(*mutex, self_id(), false); result >= 0) return result;
  }
  Deadline limit;
  if (int error = until(clock, *time, limit); error != 0) return error;
  if (is_foreign(*mutex)) {
    if (!goes_green(Part::Threads)) return native::pthread_mutex_clocklock(mutex, clock, time);
    return ask_until("pthread_mutex_timedlock()", limit, [&] { return try_foreign(*mutex); });
  }
  return lock(*mutex, limit);
}

void give(pthread_mutex_t& mutex) noexcept {
  Word& word = word_of(mutex);
  if (word.exchange(0, std::memory_order_release) == 2) [[unlikely]] {
    // The mutex may be gone by now.
    if (lot::wake(&word, 1) > 0 && goes_green(Part::Threads)) fair();
  }
}

// One that was found inconsistent, and has not been made consistent, is so for ever.
int unlock_robust(pthread_mutex_t& mutex) noexcept {
  std::uint32_t me = self_id();
  Owners::Whose whose = owners.whose(&mutex, me);
  bool was_inconsistent = mutex.__data.__owner == inconsistent;
  bool named = was_inconsistent || static_cast<std::uint32_t>(mutex.__data.__owner) == me;
  if (whose == Owners::Others || (whose == Owners::Nobodys && !named)) return EPERM;
  if (type_of(mutex) == recursive && --mutex.__data.__count != 0) return 0;
  owners.release(&mutex);
  set_owner(mutex, was_inconsistent ? not_recoverable : 0);
  give(mutex);
  return 0;
}

int unlock(pthread_mutex_t& mutex) noexcept {
  if (is_robust(mutex)) [[unlikely]]
    return unlock_robust(mutex);
  int type = type_of(mutex);
  if (type == recursive || type == errorcheck) {
    if (static_cast<std::uint32_t>(__atomic_load_n(&mutex.__data.__owner, __ATOMIC_RELAXED)) !=
        self_id())
      return EPERM;
    if (--mutex.__data.__count != 0 && type == recursive) return 0;
  }
  set_owner(mutex, 0);
  --mutex.__data.__nusers;
  give(mutex);
  return 0;
}

}  // namespace

// To glibc every robust one is shared, for the kernel looks after it. Those that are not are ours.
int pthread_mutex_init(pthread_mutex_t* mutex, const pthread_mutexattr_t* attributes) {
  int error = native::pthread_mutex_init(mutex, attributes);
  if (error != 0) return error;
  owners.forget(mutex);  // one that was there before, and whose memory went while it was locked
  if (attributes == nullptr) return 0;
  int sharing = PTHREAD_PROCESS_SHARED;
  pthread_mutexattr_getpshared(attributes, &sharing);
  if (sharing == PTHREAD_PROCESS_PRIVATE) mutex->__data.__kind &= ~shared;
  return 0;
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  if (!is_foreign(*mutex)) [[likely]]
    return lock(*mutex, {});
  if (!goes_green(Part::Threads)) return native::pthread_mutex_lock(mutex);
  return ask_until("pthread_mutex_lock()", {}, [&] { return try_foreign(*mutex); });
}

int pthread_mutex_trylock(pthread_mutex_t* mutex) {
  if (is_foreign(*mutex)) {
    if (!goes_green(Part::Threads)) return native::pthread_mutex_trylock(mutex);
    int error = try_foreign(*mutex);
    if (error == EBUSY) fair();
    return error == EDEADLK ? EBUSY : error;
  }
  std::uint32_t me = self_id();
  if (int result = relock(*mutex, me, true); result >= 0) return result;
  if (!try_take(word_of(*mutex))) {
    if (goes_green(Part::Threads)) fair();  // a loop of these waits for somebody
    return EBUSY;
  }
  return taken(*mutex, me);
}

int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* time) {
  return timedlock(mutex, CLOCK_REALTIME, time);
}

int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* time) {
  if (!waits_for(clock)) return EINVAL;
  return timedlock(mutex, clock, time);
}

int pthread_mutex_unlock(pthread_mutex_t* mutex) {
  if (is_foreign(*mutex)) return unlock_foreign(*mutex);
  return unlock(*mutex);
}

int pthread_mutex_consistent(pthread_mutex_t* mutex) {
  if (is_foreign(*mutex)) return native::pthread_mutex_consistent(mutex);
  if (!is_robust(*mutex) || mutex->__data.__owner != inconsistent) return EINVAL;
  set_owner(*mutex, static_cast<int>(self_id()));
  return 0;
}

}  // namespace fern::monkey::replaced

namespace fern::monkey {

void robust_ended(Thread& thread) noexcept {
  // Of those that processes share the kernel asks OS threads alone.
  while (void* lock = owners.left_by(thread.id)) {
    auto& mutex = *static_cast<pthread_mutex_t*>(lock);
    replaced::set_owner(mutex, replaced::owner_died);
    replaced::give(mutex);
  }
}

}  // namespace fern::monkey

namespace fern::monkey::replaced {

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
  // One who was notified has taken the notification, and is cancelled at the next wait.
  if (result == ECANCELED) end_if_cancelled();
  return result == ETIMEDOUT ? ETIMEDOUT : 0;
}

int timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock, const timespec* time) {
  Deadline limit;
  if (int error = until(clock, *time, limit); error != 0) return error;
  return wait(cond, mutex, limit);
}

}  // namespace

int pthread_cond_wait(pthread_cond_t* cond, pthread_mutex_t* mutex) {
  if ((flags_of(cond) & cond_shared) != 0) {
    if (!goes_green(Part::Threads)) return native::pthread_cond_wait(cond, mutex);
    return wait_foreign(cond, mutex, -1, nullptr);
  }
  return wait(cond, mutex, {});
}

int pthread_cond_timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex, const timespec* time) {
  std::uint32_t flags = flags_of(cond);
  if ((flags & cond_shared) != 0) {
    if (!goes_green(Part::Threads)) return native::pthread_cond_timedwait(cond, mutex, time);
    return wait_foreign(cond, mutex, -1, time);
  }
  return timedwait(cond, mutex, (flags & cond_monotonic) != 0 ? CLOCK_MONOTONIC : CLOCK_REALTIME,
                   time);
}

int pthread_cond_clockwait(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock,
                           const timespec* time) {
  if (!waits_for(clock)) return EINVAL;
  if ((flags_of(cond) & cond_shared) != 0) {
    if (!goes_green(Part::Threads)) return native::pthread_cond_clockwait(cond, mutex, clock, time);
    return wait_foreign(cond, mutex, clock, time);
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

}  // namespace fern::monkey::replaced
