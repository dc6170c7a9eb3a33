/* Waits of a program that has made no thread: nobody ends them but their limits. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "check.h"

static struct timespec soon(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  time.tv_nsec += 5000000;
  if (time.tv_nsec >= 1000000000) {
    time.tv_nsec -= 1000000000;
    ++time.tv_sec;
  }
  return time;
}

int main(void) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  sem_t semaphore;
  CHECK(sem_init(&semaphore, 0, 0) == 0);
  struct timespec limit = soon();
  CHECK(pthread_mutex_lock(&mutex) == 0);
  CHECK(pthread_cond_timedwait(&cond, &mutex, &limit) == ETIMEDOUT);
  limit = soon();
  CHECK(pthread_mutex_timedlock(&mutex, &limit) == ETIMEDOUT);
  CHECK(pthread_mutex_unlock(&mutex) == 0);
  limit = soon();
  CHECK(sem_timedwait(&semaphore, &limit) == -1 && errno == ETIMEDOUT);
  puts("alone");
  return 0;
}
