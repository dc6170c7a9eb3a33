/* Cancelling one who waits for a semaphore, just as it is posted; threads that are gone; words of
 * futex(2) that two wait at: only under `fern run`, for glibc's own may lose the wake-up, and does
 * not know who is gone. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static sem_t semaphore;

static void* takes_one(void* taken) {
  CHECK(sem_wait(&semaphore) == 0);
  __atomic_fetch_add((int*)taken, 1, __ATOMIC_RELAXED);
  return NULL;
}

static void* ends(void* unused) { return unused; }
static void* ends_later(void* unused) {
  usleep(5000);
  return unused;
}

static void gone(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, ends, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  usleep(1000);
  CHECK(pthread_join(thread, NULL) == ESRCH);
  CHECK(pthread_tryjoin_np(thread, NULL) == ESRCH);
  CHECK(pthread_detach(thread) == ESRCH);
  CHECK(pthread_cancel(thread) == ESRCH);
  CHECK(pthread_kill(thread, 0) == ESRCH);
  CHECK(pthread_create(&thread, NULL, ends_later, NULL) == 0);
  CHECK(pthread_detach(thread) == 0);
  CHECK(pthread_detach(thread) == EINVAL);
  usleep(20000);
  CHECK(pthread_detach(thread) == ESRCH);
}

static int words[2];

static long futex(int* word, int operation, long value, long value2, int* other, long value3) {
  return syscall(SYS_futex, word, operation, value, value2, other, value3);
}

static _Atomic int come;

static void* waits_at_first(void* unused) {
  ++come;
  CHECK(futex(&words[0], FUTEX_WAIT_PRIVATE, 0, 0, NULL, 0) == 0);
  return unused;
}

static void futexes(void) {
  pthread_t threads[3];
  for (int i = 0; i < 3; ++i) CHECK(pthread_create(&threads[i], NULL, waits_at_first, NULL) == 0);
  while (come < 3) usleep(100);
  usleep(2000);
  CHECK(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, 2, &words[1], 7) == -1 && errno == EAGAIN);
  CHECK(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, -1, 2, &words[1], 0) == -1 && errno == EINVAL);
  CHECK(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, 2, &words[1], 0) == 3);
  CHECK(futex(&words[0], FUTEX_WAKE_PRIVATE, 9, 0, NULL, 0) == 0);
  CHECK(futex(&words[1], FUTEX_WAKE_BITSET_PRIVATE, 9, 0, NULL, 0) == -1 && errno == EINVAL);
  CHECK(futex(&words[1], FUTEX_WAKE_PRIVATE, 9, 0, NULL, 0) == 2);
  CHECK(futex(&words[1], FUTEX_WAIT_PRIVATE, 1, 0, NULL, 0) == -1 && errno == EAGAIN);
  for (int i = 0; i < 3; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
}

/* Either the cancelled one takes the permit, or it is left to the other. */
int main(void) {
  CHECK(sem_init(&semaphore, 0, 0) == 0);
  for (int i = 0; i < 100; ++i) {
    pthread_t first;
    pthread_t second;
    int taken = 0;
    CHECK(pthread_create(&first, NULL, takes_one, &taken) == 0);
    usleep(200);
    CHECK(pthread_create(&second, NULL, takes_one, &taken) == 0);
    usleep(200);
    CHECK(pthread_cancel(first) == 0);
    CHECK(sem_post(&semaphore) == 0);
    CHECK(pthread_join(first, NULL) == 0);
    if (__atomic_load_n(&taken, __ATOMIC_RELAXED) == 1) CHECK(sem_post(&semaphore) == 0);
    CHECK(pthread_join(second, NULL) == 0);
    int left = -1;
    CHECK(sem_getvalue(&semaphore, &left) == 0);
    while (left-- > 0) CHECK(sem_wait(&semaphore) == 0);
  }
  gone();
  futexes();
  puts("permits");
  return 0;
}
