/* C11's threads. */
#include <threads.h>
#include <time.h>

#include "check.h"

static mtx_t mutex;
static cnd_t cond;
static tss_t key;
static once_flag flag = ONCE_FLAG_INIT;
static int turn;
static int initialised;
static int destroyed;

static void initialises(void) { ++initialised; }
static void destroys(void* value) { destroyed += *(int*)value; }

static int takes_turn(void* number) {
  int mine = *(int*)number;
  call_once(&flag, initialises);
  CHECK(tss_set(key, number) == thrd_success);
  CHECK(mtx_lock(&mutex) == thrd_success);
  while (turn != mine) CHECK(cnd_wait(&cond, &mutex) == thrd_success);
  ++turn;
  CHECK(cnd_broadcast(&cond) == thrd_success);
  CHECK(mtx_unlock(&mutex) == thrd_success);
  thrd_yield();
  CHECK(tss_get(key) == number);
  return mine * 3;
}

static int exits(void* unused) {
  (void)unused;
  thrd_exit(-4);
}

static int cannot(void* unused) {
  (void)unused;
  struct timespec soon;
  timespec_get(&soon, TIME_UTC);
  soon.tv_nsec += 5000000;
  if (soon.tv_nsec >= 1000000000) {
    soon.tv_nsec -= 1000000000;
    ++soon.tv_sec;
  }
  CHECK(mtx_trylock(&mutex) == thrd_busy);
  CHECK(mtx_timedlock(&mutex, &soon) == thrd_timedout);
  return 0;
}

int main(void) {
  CHECK(mtx_init(&mutex, mtx_timed | mtx_recursive) == thrd_success);
  CHECK(cnd_init(&cond) == thrd_success);
  CHECK(tss_create(&key, destroys) == thrd_success);
  thrd_t threads[10];
  int numbers[10];
  int sum = 0;
  for (int i = 0; i < 10; ++i) {
    numbers[i] = i;
    CHECK(thrd_create(&threads[i], takes_turn, &numbers[i]) == thrd_success);
  }
  for (int i = 0; i < 10; ++i) {
    int result;
    CHECK(thrd_join(threads[i], &result) == thrd_success);
    sum += result;
  }
  printf("turns %d, sum %d, initialised %d, destroyed %d\n", turn, sum, initialised, destroyed);
  thrd_t thread;
  int result;
  CHECK(thrd_create(&thread, exits, NULL) == thrd_success);
  CHECK(thrd_join(thread, &result) == thrd_success && result == -4);
  CHECK(mtx_lock(&mutex) == thrd_success && mtx_lock(&mutex) == thrd_success);
  CHECK(thrd_create(&thread, cannot, NULL) == thrd_success);
  CHECK(thrd_join(thread, NULL) == thrd_success);
  CHECK(mtx_unlock(&mutex) == thrd_success && mtx_unlock(&mutex) == thrd_success);
  CHECK(!thrd_equal(thrd_current(), thread));
  struct timespec brief = {0, 1000000};
  CHECK(thrd_sleep(&brief, NULL) == 0);
  puts("ok");
  return 0;
}
