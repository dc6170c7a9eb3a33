// Every lock of C++20, by many threads at once.
#include <atomic>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <semaphore>
#include <shared_mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "check.h"

using namespace std::chrono_literals;

namespace {

template <class Work>
void in_threads(int count, Work work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
}

template <class Mutex>
void excludes(const char* name) {
  Mutex mutex;
  int inside = 0;
  long count = 0;
  in_threads(8, [&](int) {
    for (int i = 0; i < 500; ++i) {
      std::lock_guard lock(mutex);
      CHECK(++inside == 1);
      ++count;
      if (i % 50 == 0) std::this_thread::sleep_for(100us);
      --inside;
    }
  });
  printf("%s excludes: %ld\n", name, count);
}

void recursive() {
  std::recursive_mutex mutex;
  in_threads(4, [&](int) {
    for (int i = 0; i < 100; ++i) {
      std::lock_guard a(mutex);
      std::lock_guard b(mutex);
      std::this_thread::yield();
    }
  });
  puts("recursive_mutex ok");
}

template <class Mutex>
void times_out(const char* name) {
  Mutex mutex;
  mutex.lock();
  std::thread other([&] {
    CHECK(!mutex.try_lock());
    CHECK(!mutex.try_lock_for(5ms));
    CHECK(!mutex.try_lock_until(std::chrono::steady_clock::now() + 5ms));
    CHECK(!mutex.try_lock_until(std::chrono::system_clock::now() + 5ms));
    CHECK(mutex.try_lock_for(10s));
    mutex.unlock();
  });
  std::this_thread::sleep_for(50ms);
  mutex.unlock();
  other.join();
  printf("%s times out\n", name);
}

void shared() {
  std::shared_timed_mutex mutex;
  std::atomic<int> readers{0};
  int together = 0;
  std::mutex guard;
  in_threads(8, [&](int i) {
    for (int k = 0; k < 100; ++k) {
      if (i < 2) {
        std::unique_lock lock(mutex);
        CHECK(readers == 0);
        if (k % 10 == 0) std::this_thread::sleep_for(50us);
      } else {
        std::shared_lock lock(mutex);
        int now = ++readers;
        {
          std::lock_guard most(guard);
          together = std::max(together, now);
        }
        std::this_thread::sleep_for(10us);
        --readers;
      }
    }
  });
  mutex.lock_shared();
  CHECK(!mutex.try_lock_for(2ms));
  CHECK(mutex.try_lock_shared_for(2ms));
  mutex.unlock_shared();
  mutex.unlock_shared();
  printf("shared_timed_mutex: readers together: %s\n", together > 1 ? "yes" : "no");
}

void conditions() {
  std::mutex mutex;
  std::condition_variable turn;
  int now = 0;
  in_threads(20, [&](int i) {
    std::unique_lock lock(mutex);
    turn.wait(lock, [&] { return now == i; });
    ++now;
    turn.notify_all();
  });
  CHECK(now == 20);
  std::unique_lock lock(mutex);
  CHECK(turn.wait_for(lock, 5ms) == std::cv_status::timeout);
  CHECK(turn.wait_until(lock, std::chrono::system_clock::now() + 5ms) == std::cv_status::timeout);
  CHECK(!turn.wait_until(lock, std::chrono::steady_clock::now() - 1s, [] { return false; }));
  lock.unlock();
  std::condition_variable_any any;
  std::shared_mutex other;
  bool told = false;
  std::jthread stopped([&](std::stop_token stop) {
    std::unique_lock<std::shared_mutex> held(other);
    CHECK(!any.wait(held, stop, [] { return false; }));
  });
  std::thread waiter([&] {
    std::shared_lock<std::shared_mutex> held(other);
    any.wait(held, [&] { return told; });
  });
  std::this_thread::sleep_for(5ms);
  {
    std::unique_lock<std::shared_mutex> held(other);
    told = true;
  }
  any.notify_all();
  waiter.join();
  stopped.request_stop();
  puts("condition variables ok");
}

void meetings() {
  std::counting_semaphore<10> semaphore(0);
  std::binary_semaphore binary(1);
  std::latch latch(5);
  int phases = 0;
  std::barrier barrier(5, [&]() noexcept { ++phases; });
  std::atomic<int> word{0};
  std::atomic<int> passed{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 5; ++i) {
    threads.emplace_back([&] {
      semaphore.acquire();
      latch.arrive_and_wait();
      for (int k = 0; k < 10; ++k) barrier.arrive_and_wait();
      word.wait(0);
      binary.acquire();
      ++passed;
      binary.release();
    });
  }
  std::this_thread::sleep_for(5ms);
  semaphore.release(5);
  latch.wait();
  CHECK(!semaphore.try_acquire_for(2ms));
  CHECK(!semaphore.try_acquire_until(std::chrono::system_clock::now() + 2ms));
  std::this_thread::sleep_for(5ms);
  word = 1;
  word.notify_all();
  threads.clear();
  std::atomic_flag flag;
  std::thread waiter([&] { flag.wait(false); });
  std::this_thread::sleep_for(2ms);
  flag.test_and_set();
  flag.notify_one();
  waiter.join();
  printf("meetings: %d passed, %d phases\n", passed.load(), phases);
}

void once() {
  std::once_flag flag;
  int tries = 0;
  int done = 0;
  in_threads(8, [&](int) {
    try {
      std::call_once(flag, [&] {
        std::this_thread::sleep_for(2ms);
        if (++tries < 3) throw tries;
        ++done;
      });
    } catch (int) {
    }
  });
  printf("call_once: %d tries, done %d\n", tries, done);
}

int constructed = 0;

int contended() {
  static int value = [] {
    std::this_thread::sleep_for(10ms);
    return ++constructed;
  }();
  return value;
}

void statics() {
  in_threads(10, [](int) { CHECK(contended() == 1); });
  printf("statics: constructed %d\n", constructed);
}

}  // namespace

int main() {
  excludes<std::mutex>("mutex");
  excludes<std::timed_mutex>("timed_mutex");
  excludes<std::recursive_timed_mutex>("recursive_timed_mutex");
  excludes<std::shared_mutex>("shared_mutex");
  recursive();
  times_out<std::timed_mutex>("timed_mutex");
  times_out<std::recursive_timed_mutex>("recursive_timed_mutex");
  times_out<std::shared_timed_mutex>("shared_timed_mutex");
  shared();
  conditions();
  meetings();
  once();
  statics();
  return 0;
}
