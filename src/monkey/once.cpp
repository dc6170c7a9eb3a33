// What is done once, and what is waited for by trying again: spin locks and sched_yield.

#include "monkey/green.hpp"
#include "monkey/lock_words.hpp"
#include "monkey/thread.hpp"
#include "monkey/wait.hpp"

#include <climits>
#include <mutex>

namespace fern::monkey::replaced {

using lot::Word;

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

int sched_yield() {
  pause_turn();
  return 0;
}

}  // namespace fern::monkey::replaced
