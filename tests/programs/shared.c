/* What two processes share: a page of locks. While a thread waits for the other process its own
 * others run. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static struct {
  pthread_mutex_t mutex;
  pthread_mutex_t recursive;
  pthread_mutex_t checking;
  pthread_mutex_t robust;
  pthread_cond_t cond;
  pthread_cond_t monotonic;
  pthread_barrier_t barrier;
  pthread_rwlock_t rwlock;
  sem_t semaphore;
  sem_t there;
  sem_t ticked;
  int value;
  int count;
}* page;

static struct timespec in_ms(clockid_t clock, long ms) {
  struct timespec time;
  clock_gettime(clock, &time);
  time.tv_nsec += ms * 1000000;
  time.tv_sec += time.tv_nsec / 1000000000;
  time.tv_nsec %= 1000000000;
  return time;
}

static void make(pthread_mutex_t* mutex, int type, int robust) {
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_settype(&kind, type);
  pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
  if (robust) pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  CHECK(pthread_mutex_init(mutex, &kind) == 0);
  pthread_mutexattr_destroy(&kind);
}

static void make_all(void) {
  pthread_condattr_t cond;
  pthread_barrierattr_t barrier;
  pthread_rwlockattr_t rwlock;
  page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  make(&page->mutex, PTHREAD_MUTEX_NORMAL, 0);
  make(&page->recursive, PTHREAD_MUTEX_RECURSIVE, 0);
  make(&page->checking, PTHREAD_MUTEX_ERRORCHECK, 0);
  make(&page->robust, PTHREAD_MUTEX_NORMAL, 1);
  pthread_condattr_init(&cond);
  pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
  CHECK(pthread_cond_init(&page->cond, &cond) == 0);
  pthread_condattr_setclock(&cond, CLOCK_MONOTONIC);
  CHECK(pthread_cond_init(&page->monotonic, &cond) == 0);
  pthread_barrierattr_init(&barrier);
  pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED);
  CHECK(pthread_barrier_init(&page->barrier, &barrier, 4) == 0);
  pthread_rwlockattr_init(&rwlock);
  pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED);
  CHECK(pthread_rwlock_init(&page->rwlock, &rwlock) == 0);
  CHECK(sem_init(&page->semaphore, 1, 0) == 0 && sem_init(&page->there, 1, 0) == 0);
  CHECK(sem_init(&page->ticked, 1, 0) == 0);
}

static void in_child(void (*work)(void), void (*meanwhile)(void)) {
  int status = 0;
  fflush(stdout);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    work();
    _exit(0);
  }
  meanwhile();
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void in_threads(int count, void* (*start)(void*)) {
  pthread_t threads[8];
  for (int i = 0; i < count; ++i) CHECK(pthread_create(&threads[i], NULL, start, NULL) == 0);
  for (int i = 0; i < count; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
}

/* --- counting together ----------------------------------------------------------------------- */

static pthread_mutex_t* counting;

static void* counts(void* unused) {
  (void)unused;
  for (int i = 0; i < 100; ++i) {
    CHECK(pthread_mutex_lock(counting) == 0);
    int seen = page->count;
    if (i % 25 == 0) usleep(100);
    page->count = seen + 1;
    CHECK(pthread_mutex_unlock(counting) == 0);
  }
  return NULL;
}

static void count_in_threads(void) { in_threads(4, counts); }

static void mutexes(void) {
  pthread_mutex_t* all[] = {&page->mutex, &page->recursive, &page->checking, &page->robust};
  for (int i = 0; i < 4; ++i) {
    counting = all[i];
    page->count = 0;
    in_child(count_in_threads, count_in_threads);
    printf("counted together: %d\n", page->count);
  }
}

/* Threads of one process, which may be one OS thread: each is an owner of its own. */
static void* is_not_its_owner(void* unused) {
  struct timespec soon = in_ms(CLOCK_REALTIME, 3);
  (void)unused;
  CHECK(pthread_mutex_trylock(&page->recursive) == EBUSY);
  CHECK(pthread_mutex_timedlock(&page->recursive, &soon) == ETIMEDOUT);
  CHECK(pthread_mutex_unlock(&page->recursive) == EPERM);
  CHECK(pthread_mutex_trylock(&page->checking) == EBUSY);
  CHECK(pthread_mutex_unlock(&page->checking) == EPERM);
  CHECK(pthread_rwlock_tryrdlock(&page->rwlock) == EBUSY);
  return NULL;
}

static void* owns(void* unused) {
  CHECK(pthread_mutex_lock(&page->recursive) == 0 && pthread_mutex_lock(&page->recursive) == 0);
  CHECK(pthread_mutex_lock(&page->checking) == 0);
  CHECK(pthread_mutex_lock(&page->checking) == EDEADLK);
  CHECK(pthread_mutex_trylock(&page->checking) == EBUSY);
  CHECK(pthread_rwlock_wrlock(&page->rwlock) == 0);
  CHECK(pthread_rwlock_wrlock(&page->rwlock) == EDEADLK);
  CHECK(pthread_rwlock_rdlock(&page->rwlock) == EDEADLK);
  in_threads(1, is_not_its_owner);
  CHECK(pthread_rwlock_unlock(&page->rwlock) == 0);
  CHECK(pthread_mutex_unlock(&page->checking) == 0);
  CHECK(pthread_mutex_unlock(&page->checking) == EPERM);
  CHECK(pthread_mutex_unlock(&page->recursive) == 0);
  CHECK(pthread_mutex_unlock(&page->recursive) == 0);
  CHECK(pthread_mutex_unlock(&page->recursive) == EPERM);
  return unused;
}

/* --- waiting for the other process ----------------------------------------------------------- */

static volatile int waiting;
static volatile int ticks;

static void* waits_for_cond(void* unused) {
  (void)unused;
  CHECK(pthread_mutex_lock(&page->mutex) == 0);
  while (page->value == 0) CHECK(pthread_cond_wait(&page->cond, &page->mutex) == 0);
  --page->value;
  CHECK(pthread_mutex_unlock(&page->mutex) == 0);
  return NULL;
}

static void* waits_for_barrier(void* unused) {
  int result = pthread_barrier_wait(&page->barrier);
  (void)unused;
  CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
  if (result != 0) __atomic_fetch_add(&page->count, 1, __ATOMIC_RELAXED);
  return NULL;
}

static void* waits_for_semaphore(void* unused) {
  CHECK(sem_wait(&page->semaphore) == 0);
  return unused;
}

static void* waits_to_read(void* unused) {
  CHECK(pthread_rwlock_rdlock(&page->rwlock) == 0);
  CHECK(pthread_rwlock_unlock(&page->rwlock) == 0);
  return unused;
}

static void* waits_for_mutex(void* unused) {
  CHECK(pthread_mutex_lock(&page->mutex) == 0);
  CHECK(pthread_mutex_unlock(&page->mutex) == 0);
  return unused;
}

static void* (*const waits[])(void*) = {waits_for_cond, waits_for_barrier, waits_for_semaphore,
                                        waits_to_read, waits_for_mutex};
static int which;

static void* waits_beside(void* unused) {
  waits[which](unused);
  waiting = 0;
  return NULL;
}

/* Runs while the other waits: the other process does nothing before it has. */
static void* ticks_beside(void* unused) {
  for (ticks = 0; ticks < 20; ++ticks) usleep(500);
  CHECK(waiting);
  CHECK(sem_post(&page->ticked) == 0);
  return unused;
}

static void wait_beside(void) {
  pthread_t waits_there;
  pthread_t runs;
  CHECK(sem_wait(&page->there) == 0); /* the child has what we are to wait for */
  waiting = 1;
  CHECK(pthread_create(&waits_there, NULL, waits_beside, NULL) == 0);
  CHECK(pthread_create(&runs, NULL, ticks_beside, NULL) == 0);
  CHECK(pthread_join(runs, NULL) == 0);
  CHECK(pthread_join(waits_there, NULL) == 0);
}

static void wait_until_ticked(void) {
  CHECK(sem_post(&page->there) == 0);
  CHECK(sem_wait(&page->ticked) == 0);
}

static void child_notifies(void) {
  wait_until_ticked();
  pthread_mutex_lock(&page->mutex);
  page->value = 1;
  pthread_cond_signal(&page->cond);
  pthread_mutex_unlock(&page->mutex);
}
static void child_meets(void) {
  wait_until_ticked();
  in_threads(3, waits_for_barrier);
}
static void child_posts(void) {
  wait_until_ticked();
  sem_post(&page->semaphore);
}
static void child_writes(void) {
  pthread_rwlock_wrlock(&page->rwlock);
  wait_until_ticked();
  pthread_rwlock_unlock(&page->rwlock);
}
static void child_locks(void) {
  pthread_mutex_lock(&page->mutex);
  wait_until_ticked();
  pthread_mutex_unlock(&page->mutex);
}

static void others_run(void) {
  void (*const child[])(void) = {child_notifies, child_meets, child_posts, child_writes,
                                 child_locks};
  page->count = 0;
  for (which = 0; which < 5; ++which) in_child(child[which], wait_beside);
  CHECK(page->count == 1);
  puts("others run");
}

/* --- condition variables --------------------------------------------------------------------- */

static void* takes_turns(void* unused) {
  (void)unused;
  for (int i = 0; i < 20; ++i) {
    CHECK(pthread_mutex_lock(&page->recursive) == 0);
    while (page->value == 0) CHECK(pthread_cond_wait(&page->cond, &page->recursive) == 0);
    --page->value;
    ++page->count;
    CHECK(pthread_cond_broadcast(&page->monotonic) == 0);
    CHECK(pthread_mutex_unlock(&page->recursive) == 0);
  }
  return NULL;
}

static void take_turns(void) { in_threads(4, takes_turns); }

static void give_turns(void) {
  for (int i = 0; i < 80; ++i) {
    CHECK(pthread_mutex_lock(&page->recursive) == 0);
    ++page->value;
    CHECK(pthread_cond_signal(&page->cond) == 0);
    CHECK(pthread_mutex_unlock(&page->recursive) == 0);
    if (i % 10 == 0) usleep(200);
  }
  CHECK(pthread_mutex_lock(&page->recursive) == 0);
  while (page->count < 80) {
    struct timespec soon = in_ms(CLOCK_MONOTONIC, 5000);
    CHECK(pthread_cond_timedwait(&page->monotonic, &page->recursive, &soon) == 0);
  }
  CHECK(pthread_mutex_unlock(&page->recursive) == 0);
}

static void unlocks(void* mutex) { CHECK(pthread_mutex_unlock((pthread_mutex_t*)mutex) == 0); }

static void* is_cancelled(void* unused) {
  (void)unused;
  CHECK(pthread_mutex_lock(&page->checking) == 0);
  pthread_cleanup_push(unlocks, &page->checking);
  waiting = 1;
  for (;;) pthread_cond_wait(&page->cond, &page->checking);
  pthread_cleanup_pop(0);
  return NULL;
}

static void* is_cancelled_at_a_semaphore(void* unused) {
  waiting = 1;
  sem_wait(&page->semaphore);
  return unused;
}

static void conditions(void) {
  struct timespec soon;
  pthread_t thread;
  void* result = NULL;
  page->value = page->count = 0;
  in_child(give_turns, take_turns);
  CHECK(page->value == 0 && page->count == 80);
  CHECK(pthread_mutex_lock(&page->mutex) == 0);
  soon = in_ms(CLOCK_REALTIME, 5);
  CHECK(pthread_cond_timedwait(&page->cond, &page->mutex, &soon) == ETIMEDOUT);
  soon = in_ms(CLOCK_MONOTONIC, 5);
  CHECK(pthread_cond_timedwait(&page->monotonic, &page->mutex, &soon) == ETIMEDOUT);
  CHECK(pthread_cond_clockwait(&page->cond, &page->mutex, CLOCK_MONOTONIC, &soon) == ETIMEDOUT);
  soon.tv_nsec = 1000000000;
  CHECK(pthread_cond_timedwait(&page->cond, &page->mutex, &soon) == EINVAL);
  CHECK(pthread_mutex_unlock(&page->mutex) == 0);
  CHECK(pthread_cond_wait(&page->cond, &page->checking) == EPERM);
  waiting = 0;
  CHECK(pthread_create(&thread, NULL, is_cancelled, NULL) == 0);
  while (!waiting) usleep(100);
  usleep(1000);
  CHECK(pthread_cancel(thread) == 0);
  CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
  CHECK(pthread_mutex_trylock(&page->checking) == 0);
  CHECK(pthread_mutex_unlock(&page->checking) == 0);
  waiting = 0;
  CHECK(pthread_create(&thread, NULL, is_cancelled_at_a_semaphore, NULL) == 0);
  while (!waiting) usleep(100);
  CHECK(pthread_cancel(thread) == 0);
  CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
  puts("conditions ok");
}

/* --- death ----------------------------------------------------------------------------------- */

static void* locks_robust(void* unused) {
  CHECK(pthread_mutex_lock(&page->robust) == 0);
  waiting = 1;
  return unused;
}

static void dies(void) {
  pthread_t thread;
  waiting = 0;
  CHECK(pthread_create(&thread, NULL, locks_robust, NULL) == 0);
  while (!waiting) usleep(100);
  raise(SIGKILL);
}

static void* finds_it_dead(void* unused) {
  CHECK(pthread_mutex_lock(&page->robust) == EOWNERDEAD);
  CHECK(pthread_mutex_consistent(&page->robust) == 0);
  CHECK(pthread_mutex_unlock(&page->robust) == 0);
  CHECK(pthread_mutex_lock(&page->robust) == 0);
  CHECK(pthread_mutex_unlock(&page->robust) == 0);
  return unused;
}

static void* keeps_robust(void* mutex) {
  CHECK(pthread_mutex_lock((pthread_mutex_t*)mutex) == 0);
  return NULL;
}

static void* leaves_it(void* mutex) {
  CHECK(pthread_mutex_lock((pthread_mutex_t*)mutex) == EOWNERDEAD);
  CHECK(pthread_mutex_unlock((pthread_mutex_t*)mutex) == 0);
  return NULL;
}

static void deaths(void) {
  int status;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) dies();
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
  in_threads(1, finds_it_dead);
  /* A thread's, and not shared. */
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  for (int inherits = 0; inherits < 2; ++inherits) {
    pthread_mutex_t mutex;
    pthread_t thread;
    if (inherits) pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT);
    CHECK(pthread_mutex_init(&mutex, &kind) == 0);
    CHECK(pthread_mutex_consistent(&mutex) == EINVAL);
    CHECK(pthread_create(&thread, NULL, keeps_robust, &mutex) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_mutex_lock(&mutex) == EOWNERDEAD);
    CHECK(pthread_mutex_consistent(&mutex) == 0);
    CHECK(pthread_mutex_unlock(&mutex) == 0);
    CHECK(pthread_mutex_unlock(&mutex) == EPERM);
    CHECK(pthread_create(&thread, NULL, keeps_robust, &mutex) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, leaves_it, &mutex) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_mutex_lock(&mutex) == ENOTRECOVERABLE);
    CHECK(pthread_mutex_trylock(&mutex) == ENOTRECOVERABLE);
    CHECK(pthread_mutex_destroy(&mutex) == 0);
  }
  pthread_mutexattr_destroy(&kind);
  puts("deaths ok");
}

/* --- priorities ------------------------------------------------------------------------------ */

static pthread_mutex_t inheriting;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static void* waits_inheriting(void* unused) {
  CHECK(pthread_mutex_lock(&inheriting) == 0);
  while (page->value == 0) CHECK(pthread_cond_wait(&condition, &inheriting) == 0);
  CHECK(pthread_mutex_unlock(&inheriting) == 0);
  return unused;
}

static void priorities(void) {
  pthread_mutexattr_t kind;
  pthread_t thread;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT);
  CHECK(pthread_mutex_init(&inheriting, &kind) == 0);
  counting = &inheriting;
  page->count = page->value = 0;
  count_in_threads();
  CHECK(page->count == 400);
  CHECK(pthread_create(&thread, NULL, waits_inheriting, NULL) == 0);
  usleep(1000);
  CHECK(pthread_mutex_lock(&inheriting) == 0);
  page->value = 1;
  CHECK(pthread_cond_signal(&condition) == 0);
  CHECK(pthread_mutex_unlock(&inheriting) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(pthread_mutex_destroy(&inheriting) == 0);
  pthread_mutexattr_destroy(&kind);
  puts("priorities ok");
}

/* A thread ends with locks whose memory is gone. */
static void* loses(void* unused) {
  pthread_rwlockattr_t kind;
  size_t size = 4096;
  char* gone = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutex_t* lost = (pthread_mutex_t*)gone;
  pthread_rwlock_t* other = (pthread_rwlock_t*)(gone + size / 2);
  (void)unused;
  CHECK(gone != MAP_FAILED);
  make(lost, PTHREAD_MUTEX_RECURSIVE, 0);
  CHECK(pthread_mutex_lock(lost) == 0);
  CHECK(pthread_rwlockattr_init(&kind) == 0);
  CHECK(pthread_rwlockattr_setpshared(&kind, PTHREAD_PROCESS_SHARED) == 0);
  CHECK(pthread_rwlock_init(other, &kind) == 0);
  CHECK(pthread_rwlock_wrlock(other) == 0);
  CHECK(munmap(gone, size) == 0);
  return NULL;
}

/* New locks where some were whose memory went while they were locked. */
static void reuses(void) {
  pthread_rwlockattr_t kind;
  void* at = NULL;
  CHECK(pthread_rwlockattr_init(&kind) == 0);
  CHECK(pthread_rwlockattr_setpshared(&kind, PTHREAD_PROCESS_SHARED) == 0);
  for (int i = 0; i < 2; ++i) {
    int fixed = at == NULL ? 0 : MAP_FIXED;
    at = mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | fixed, -1, 0);
    CHECK(at != MAP_FAILED);
    pthread_rwlock_t* lock = (pthread_rwlock_t*)((char*)at + 2048);
    make((pthread_mutex_t*)at, PTHREAD_MUTEX_ERRORCHECK, 0);
    CHECK(pthread_rwlock_init(lock, &kind) == 0);
    CHECK(pthread_mutex_lock((pthread_mutex_t*)at) == 0);
    CHECK(pthread_rwlock_wrlock(lock) == 0);
  }
  CHECK(munmap(at, 4096) == 0);
}

int main(void) {
  make_all();
  mutexes();
  in_threads(1, owns);
  others_run();
  conditions();
  deaths();
  priorities();
  in_threads(1, loses);
  reuses();
  CHECK(pthread_barrier_destroy(&page->barrier) == 0);
  CHECK(pthread_cond_destroy(&page->cond) == 0);
  return 0;
}
