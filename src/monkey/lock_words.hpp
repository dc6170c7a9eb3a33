#pragma once

// What the locks of pthreads have in common, once threads are green.
//
// They stand in the memory of their own objects: a word that is 0 when free, and the lot. Greenlets
// and native threads use the same words, so all threads of the process come here. The words keep
// the meaning that glibc 2.36 gives them, so that a lock which was initialised statically, or taken
// before, is right. What is shared between processes, or has a ceiling, stays glibc's, see
// foreign.hpp.

#include "core/hub.hpp"
#include "monkey/lot.hpp"
#include "monkey/state.hpp"

#include <fern/deadline.hpp>

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <ctime>

namespace fern::monkey {

inline lot::Word& word_at(void* object, std::size_t offset = 0) noexcept {
  return *reinterpret_cast<lot::Word*>(static_cast<char*>(object) + offset);
}

// What the kind of a mutex says. Of a priority to inherit green threads know nothing.
enum MutexKind {
  recursive = 1,
  errorcheck = 2,
  type_bits = 3,
  robust = 0x10,
  ceiling = 0x40,
  shared = 0x80
};

inline int type_of(const pthread_mutex_t& mutex) noexcept {
  return mutex.__data.__kind & type_bits;
}
inline bool is_robust(const pthread_mutex_t& mutex) noexcept {
  return (mutex.__data.__kind & robust) != 0;
}

inline bool waits_for(clockid_t clock) noexcept {
  return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC;
}

// How long whoever asks again and again rests meanwhile.
constexpr std::chrono::microseconds first_pause{50};
constexpr std::chrono::microseconds longest_pause{10'000};

// ask_until() asks until `ask` is neither EBUSY nor EAGAIN, and at most until the limit: ETIMEDOUT.
// In a green thread; what is to end it waits until it has the lock, or is too late.
template <class Ask>
int ask_until(const char* what, Deadline limit, Ask ask) noexcept {
  auto pause = first_pause;
  core::Hub& hub = *core::Hub::here();
  for (;;) {
    int error = ask();
    if (error != EBUSY && error != EAGAIN) return error;
    if (limit.expired()) return ETIMEDOUT;
    Deadline soon = pause;
    ++hub.running().shields;
    hub.try_park(what, -1, std::min(soon, limit));
    --hub.running().shields;
    pause = std::min(pause * 2, longest_pause);
  }
}

// blocks_natively() counts a wait of a green thread that keeps all others from running.
inline void blocks_natively() noexcept {
  if (goes_green(Part::Threads)) native_blocks.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace fern::monkey
