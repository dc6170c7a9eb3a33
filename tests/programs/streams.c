// Threads that hand each other numbers and words through pipes, a few bytes at a time, and two
// processes of threads that accept from one listener.

#define _GNU_SOURCE
#include "check.h"

#include <arpa/inet.h>
#include <locale.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

enum { lines = 200, calls = 400, acceptors = 4 };

struct ends {
  int in;
  int out;
};

static void* speak(void* argument) {
  int fd = ((struct ends*)argument)->out;
  char line[64];
  for (int i = 0; i < lines; ++i) {
    int size = snprintf(line, sizeof line, "%d w\xc3\xb6rd-%d\n", i, i * i);
    for (int j = 0; j < size; ++j) CHECK(write(fd, line + j, 1) == 1);
  }
  close(fd);
  return NULL;
}

static void* scan(void* argument) {
  FILE* file = fdopen(((struct ends*)argument)->in, "r");
  long sum = 0;
  int number;
  int square;
  while (fscanf(file, "%d w\xc3\xb6rd-%d", &number, &square) == 2) sum += square - number;
  CHECK(feof(file));
  fclose(file);
  return (void*)sum;
}

static void* scan_wide(void* argument) {
  FILE* file = fdopen(((struct ends*)argument)->in, "r");
  long sum = 0;
  int number;
  int square;
  while (fwscanf(file, L"%d w\u00f6rd-%d", &number, &square) == 2) sum += square - number;
  CHECK(feof(file));
  fclose(file);
  return (void*)sum;
}

static void* count_wide(void* argument) {
  FILE* file = fdopen(((struct ends*)argument)->in, "r");
  long count = 0;
  for (wint_t next; (next = fgetwc(file)) != WEOF;) count += next == L'\u00f6';
  fclose(file);
  return (void*)count;
}

static void* talk_wide(void* argument) {
  FILE* file = fdopen(((struct ends*)argument)->out, "w");
  for (int i = 0; i < 5000; ++i) CHECK(fwprintf(file, L"%d w\u00f6rd\n", i) > 0);
  CHECK(fclose(file) == 0);
  return NULL;
}

static long between(void* (*writer)(void*), void* (*reader)(void*)) {
  struct ends ends;
  pthread_t threads[2];
  void* result = NULL;
  CHECK(pipe((int*)&ends) == 0);
  CHECK(pthread_create(&threads[0], NULL, reader, &ends) == 0);
  CHECK(pthread_create(&threads[1], NULL, writer, &ends) == 0);
  CHECK(pthread_join(threads[0], &result) == 0);
  CHECK(pthread_join(threads[1], NULL) == 0);
  return (long)result;
}

static void* serve(void* argument) {
  int listener = *(int*)argument;
  for (;;) {
    int client = accept(listener, NULL, NULL);
    char byte = 0;
    CHECK(client >= 0);
    CHECK(read(client, &byte, 1) == 1);
    CHECK(write(client, &byte, 1) == 1);
    close(client);
    if (byte == 'q') return NULL;
  }
}

static void serve_all(int listener) {
  pthread_t threads[acceptors];
  for (int i = 0; i < acceptors; ++i)
    CHECK(pthread_create(&threads[i], NULL, serve, &listener) == 0);
  for (int i = 0; i < acceptors; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
}

static void call(const struct sockaddr_in* address, char byte) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  char answer = 0;
  CHECK(connect(fd, (const struct sockaddr*)address, sizeof *address) == 0);
  CHECK(write(fd, &byte, 1) == 1);
  CHECK(read(fd, &answer, 1) == 1);
  CHECK(answer == byte);
  close(fd);
}

static void* call_all(void* argument) {
  for (int i = 0; i < calls; ++i) call(argument, 'x');
  for (int i = 0; i < 2 * acceptors; ++i) call(argument, 'q');
  return NULL;
}

static void share_a_listener(void) {
  struct sockaddr_in address = {0};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  pthread_t client;
  int status = -1;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(listener, (struct sockaddr*)&address, size) == 0);
  CHECK(listen(listener, 64) == 0);
  CHECK(getsockname(listener, (struct sockaddr*)&address, &size) == 0);
  fflush(stdout);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    serve_all(listener);
    _exit(0);
  }
  CHECK(pthread_create(&client, NULL, call_all, &address) == 0);
  serve_all(listener);
  CHECK(pthread_join(client, NULL) == 0);
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

int main(void) {
  CHECK(setlocale(LC_ALL, "C.UTF-8") != NULL);
  printf("%ld\n", between(speak, scan));
  printf("%ld\n", between(speak, scan_wide));
  printf("%ld\n", between(speak, count_wide));
  printf("%ld\n", between(talk_wide, count_wide));
  share_a_listener();
  puts("streams");
  return 0;
}
