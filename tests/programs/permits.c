/* Cancelling one who waits for a semaphore, just as it is posted: only under `fern run`, for glibc's
 * own may lose the wake-up then. */
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "check.h"

static sem_t semaphore;

static void* takes_one(void* taken) {
  CHECK(sem_wait(&semaphore) == 0);
  __atomic_fetch_add((int*)taken, 1, __ATOMIC_RELAXED);
  return NULL;
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
  puts("permits");
  return 0;
}
