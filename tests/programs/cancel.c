/* Deferred cancellation: where it happens, what runs, and what holds it back. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static int cleaned;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_key_t key;
static sem_t semaphore;

static void cleans(void* by) { cleaned += (int)(long)by; }
static void unlocks(void* locked) { pthread_mutex_unlock((pthread_mutex_t*)locked); }

static void* in_sleep(void* unused) {
  (void)unused;
  pthread_cleanup_push(cleans, (void*)1);
  pthread_cleanup_push(cleans, (void*)10);
  pthread_setspecific(key, (void*)100);
  for (;;) usleep(1000);
  pthread_cleanup_pop(0);
  pthread_cleanup_pop(0);
  return NULL;
}

static void* in_condition(void* unused) {
  (void)unused;
  pthread_mutex_lock(&mutex);
  pthread_cleanup_push(unlocks, &mutex);
  for (;;) pthread_cond_wait(&cond, &mutex);
  pthread_cleanup_pop(0);
  return NULL;
}

static void* in_semaphore(void* unused) {
  (void)unused;
  sem_wait(&semaphore);
  return NULL;
}

static void* in_join(void* other) {
  pthread_join(*(pthread_t*)other, NULL);
  return NULL;
}

static void* in_read(void* fd) {
  char byte;
  if (read((int)(long)fd, &byte, 1) < 0) return NULL;
  return NULL;
}

/* Two at one FILE: the first lets the second in, and cancels it before that runs. (In two hubs
 * either may get what comes.) */
static FILE* numbers;
static sem_t scanned;

static void* scans(void* unused) {
  int number;
  (void)unused;
  while (fscanf(numbers, "%d", &number) == 1) continue;
  return NULL;
}

static void* scans_and_cancels(void* other) {
  int number = 0;
  CHECK(fscanf(numbers, "%d", &number) == 1);
  CHECK(pthread_cancel(*(pthread_t*)other) == 0);
  CHECK(sem_post(&scanned) == 0);
  return NULL;
}

static void two_scan(void) {
  pthread_t first, second;
  void* result;
  int ends[2];
  CHECK(pipe(ends) == 0 && sem_init(&scanned, 0, 0) == 0);
  numbers = fdopen(ends[0], "r");
  CHECK(numbers != NULL);
  CHECK(pthread_create(&first, NULL, scans_and_cancels, &second) == 0);
  usleep(20000);
  CHECK(pthread_create(&second, NULL, scans, NULL) == 0);
  usleep(1000);
  do {
    CHECK(write(ends[1], "12 ", 3) == 3);
    usleep(1000);
  } while (sem_trywait(&scanned) != 0);
  CHECK(pthread_join(first, NULL) == 0);
  CHECK(pthread_join(second, &result) == 0 && result == PTHREAD_CANCELED);
  close(ends[1]);
  fclose(numbers);
}

static void* held_back(void* unused) {
  (void)unused;
  int before;
  CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
  CHECK(before == PTHREAD_CANCEL_ENABLE);
  usleep(20000);
  cleaned = 7;
  CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before) == 0);
  CHECK(before == PTHREAD_CANCEL_DISABLE);
  pthread_testcancel();
  cleaned = 8;
  return NULL;
}

static void* ends_first(void* unused) {
  (void)unused;
  return (void*)3;
}

static void* itself(void* unused) {
  (void)unused;
  pthread_cleanup_push(cleans, (void*)1);
  pthread_cancel(pthread_self());
  cleaned = 20;
  pthread_testcancel();
  cleaned = 1000;
  pthread_cleanup_pop(0);
  return NULL;
}

static void* exits_deep(void* unused) {
  (void)unused;
  pthread_cleanup_push(cleans, (void*)5);
  pthread_exit((void*)11);
  pthread_cleanup_pop(0);
  return NULL;
}

static void cancelled(void* (*start)(void*), void* argument) {
  pthread_t thread;
  void* result;
  CHECK(pthread_create(&thread, NULL, start, argument) == 0);
  usleep(5000);
  CHECK(pthread_cancel(thread) == 0);
  CHECK(pthread_join(thread, &result) == 0);
  CHECK(result == PTHREAD_CANCELED);
}

static void* forever(void* unused) {
  (void)unused;
  for (;;) pause();
  return NULL;
}

static void cleans_with_a_wait(void* count) {
  usleep(1000);
  ++*(int*)count;
}

static void* waits_in_its_cleanup(void* count) {
  pthread_cleanup_push(cleans_with_a_wait, count);
  pthread_exit(NULL);
  pthread_cleanup_pop(0);
  return NULL;
}

static void destroys(void* value) { cleaned += (int)(long)value; }

int main(void) {
  CHECK(pthread_key_create(&key, destroys) == 0);
  cancelled(in_sleep, NULL);
  CHECK(cleaned == 111);
  puts("sleep");
  cancelled(in_condition, NULL);
  CHECK(pthread_mutex_trylock(&mutex) == 0);
  pthread_mutex_unlock(&mutex);
  puts("condition");
  CHECK(sem_init(&semaphore, 0, 0) == 0);
  cancelled(in_semaphore, NULL);
  puts("semaphore");
  pthread_t sleeper;
  CHECK(pthread_create(&sleeper, NULL, in_sleep, NULL) == 0);
  cancelled(in_join, &sleeper);
  CHECK(pthread_cancel(sleeper) == 0 && pthread_join(sleeper, NULL) == 0);
  puts("join");
  int ends[2];
  CHECK(pipe(ends) == 0);
  cancelled(in_read, (void*)(long)ends[0]);
  puts("read");
  two_scan();
  puts("scanf");
  cancelled(held_back, NULL);
  CHECK(cleaned == 7);
  puts("held back");
  cleaned = 0;
  cancelled(itself, NULL);
  CHECK(cleaned == 21);
  puts("itself");
  pthread_t thread;
  void* result;
  CHECK(pthread_create(&thread, NULL, ends_first, NULL) == 0);
  usleep(5000);
  CHECK(pthread_cancel(thread) == 0);
  CHECK(pthread_join(thread, &result) == 0 && result == (void*)3);
  puts("ends first");
  cleaned = 0;
  CHECK(pthread_create(&thread, NULL, exits_deep, NULL) == 0);
  CHECK(pthread_join(thread, &result) == 0 && result == (void*)11 && cleaned == 5);
  puts("exit");
  for (int i = 0; i < 20; ++i) {
    CHECK(pthread_create(&thread, NULL, forever, NULL) == 0);
    CHECK(pthread_cancel(thread) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
  }
  puts("before it began");
  int waited = 0;
  CHECK(pthread_create(&thread, NULL, waits_in_its_cleanup, &waited) == 0);
  usleep(300);
  pthread_cancel(thread);
  CHECK(pthread_join(thread, NULL) == 0 && waited == 1);
  puts("in its cleanup");
  return 0;
}
