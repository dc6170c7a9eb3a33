// The whole process: fork, exec, exit codes, atexit, signals, and main that leaves first.
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "check.h"

using namespace std::chrono_literals;

namespace {

int child_of(int (*work)()) {
  fflush(stdout);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) _exit(work());
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int makes_threads() {
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([&sum, i] {
      std::this_thread::sleep_for(1ms);
      sum += i;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return sum;
}

int executes() {
  execl("/bin/sh", "sh", "-c", "test -z \"$FERN_RUN$LD_PRELOAD\" && exit 5", nullptr);
  return 1;
}

std::atomic<int> raised{0};
void handle(int) { ++raised; }

void signals() {
  struct sigaction action{};
  action.sa_handler = handle;
  CHECK(sigaction(SIGUSR1, &action, nullptr) == 0);
  std::thread other([] { std::this_thread::sleep_for(20ms); });
  CHECK(kill(getpid(), SIGUSR1) == 0);
  other.join();
  CHECK(raised == 1);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  std::thread waits([set] {
    int number = 0;
    CHECK(sigwait(&set, &number) == 0 && number == SIGUSR2);
  });
  std::this_thread::sleep_for(2ms);
  CHECK(kill(getpid(), SIGUSR2) == 0);
  waits.join();
  puts("signals ok");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "exit") == 0) {
    std::atexit([] { puts("atexit"); });
    std::thread([] { exit(3); }).detach();
    for (;;) std::this_thread::sleep_for(1s);
  }
  if (argc > 1 && std::strcmp(argv[1], "leave") == 0) {
    std::thread([] {
      std::this_thread::sleep_for(20ms);
      puts("the last one");
    }).detach();
    pthread_exit(nullptr);
  }
  if (argc > 1 && std::strcmp(argv[1], "return") == 0) {
    std::thread([] { std::this_thread::sleep_for(1h); }).detach();
    return 6;
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  printf("threads: %d\n", makes_threads());
  printf("in a child: %d\n", child_of(makes_threads));
  std::thread([] { printf("in a thread's child: %d\n", child_of(makes_threads)); }).join();
  printf("exec: %d\n", child_of(executes));
  printf("abort: %d\n", child_of([]() -> int {
           raise(SIGKILL);
           return 0;
         }));
  signals();
  return 0;
}
