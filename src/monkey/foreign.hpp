#pragma once

// Objects that stay glibc's, for other processes use them too: those shared between processes, and
// mutexes with a ceiling, whose words mean something else.
//
// What can be asked (mutexes, read-write locks, semaphores) a green thread asks again and again. A
// condition variable or a barrier cannot be: a thread waits there in its stead. That one has a
// mutex of its own, and its waiter keeps the program's until it has let go of it:
//
//   green thread, has m                      thread of its own
//     |--"wait there"------------------------>  lock(own)
//     |  asks for `own` until it gets it        pthread_cond_wait(cond, own): waits, and frees own
//     |  unlock(m); parks                       ...
//     |<-------------------"notified"---------  unlock(own)
//     |  lock(m)

#include <fern/deadline.hpp>

#include <pthread.h>

#include <cstdint>
#include <ctime>

namespace fern::monkey {

// A green thread's try: glibc would take all green threads of a hub for one. What try_foreign()
// returns is what pthread_mutex_trylock does, but EDEADLK for what is the thread's already and may
// be had only once. unlock_foreign() is for every thread.
int try_foreign(pthread_mutex_t& mutex) noexcept;
int unlock_foreign(pthread_mutex_t& mutex) noexcept;

// wait_foreign() is pthread_cond_clockwait; the time may be null, and the clock -1 for the
// condition variable's own.
int wait_foreign(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock,
                 const timespec* time);

// meet_foreign() is pthread_barrier_wait.
int meet_foreign(pthread_barrier_t* barrier) noexcept;

}  // namespace fern::monkey
