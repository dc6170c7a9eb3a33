// The whole process: fork, exec, exit codes, atexit, signals, and main that leaves first.
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
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

// The child's locks tell its threads apart, the one that forked as well.
int locks() {
  static std::recursive_mutex mutex;
  std::atomic<bool> free{true};
  mutex.lock();
  std::vector<std::thread> threads;
  for (int i = 0; i < 300; ++i) {
    threads.emplace_back([&free] {
      if (mutex.try_lock()) {
        free = false;
        mutex.unlock();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  mutex.unlock();
  return free ? 4 : 1;
}

sem_t semaphore;
void posts(int) { sem_post(&semaphore); }
void does_not(int) {}

void handlers() {
  CHECK(sem_init(&semaphore, 0, 0) == 0);
  struct sigaction action{};
  action.sa_handler = posts;
  CHECK(sigaction(SIGALRM, &action, nullptr) == 0);
  itimerval soon{};
  soon.it_value.tv_usec = 20'000;
  CHECK(setitimer(ITIMER_REAL, &soon, nullptr) == 0);
  while (sem_wait(&semaphore) != 0) CHECK(errno == EINTR);
  action.sa_handler = does_not;
  CHECK(sigaction(SIGALRM, &action, nullptr) == 0);
  CHECK(setitimer(ITIMER_REAL, &soon, nullptr) == 0);
  CHECK(sem_wait(&semaphore) == -1 && errno == EINTR);
  // Another thread runs when the signal comes.
  int ends[2];
  CHECK(pipe(ends) == 0);
  std::atomic<bool> interrupted{false};
  std::thread other([main = pthread_self(), &interrupted] {
    while (!interrupted) {
      std::this_thread::sleep_for(2ms);
      pthread_kill(main, SIGALRM);
    }
  });
  char byte = 0;
  CHECK(read(ends[0], &byte, 1) == -1 && errno == EINTR);
  interrupted = true;
  other.join();
  close(ends[0]);
  close(ends[1]);
  puts("handlers ok");
}

// A mask that is a thread's own goes to its child.
int is_blocked() {
  sigset_t now;
  CHECK(sigprocmask(SIG_SETMASK, nullptr, &now) == 0);
  return sigismember(&now, SIGHUP) * 2 + sigismember(&now, SIGTERM);
}

int program_is_blocked() {
  execl("/bin/sh", "sh", "-c", "grep SigBlk /proc/self/status | grep -q '0000001$' && exit 8",
        nullptr);
  return 1;
}

// What a spawned child blocks is what its thread does, in whatever OS thread that runs.
int spawned(const char* number, bool search) {
  const std::string pattern =
      std::string("grep SigBlk /proc/self/status | grep -q '") + number + "$'";
  const char* arguments[] = {"sh", "-c", pattern.c_str(), nullptr};
  auto* words = const_cast<char**>(arguments);
  pid_t child = 0;
  CHECK((search ? posix_spawnp(&child, "sh", nullptr, nullptr, words, environ)
                : posix_spawn(&child, "/bin/sh", nullptr, nullptr, words, environ)) == 0);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  return status;
}

void spawns() {
  for (int i = 0; i < 4; ++i) {
    std::thread([i] {
      sigset_t set;
      sigemptyset(&set);
      if (i % 2 == 0) sigaddset(&set, SIGHUP);
      CHECK(pthread_sigmask(SIG_SETMASK, &set, nullptr) == 0);
      CHECK(spawned(i % 2 == 0 ? "0000001" : "0000000", i < 2) == 0);
      posix_spawnattr_t attributes;
      posix_spawnattr_init(&attributes);
      posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
      const char* arguments[] = {"sh", "-c", "grep -q 'SigBlk.*000[01]$' /proc/self/status",
                                 nullptr};
      pid_t child = 0;
      CHECK(posix_spawn(&child, "/bin/sh", nullptr, &attributes, const_cast<char**>(arguments),
                        environ) == 0);
      int status = 0;
      CHECK(waitpid(child, &status, 0) == child && status == 0);
      posix_spawnattr_destroy(&attributes);
      FILE* grep = popen("grep SigBlk /proc/self/status | cat", "r");
      char line[100];
      CHECK(grep != nullptr && fgets(line, sizeof line, grep) != nullptr);
      CHECK(line[strlen(line) - 2] == (i % 2 == 0 ? '1' : '0'));
      CHECK(pclose(grep) == 0);
    }).join();
  }
  puts("spawns ok");
}

// What is done by other threads in our stead is done by real ones.
void fifos() {
  char folder[] = "/tmp/program-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  std::string path = std::string(folder) + "/fifo";
  CHECK(mkfifo(path.c_str(), 0600) == 0);
  std::thread reads([&] {
    int fd = open(path.c_str(), O_RDONLY);
    char byte = 0;
    CHECK(fd >= 0 && read(fd, &byte, 1) == 1 && byte == 'x');
    close(fd);
  });
  std::this_thread::sleep_for(2ms);
  int fd = open(path.c_str(), O_WRONLY);
  CHECK(fd >= 0 && write(fd, "x", 1) == 1);
  reads.join();
  close(fd);
  unlink(path.c_str());
  rmdir(folder);
  puts("fifos ok");
}

// One waits for its command while another does: each has SIGCHLD back afterwards.
void commands() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([i] {
      std::string command = "sleep 0.0" + std::to_string(i + 1);
      CHECK(system(command.c_str()) == 0);
      sigset_t now;
      CHECK(pthread_sigmask(SIG_SETMASK, nullptr, &now) == 0);
      CHECK(sigismember(&now, SIGCHLD) == 0);
    });
  }
  for (std::thread& thread : threads) thread.join();
  puts("commands ok");
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
  handlers();
  std::thread([] { printf("a child's locks: %d\n", child_of(locks)); }).join();
  spawns();
  commands();
  fifos();
  std::thread([] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    CHECK(pthread_sigmask(SIG_SETMASK, &set, nullptr) == 0);
    printf("a child's mask: %d\n", child_of(is_blocked));
    printf("its program's: %d\n", child_of(program_is_blocked));
  }).join();
  return 0;
}
