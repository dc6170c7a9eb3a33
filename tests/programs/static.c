/* Linked statically: no library can come before it. */
#include <pthread.h>

#include "check.h"

static void* increment(void* number) {
  ++*(int*)number;
  return NULL;
}

int main(void) {
  int number = 0;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, increment, &number) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(number == 1);
  puts("static");
  return 0;
}
