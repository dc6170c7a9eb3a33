// Semaphores, whose first word is their value, and barriers.

#include "monkey/foreign.hpp"
#include "monkey/green.hpp"
#include "monkey/handlers.hpp"
#include "monkey/lock_words.hpp"
#include "monkey/thread.hpp"
#include "monkey/times.hpp"
#include "monkey/wait.hpp"

#include <algorithm>
#include <climits>

namespace fern::monkey::replaced {

using lot::Word;

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

int acquire_foreign(sem_t* semaphore, Deadline limit) {
  Interrupts interrupts;
  auto pause = first_pause;
  while (native::sem_trywait(semaphore) != 0) {
    if (errno != EAGAIN) return -1;
    if (limit.expired()) return failed(ETIMEDOUT);
    Deadline soon = pause;
    core::Hub& hub = *core::Hub::here();
    if (hub.try_park("sem_wait()", -1, std::min(soon, limit)) == core::Wake::Interrupted) {
      int error = core::refuse(hub.running());
      end_if_cancelled();
      return failed(error);
    }
    if (interrupts.came()) return failed(EINTR);
    pause = std::min(pause * 2, longest_pause);
  }
  return 0;
}

int acquire(sem_t* semaphore, Deadline limit) {
  if (is_foreign(semaphore)) return acquire_foreign(semaphore, limit);
  Word& value = word_at(semaphore);
  while (!try_acquire(value)) {
    int error = lot::wait(value, 0, "sem_wait()", limit, lot::End::Interrupt);
    if (error == 0 || error == EAGAIN) continue;  // one who was woken has to take it
    if (error == ECANCELED) end_if_cancelled();
    return failed(error);
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
  if (!waits_for(clock)) return failed(EINVAL);
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

// --- barriers ---------------------------------------------------------------------------------

namespace {

// glibc's has, in this order: how many have come, the round, how many are to come, and whether it
// is shared.
struct Barrier {
  explicit Barrier(pthread_barrier_t* barrier) noexcept
      : come(word_at(barrier)),
        round(word_at(barrier, 4)),
        all(word_at(barrier, 8).load(std::memory_order_relaxed)),
        is_foreign(word_at(barrier, 12).load(std::memory_order_relaxed) != 0) {}
  Word& come;
  Word& round;
  std::uint32_t all;
  bool is_foreign;
};

}  // namespace

// Who comes does so with the bucket of the round locked: the last one finds all others waiting, and
// once he has woken them nobody looks at the barrier any more, which may be gone.
int pthread_barrier_wait(pthread_barrier_t* barrier) {
  Barrier parts(barrier);
  if (parts.is_foreign) {
    return goes_green(Part::Threads) ? meet_foreign(barrier)
                                     : native::pthread_barrier_wait(barrier);
  }
  auto others_to_come = [](void* context) noexcept {
    auto& here = *static_cast<Barrier*>(context);
    return here.come.fetch_add(1, std::memory_order_acq_rel) + 1 != here.all;
  };
  if (lot::wait_if(parts.round, others_to_come, &parts, "pthread_barrier_wait()", {},
                   lot::End::Ignore) == 0)
    return 0;
  parts.come.store(0, std::memory_order_relaxed);
  parts.round.fetch_add(1, std::memory_order_seq_cst);
  lot::wake(&parts.round, INT_MAX);
  return PTHREAD_BARRIER_SERIAL_THREAD;
}

}  // namespace fern::monkey::replaced
