/* The locks of FILEs, held while their owner waits. */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static FILE* file;
static volatile int inside; /* gcc believes that flockfile lets nobody else change it */

static void* locks(void* unused) {
  (void)unused;
  for (int i = 0; i < 50; ++i) {
    flockfile(file);
    flockfile(file); /* recursive */
    CHECK(++inside == 1);
    if (i % 10 == 0) usleep(200);
    CHECK(fputs("one ", file) >= 0); /* its own lock is no hindrance */
    if (i % 10 == 0) usleep(200);
    CHECK(fprintf(file, "%s", "two") == 3);
    funlockfile(file);
    if (i % 10 == 5) usleep(100);
    putc_unlocked('\n', file);
    --inside;
    funlockfile(file);
  }
  return NULL;
}

static void* writes(void* unused) {
  (void)unused;
  for (int i = 0; i < 50; ++i) {
    CHECK(fputs("one two\n", file) >= 0);
    if (i % 10 == 0) usleep(100);
  }
  return NULL;
}

static void excludes(void) {
  char line[32];
  int count = 0;
  pthread_t threads[8];
  file = tmpfile();
  CHECK(file != NULL);
  for (int i = 0; i < 8; ++i) {
    CHECK(pthread_create(&threads[i], NULL, i % 2 ? locks : writes, NULL) == 0);
  }
  for (int i = 0; i < 8; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  rewind(file);
  while (fgets(line, sizeof line, file) != NULL) {
    CHECK(strcmp(line, "one two\n") == 0);
    ++count;
  }
  CHECK(feof(file) && !ferror(file));
  fclose(file);
  printf("%d whole lines\n", count);
}

/* A FILE that nobody has written to yet has no buffer. */
static pthread_barrier_t all;

static void* begins(void* unused) {
  (void)unused;
  pthread_barrier_wait(&all);
  CHECK(fputs("one two\n", file) >= 0);
  return NULL;
}

static void begin(void) {
  char line[32];
  pthread_t threads[4];
  CHECK(pthread_barrier_init(&all, NULL, 4) == 0);
  for (int i = 0; i < 100; ++i) {
    file = tmpfile();
    CHECK(file != NULL);
    for (int j = 0; j < 4; ++j) CHECK(pthread_create(&threads[j], NULL, begins, NULL) == 0);
    for (int j = 0; j < 4; ++j) CHECK(pthread_join(threads[j], NULL) == 0);
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) CHECK(strcmp(line, "one two\n") == 0);
    fclose(file);
  }
  CHECK(pthread_barrier_destroy(&all) == 0);
  puts("first lines ok");
}

static sem_t step;

static void* cannot(void* unused) {
  (void)unused;
  CHECK(ftrylockfile(file) != 0);
  CHECK(ftrylockfile(file) != 0);
  CHECK(sem_post(&step) == 0);
  CHECK(ftell(file) == 3); /* waits */
  flockfile(file);
  funlockfile(file);
  CHECK(ftrylockfile(file) == 0);
  funlockfile(file);
  return NULL;
}

static void tries(void) {
  pthread_t thread;
  CHECK(sem_init(&step, 0, 0) == 0);
  file = tmpfile();
  CHECK(ftrylockfile(file) == 0 && ftrylockfile(file) == 0);
  CHECK(pthread_create(&thread, NULL, cannot, NULL) == 0);
  CHECK(sem_wait(&step) == 0);
  usleep(1000);
  CHECK(fputs("yes", file) >= 0);
  funlockfile(file);
  usleep(1000);
  funlockfile(file);
  CHECK(pthread_join(thread, NULL) == 0);
  /* One that is closed while locked is free again under its address. */
  for (int i = 0; i < 10; ++i) {
    flockfile(file);
    CHECK(fclose(file) == 0);
    file = tmpfile();
    CHECK(pthread_create(&thread, NULL, writes, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
  }
  fclose(file);
  puts("tries ok");
}

/* A line comes from a pipe while the lock is somebody else's. */
static int ends[2];

static void* reads(void* unused) {
  char line[32];
  (void)unused;
  CHECK(fgets(line, sizeof line, file) != NULL && strcmp(line, "a line\n") == 0);
  return NULL;
}

static void* holds(void* unused) {
  (void)unused;
  flockfile(file);
  CHECK(sem_post(&step) == 0);
  usleep(20000);
  funlockfile(file);
  return NULL;
}

static void waits(void) {
  pthread_t threads[2];
  CHECK(pipe(ends) == 0);
  file = fdopen(ends[0], "r");
  CHECK(pthread_create(&threads[0], NULL, holds, NULL) == 0);
  CHECK(sem_wait(&step) == 0);
  CHECK(pthread_create(&threads[1], NULL, reads, NULL) == 0);
  usleep(1000);
  CHECK(write(ends[1], "a line\n", 7) == 7);
  for (int i = 0; i < 2; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  close(ends[1]);
  fclose(file);
  puts("waits ok");
}

/* A function of the program's waits inside of libc, which has the FILE locked. */
static ssize_t slow(void* cookie, const char* data, size_t size) {
  (void)data;
  usleep(1000);
  *(long*)cookie += (long)size;
  return (ssize_t)size;
}

static void* writes_slowly(void* text) {
  for (int i = 0; i < 10; ++i) CHECK(fputs((const char*)text, file) >= 0);
  return NULL;
}

static void cookies(void) {
  pthread_t threads[4];
  long sum = 0;
  cookie_io_functions_t functions = {NULL, slow, NULL, NULL};
  file = fopencookie(&sum, "w", functions);
  setvbuf(file, NULL, _IONBF, 0);
  for (int i = 0; i < 4; ++i) {
    CHECK(pthread_create(&threads[i], NULL, writes_slowly, "12345") == 0);
  }
  for (int i = 0; i < 4; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  fclose(file);
  printf("cookies: %ld\n", sum);
}

int main(void) {
  excludes();
  begin();
  tries();
  waits();
  cookies();
  return 0;
}
