// Programs that wait by trying again and again: each ends.
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

#include "check.h"

namespace {

std::mutex mutex;
std::atomic<bool> flag{false};
int ends[2];

void on_trylock() {
  mutex.lock();
  std::thread other([] {
    while (!mutex.try_lock()) {
    }
    mutex.unlock();
  });
  std::thread owner([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    mutex.unlock();
  });
  owner.join();
  other.join();
  puts("trylock");
}

void on_yield() {
  flag = false;
  std::thread other([] {
    while (!flag) sched_yield();
  });
  std::thread owner([] { flag = true; });
  other.join();
  owner.join();
  puts("sched_yield");
}

void on_epoll() {
  CHECK(pipe(ends) == 0);
  std::thread other([] {
    int set = epoll_create1(0);
    epoll_event event{};
    event.events = EPOLLIN;
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event) == 0);
    while (epoll_wait(set, &event, 1, 0) == 0) {
    }
    close(set);
    pollfd one{ends[0], POLLIN, 0};
    CHECK(poll(&one, 1, 0) == 1);
  });
  std::thread owner([] { CHECK(write(ends[1], "x", 1) == 1); });
  other.join();
  owner.join();
  puts("epoll_wait");
}

void on_spin_lock() {
  static pthread_spinlock_t spin;
  pthread_spin_init(&spin, 0);
  pthread_spin_lock(&spin);
  std::thread other([] {
    pthread_spin_lock(&spin);
    pthread_spin_unlock(&spin);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  pthread_spin_unlock(&spin);
  other.join();
  puts("spin lock");
}

// Nothing is called here: a green thread that does this keeps its OS thread.
void on_flag() {
  flag = false;
  std::thread other([] {
    while (!flag) {
    }
  });
  flag = true;
  other.join();
  puts("flag");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "flag") == 0) {
    std::thread other([] {
      while (!flag) {
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    flag = true;
    other.join();
    return 0;
  }
  // In the second hub, if there are two.
  if (argc > 1 && std::strcmp(argv[1], "for-ever") == 0) {
    std::thread first([] {});
    std::thread second([] {
      while (!flag) {
      }
    });
    first.join();
    second.join();
    return 0;
  }
  on_trylock();
  on_yield();
  on_epoll();
  on_spin_lock();
  on_flag();
  return 0;
}
