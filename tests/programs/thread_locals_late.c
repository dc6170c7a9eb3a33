/* A library with thread_locals is loaded when there are threads already. Under `fern run` only with
 * --tls. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static sem_t loaded;
static int (*next_number)(void);
static int (*constructor_saw)(void);

static void* uses_it(void* unused) {
  (void)unused;
  CHECK(sem_wait(&loaded) == 0);
  CHECK(sem_post(&loaded) == 0);
  for (int i = 0; i < 5; ++i) {
    CHECK(next_number() == 77 + 2 * i);
    usleep(200);
  }
  return NULL;
}

/* In a child that the thread makes, too. */
static void* loads_it_in_a_child(void* unused) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    void* library = dlopen("libprogram_plugin.so", RTLD_NOW);
    if (library == NULL) _exit(1);
    *(void**)&next_number = dlsym(library, "next_number");
    _exit(next_number() == 78 ? 0 : 2);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return unused;
}

static void* loads_it(void* unused) {
  (void)unused;
  /* Found by the program's own path, which is where it stands. */
  CHECK(dlopen("no-such-library.so", RTLD_NOW) == NULL);
  CHECK(strstr(dlerror(), "no-such-library.so") != NULL && dlerror() == NULL);
  void* library = dlopen("libprogram_plugin.so", RTLD_NOW);
  if (library == NULL) fputs(dlerror(), stderr);
  CHECK(library != NULL && dlopen("libprogram_plugin.so", RTLD_NOW) == library);
  *(void**)&next_number = dlsym(library, "next_number");
  *(void**)&constructor_saw = dlsym(library, "constructor_saw");
  CHECK(constructor_saw() == 77);
  CHECK(next_number() == 78); /* the constructor has run in this thread */
  CHECK(sem_post(&loaded) == 0);
  return library;
}

static void* does_nothing(void* unused) { return unused; }

static void in_threads(int count, void* (*start)(void*)) {
  pthread_t threads[10];
  for (int i = 0; i < count; ++i) CHECK(pthread_create(&threads[i], NULL, start, NULL) == 0);
  for (int i = 0; i < count; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void) {
  pthread_t before[5];
  pthread_t thread;
  void* library;
  CHECK(sem_init(&loaded, 0, 0) == 0);
  for (int i = 0; i < 5; ++i) CHECK(pthread_create(&before[i], NULL, uses_it, NULL) == 0);
  in_threads(1, loads_it_in_a_child);
  usleep(2000);
  CHECK(pthread_create(&thread, NULL, loads_it, NULL) == 0);
  CHECK(pthread_join(thread, &library) == 0);
  for (int i = 0; i < 5; ++i) CHECK(pthread_join(before[i], NULL) == 0);
  in_threads(10, uses_it);
  in_threads(10, uses_it);
  CHECK(next_number() == 77);
  CHECK(dlclose(library) == 0 && dlclose(library) == 0);
  in_threads(10, does_nothing);
  CHECK(dlopen("libprogram_plugin.so", RTLD_NOW | RTLD_NOLOAD) == NULL);
  puts("thread_locals of late libraries ok");
  return 0;
}
