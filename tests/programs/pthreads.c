/* What POSIX says of threads, locks and keys. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static struct timespec in_ms(clockid_t clock, long ms) {
  struct timespec time;
  clock_gettime(clock, &time);
  time.tv_nsec += ms * 1000000;
  time.tv_sec += time.tv_nsec / 1000000000;
  time.tv_nsec %= 1000000000;
  return time;
}

/* --- life ------------------------------------------------------------------------------------ */

static void* doubled(void* value) { return (void*)((long)value * 2); }
static void* itself(void* unused) {
  (void)unused;
  return (void*)pthread_self();
}
static void* exits(void* value) {
  pthread_exit(value);
  return NULL;
}
static void* joins_itself(void* unused) {
  (void)unused;
  return (void*)(long)pthread_join(pthread_self(), NULL);
}
static void* sleeps(void* ms) {
  usleep((useconds_t)(long)ms * 1000);
  return NULL;
}

static void life(void) {
  pthread_t thread;
  void* result;
  CHECK(pthread_create(&thread, NULL, doubled, (void*)21) == 0);
  CHECK(pthread_join(thread, &result) == 0 && (long)result == 42);
  CHECK(pthread_create(&thread, NULL, itself, NULL) == 0);
  pthread_t made = thread;
  CHECK(pthread_join(thread, &result) == 0 && pthread_equal((pthread_t)result, made));
  CHECK(!pthread_equal(made, pthread_self()));
  CHECK(pthread_create(&thread, NULL, exits, (void*)5) == 0);
  CHECK(pthread_join(thread, &result) == 0 && (long)result == 5);
  CHECK(pthread_create(&thread, NULL, joins_itself, NULL) == 0);
  CHECK(pthread_join(thread, &result) == 0 && (long)result == EDEADLK);
  CHECK(pthread_create(&thread, NULL, sleeps, (void*)30) == 0);
  CHECK(pthread_tryjoin_np(thread, NULL) == EBUSY);
  struct timespec soon = in_ms(CLOCK_REALTIME, 2);
  CHECK(pthread_timedjoin_np(thread, NULL, &soon) == ETIMEDOUT);
  soon = in_ms(CLOCK_MONOTONIC, 5000);
  CHECK(pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &soon) == 0);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  CHECK(pthread_create(&thread, &attributes, sleeps, (void*)1) == 0);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_JOINABLE);
  pthread_attr_setstacksize(&attributes, 1 << 20);
  CHECK(pthread_create(&thread, &attributes, sleeps, (void*)1) == 0);
  CHECK(pthread_detach(thread) == 0);
  pthread_attr_destroy(&attributes);
  puts("life ok");
}

static void* deep(void* unused) {
  (void)unused;
  pthread_attr_t attributes;
  void* address;
  size_t size;
  char here;
  CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
  CHECK(pthread_attr_getstack(&attributes, &address, &size) == 0);
  CHECK(size >= 900 * 1024);
  CHECK(&here > (char*)address && &here < (char*)address + size);
  pthread_attr_destroy(&attributes);
  volatile char used[700 * 1024];
  for (size_t i = 0; i < sizeof used; i += 4096) used[i] = 1;
  char name[16];
  CHECK(pthread_setname_np(pthread_self(), "deep one") == 0);
  CHECK(pthread_getname_np(pthread_self(), name, sizeof name) == 0);
  CHECK(strcmp(name, "deep one") == 0);
  CHECK(pthread_setname_np(pthread_self(), "a name that is too long") == ERANGE);
  cpu_set_t set;
  CHECK(pthread_getaffinity_np(pthread_self(), sizeof set, &set) == 0 && CPU_COUNT(&set) > 0);
  CHECK(pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0);
  CPU_ZERO(&set);
  CHECK(pthread_setaffinity_np(pthread_self(), sizeof set, &set) == EINVAL);
  int policy;
  struct sched_param parameters;
  CHECK(pthread_getschedparam(pthread_self(), &policy, &parameters) == 0);
  CHECK(pthread_kill(pthread_self(), 0) == 0);
  return NULL;
}

static void attributes(void) {
  pthread_attr_t wanted;
  pthread_attr_init(&wanted);
  pthread_attr_setstacksize(&wanted, 1 << 20);
  pthread_t thread;
  CHECK(pthread_create(&thread, &wanted, deep, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  pthread_attr_destroy(&wanted);
  puts("attributes ok");
}

/* --- locks ----------------------------------------------------------------------------------- */

static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t checking = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static long counter;

static void* counts(void* mutex) {
  for (int i = 0; i < 300; ++i) {
    CHECK(pthread_mutex_lock((pthread_mutex_t*)mutex) == 0);
    long seen = counter;
    if (i % 100 == 0) usleep(100);
    counter = seen + 1;
    CHECK(pthread_mutex_unlock((pthread_mutex_t*)mutex) == 0);
  }
  return NULL;
}

static void counted_by(pthread_mutex_t* mutex) {
  pthread_t threads[8];
  counter = 0;
  for (int i = 0; i < 8; ++i) CHECK(pthread_create(&threads[i], NULL, counts, mutex) == 0);
  for (int i = 0; i < 8; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(counter == 2400);
}

static void* cannot(void* mutex) {
  struct timespec soon = in_ms(CLOCK_REALTIME, 5);
  CHECK(pthread_mutex_trylock((pthread_mutex_t*)mutex) == EBUSY);
  CHECK(pthread_mutex_timedlock((pthread_mutex_t*)mutex, &soon) == ETIMEDOUT);
  soon = in_ms(CLOCK_MONOTONIC, 5);
  CHECK(pthread_mutex_clocklock((pthread_mutex_t*)mutex, CLOCK_MONOTONIC, &soon) == ETIMEDOUT);
  soon.tv_nsec = -1;
  CHECK(pthread_mutex_timedlock((pthread_mutex_t*)mutex, &soon) == EINVAL);
  return NULL;
}

static void mutexes(void) {
  counted_by(&plain);
  counted_by(&recursive);
  counted_by(&checking);
  CHECK(pthread_mutex_lock(&recursive) == 0 && pthread_mutex_lock(&recursive) == 0);
  CHECK(pthread_mutex_trylock(&recursive) == 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, cannot, &recursive) == 0 && pthread_join(thread, NULL) == 0);
  for (int i = 0; i < 3; ++i) CHECK(pthread_mutex_unlock(&recursive) == 0);
  CHECK(pthread_mutex_unlock(&recursive) == EPERM);
  CHECK(pthread_mutex_lock(&checking) == 0);
  CHECK(pthread_mutex_lock(&checking) == EDEADLK);
  CHECK(pthread_create(&thread, NULL, cannot, &checking) == 0 && pthread_join(thread, NULL) == 0);
  CHECK(pthread_mutex_unlock(&checking) == 0 && pthread_mutex_unlock(&checking) == EPERM);
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
  pthread_mutex_t adaptive;
  CHECK(pthread_mutex_init(&adaptive, &kind) == 0);
  counted_by(&adaptive);
  CHECK(pthread_mutex_lock(&adaptive) == 0);
  CHECK(pthread_mutex_destroy(&adaptive) == EBUSY);
  CHECK(pthread_mutex_unlock(&adaptive) == 0);
  CHECK(pthread_mutex_destroy(&adaptive) == 0);
  pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
  pthread_mutex_t shared;
  CHECK(pthread_mutex_init(&shared, &kind) == 0);
  counted_by(&shared);
  CHECK(pthread_mutex_destroy(&shared) == 0);
  pthread_mutexattr_destroy(&kind);
  puts("mutexes ok");
}

static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int ready;

static void* waits_for_it(void* unused) {
  (void)unused;
  pthread_mutex_lock(&plain);
  while (!ready) CHECK(pthread_cond_wait(&cond, &plain) == 0);
  --ready;
  pthread_mutex_unlock(&plain);
  return NULL;
}

static void conditions(void) {
  pthread_t threads[6];
  for (int i = 0; i < 6; ++i) CHECK(pthread_create(&threads[i], NULL, waits_for_it, NULL) == 0);
  usleep(2000);
  for (int i = 0; i < 3; ++i) {
    pthread_mutex_lock(&plain);
    ++ready;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&plain);
  }
  pthread_mutex_lock(&plain);
  ready += 3;
  pthread_cond_broadcast(&cond);
  pthread_mutex_unlock(&plain);
  for (int i = 0; i < 6; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(ready == 0);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_t timed;
  CHECK(pthread_cond_init(&timed, &monotonic) == 0);
  pthread_mutex_lock(&plain);
  struct timespec soon = in_ms(CLOCK_MONOTONIC, 5);
  CHECK(pthread_cond_timedwait(&timed, &plain, &soon) == ETIMEDOUT);
  soon = in_ms(CLOCK_REALTIME, 5);
  CHECK(pthread_cond_timedwait(&cond, &plain, &soon) == ETIMEDOUT);
  CHECK(pthread_cond_clockwait(&timed, &plain, CLOCK_REALTIME, &soon) == ETIMEDOUT);
  soon.tv_nsec = 1000000000;
  CHECK(pthread_cond_timedwait(&cond, &plain, &soon) == EINVAL);
  pthread_mutex_unlock(&plain);
  CHECK(pthread_cond_destroy(&timed) == 0);
  pthread_condattr_destroy(&monotonic);
  puts("conditions ok");
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

static void* cannot_write(void* unused) {
  (void)unused;
  struct timespec soon = in_ms(CLOCK_REALTIME, 5);
  CHECK(pthread_rwlock_trywrlock(&rwlock) == EBUSY);
  CHECK(pthread_rwlock_timedwrlock(&rwlock, &soon) == ETIMEDOUT);
  CHECK(pthread_rwlock_tryrdlock(&rwlock) == 0);
  CHECK(pthread_rwlock_unlock(&rwlock) == 0);
  return NULL;
}

static void* cannot_read(void* unused) {
  (void)unused;
  struct timespec soon = in_ms(CLOCK_MONOTONIC, 5);
  CHECK(pthread_rwlock_tryrdlock(&rwlock) == EBUSY);
  CHECK(pthread_rwlock_clockrdlock(&rwlock, CLOCK_MONOTONIC, &soon) == ETIMEDOUT);
  CHECK(pthread_rwlock_clockwrlock(&rwlock, CLOCK_MONOTONIC, &soon) == ETIMEDOUT);
  CHECK(pthread_rwlock_rdlock(&rwlock) == 0);
  CHECK(pthread_rwlock_unlock(&rwlock) == 0);
  return NULL;
}

static void read_write(void) {
  pthread_t thread;
  CHECK(pthread_rwlock_rdlock(&rwlock) == 0);
  CHECK(pthread_create(&thread, NULL, cannot_write, NULL) == 0 && pthread_join(thread, NULL) == 0);
  CHECK(pthread_rwlock_unlock(&rwlock) == 0);
  CHECK(pthread_rwlock_wrlock(&rwlock) == 0);
  CHECK(pthread_rwlock_wrlock(&rwlock) == EDEADLK);
  CHECK(pthread_rwlock_rdlock(&rwlock) == EDEADLK);
  CHECK(pthread_create(&thread, NULL, cannot_read, NULL) == 0);
  usleep(40000);
  CHECK(pthread_rwlock_unlock(&rwlock) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(pthread_rwlock_destroy(&rwlock) == 0);
  puts("read-write locks ok");
}

static pthread_barrier_t barrier;
static pthread_spinlock_t spin;
static sem_t semaphore;
static int serial;

static void* meets(void* unused) {
  (void)unused;
  for (int i = 0; i < 20; ++i) {
    int result = pthread_barrier_wait(&barrier);
    CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
    if (result != 0) __atomic_fetch_add(&serial, 1, __ATOMIC_RELAXED);
  }
  pthread_spin_lock(&spin);
  ++counter;
  sched_yield();
  pthread_spin_unlock(&spin);
  CHECK(sem_wait(&semaphore) == 0);
  return NULL;
}

static void others(void) {
  counter = 0;
  CHECK(pthread_barrier_init(&barrier, NULL, 4) == 0);
  CHECK(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE) == 0);
  CHECK(sem_init(&semaphore, 0, 1) == 0);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) CHECK(pthread_create(&threads[i], NULL, meets, NULL) == 0);
  for (int i = 0; i < 3; ++i) CHECK(sem_post(&semaphore) == 0);
  for (int i = 0; i < 4; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(serial == 20 && counter == 4);
  int value;
  CHECK(sem_getvalue(&semaphore, &value) == 0 && value == 0);
  CHECK(sem_trywait(&semaphore) == -1 && errno == EAGAIN);
  struct timespec soon = in_ms(CLOCK_REALTIME, 5);
  CHECK(sem_timedwait(&semaphore, &soon) == -1 && errno == ETIMEDOUT);
  soon = in_ms(CLOCK_MONOTONIC, 5);
  CHECK(sem_clockwait(&semaphore, CLOCK_MONOTONIC, &soon) == -1 && errno == ETIMEDOUT);
  CHECK(sem_post(&semaphore) == 0 && sem_timedwait(&semaphore, &soon) == 0);
  CHECK(sem_destroy(&semaphore) == 0);
  CHECK(pthread_barrier_destroy(&barrier) == 0);
  sem_t* named = sem_open("/fern-battery", O_CREAT, 0600, 0);
  CHECK(named != SEM_FAILED);
  sem_unlink("/fern-battery");
  CHECK(sem_post(named) == 0 && sem_wait(named) == 0);
  sem_close(named);
  puts("barriers, spin locks and semaphores ok");
}

static void* comes(void* meeting) {
  if (pthread_barrier_wait((pthread_barrier_t*)meeting) == PTHREAD_BARRIER_SERIAL_THREAD) {
    CHECK(pthread_barrier_destroy((pthread_barrier_t*)meeting) == 0);
    memset(meeting, 0xff, sizeof(pthread_barrier_t));
  }
  return NULL;
}

static void barriers_go(void) {
  for (int i = 0; i < 100; ++i) {
    pthread_barrier_t meeting;
    pthread_t threads[4];
    CHECK(pthread_barrier_init(&meeting, NULL, 4) == 0);
    for (int k = 0; k < 4; ++k) CHECK(pthread_create(&threads[k], NULL, comes, &meeting) == 0);
    for (int k = 0; k < 4; ++k) CHECK(pthread_join(threads[k], NULL) == 0);
  }
  puts("barriers go");
}

static void* tries_to_write(void* lock) {
  struct timespec soon = in_ms(CLOCK_REALTIME, 3);
  CHECK(pthread_rwlock_timedwrlock((pthread_rwlock_t*)lock, &soon) == ETIMEDOUT);
  return NULL;
}

static void* reads(void* lock) {
  CHECK(pthread_rwlock_rdlock((pthread_rwlock_t*)lock) == 0);
  CHECK(pthread_rwlock_unlock((pthread_rwlock_t*)lock) == 0);
  return NULL;
}

/* Readers behind a writer that gives up. */
static void kinds(void) {
  pthread_rwlockattr_t kind;
  pthread_rwlockattr_init(&kind);
  pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  pthread_rwlock_t lock;
  CHECK(pthread_rwlock_init(&lock, &kind) == 0);
  pthread_t threads[4];
  for (int i = 0; i < 20; ++i) {
    CHECK(pthread_rwlock_rdlock(&lock) == 0);
    CHECK(pthread_create(&threads[0], NULL, tries_to_write, &lock) == 0);
    usleep(500);
    for (int k = 1; k < 4; ++k) CHECK(pthread_create(&threads[k], NULL, reads, &lock) == 0);
    for (int k = 0; k < 4; ++k) CHECK(pthread_join(threads[k], NULL) == 0);
    CHECK(pthread_rwlock_unlock(&lock) == 0);
  }
  CHECK(pthread_rwlock_destroy(&lock) == 0);
  pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NP);
  CHECK(pthread_rwlock_init(&lock, &kind) == 0);
  CHECK(pthread_rwlock_rdlock(&lock) == 0);
  CHECK(pthread_create(&threads[0], NULL, tries_to_write, &lock) == 0);
  usleep(500);
  CHECK(pthread_rwlock_rdlock(&lock) == 0); /* in spite of its name */
  CHECK(pthread_join(threads[0], NULL) == 0);
  CHECK(pthread_rwlock_unlock(&lock) == 0 && pthread_rwlock_unlock(&lock) == 0);
  pthread_rwlockattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
  CHECK(pthread_rwlock_destroy(&lock) == 0 && pthread_rwlock_init(&lock, &kind) == 0);
  CHECK(pthread_rwlock_rdlock(&lock) == 0);
  CHECK(pthread_create(&threads[0], NULL, tries_to_write, &lock) == 0);
  CHECK(pthread_join(threads[0], NULL) == 0);
  CHECK(pthread_rwlock_unlock(&lock) == 0);
  CHECK(pthread_rwlock_destroy(&lock) == 0);
  pthread_rwlockattr_destroy(&kind);
  puts("kinds ok");
}

/* --- keys and once --------------------------------------------------------------------------- */

static pthread_key_t key;
static pthread_key_t again;
static _Atomic int destroyed;
static int rounds;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int initialised;

static void destroys(void* value) { destroyed += (int)(long)value; }
static void sets_again(void* value) {
  if (++rounds < 3) pthread_setspecific(again, value);
}
static void initialises(void) {
  usleep(1000);
  ++initialised;
}

static void* keeps(void* value) {
  CHECK(pthread_once(&once, initialises) == 0 && initialised == 1);
  CHECK(pthread_getspecific(key) == NULL);
  CHECK(pthread_setspecific(key, value) == 0);
  usleep(500);
  CHECK(pthread_getspecific(key) == value);
  return NULL;
}

static void* goes_round(void* value) {
  CHECK(pthread_setspecific(again, value) == 0);
  return NULL;
}

static void keys(void) {
  pthread_t threads[10];
  CHECK(pthread_key_create(&key, destroys) == 0);
  CHECK(pthread_key_create(&again, sets_again) == 0);
  CHECK(pthread_setspecific(key, (void*)1000) == 0);
  for (long i = 0; i < 10; ++i) {
    CHECK(pthread_create(&threads[i], NULL, keeps, (void*)(i + 1)) == 0);
  }
  for (int i = 0; i < 10; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(destroyed == 55);
  CHECK(pthread_getspecific(key) == (void*)1000);
  CHECK(pthread_create(&threads[0], NULL, goes_round, (void*)1) == 0);
  CHECK(pthread_join(threads[0], NULL) == 0 && rounds == 3);
  CHECK(pthread_key_delete(key) == 0 && pthread_key_delete(again) == 0);
  CHECK(pthread_setspecific(key, NULL) == EINVAL);
  puts("keys ok");
}

int main(void) {
  life();
  attributes();
  mutexes();
  conditions();
  read_write();
  others();
  barriers_go();
  kinds();
  keys();
  return 0;
}
