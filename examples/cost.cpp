// What it costs to hand the processor over: to another greenlet, another thread, another process.
// All on one processor, so that nothing but the switching counts.
#include <fern/fern.hpp>

#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <iostream>
#include <system_error>
#include <thread>

namespace {

int check(long result) {
  if (result < 0) throw std::system_error(errno, std::generic_category());
  return static_cast<int>(result);
}

void greenlets(int rounds) {
  auto play = [rounds] {
    for (int i = 0; i < rounds; ++i) fern::yield();
  };
  fern::joinall(fern::spawn(play), fern::spawn(play));
}

// Threads and processes pass a byte to and fro: who has no byte waits for it.
struct Table {
  Table() { check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends)); }
  ~Table() { close(ends[0]), close(ends[1]); }
  void play(int side, int rounds) const {
    char ball = 0;
    for (int i = 0; i < 2 * rounds; ++i) {
      check(i % 2 == side ? write(ends[side], &ball, 1) : read(ends[side], &ball, 1));
    }
  }
  int ends[2];
};

void threads(int rounds) {
  Table table;
  std::thread other(&Table::play, &table, 1, rounds);
  table.play(0, rounds);
  other.join();
}

void processes(int rounds) {
  Table table;
  pid_t child = check(fork());
  table.play(child == 0 ? 1 : 0, rounds);
  if (child == 0) _exit(0);
  check(waitpid(child, nullptr, 0));
}

void measure(const char* what, int rounds, void (*run)(int)) {
  auto start = std::chrono::steady_clock::now();
  run(rounds);
  std::chrono::nanoseconds time = std::chrono::steady_clock::now() - start;
  std::cout << what << ": " << time.count() / rounds / 2 << " ns a switch\n";
}

}  // namespace

int main() {
  cpu_set_t one{};
  CPU_SET(check(sched_getcpu()), &one);
  check(sched_setaffinity(0, sizeof one, &one));
  measure("greenlets", 1'000'000, greenlets);
  measure("threads", 20'000, threads);
  measure("processes", 20'000, processes);
}

// Prints, where ... varies:
//   greenlets: ... ns a switch
//   threads: ... ns a switch
//   processes: ... ns a switch
