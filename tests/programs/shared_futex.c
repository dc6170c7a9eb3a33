/* A futex in memory that two processes share. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static _Atomic int* word;

static void wait_for(int value) {
  int seen;
  while ((seen = atomic_load(word)) != value) {
    syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
  }
}

static void set(int value) {
  atomic_store(word, value);
  syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void* take_turns(void* arg) {
  (void)arg;
  for (int i = 1; i < 20; i += 2) {
    wait_for(i);
    set(i + 1);
  }
  return NULL;
}

int main(void) {
  word = mmap(NULL, sizeof *word, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(word != MAP_FAILED);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    for (int i = 0; i < 20; i += 2) {
      usleep(1000);
      set(i + 1);
      wait_for(i + 2);
    }
    _exit(7);
  }
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, take_turns, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  int status;
  CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
  puts("shared futex");
  return 0;
}
