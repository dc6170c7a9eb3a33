// Cancellation and pthread_exit unwind C++ frames.
#include <cxxabi.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>

#include "check.h"

namespace {

std::atomic<int> destroyed{0};
std::atomic<int> seen{0};

struct Object {
  ~Object() { ++destroyed; }
};

void deeper(int depth) {
  Object object;
  if (depth > 0) deeper(depth - 1);
  usleep(10'000'000);
}

void* cancelled(void*) {
  Object object;
  try {
    deeper(5);
  } catch (const abi::__forced_unwind&) {
    ++seen;
    throw;
  } catch (...) {
    seen = 1000;
    throw;
  }
  return nullptr;
}

void* exits(void*) {
  Object object;
  try {
    Object inner;
    pthread_exit(reinterpret_cast<void*>(9));
  } catch (...) {
    ++seen;
    throw;
  }
}

}  // namespace

int main() {
  pthread_t thread;
  void* result;
  CHECK(pthread_create(&thread, nullptr, cancelled, nullptr) == 0);
  usleep(5000);
  CHECK(pthread_cancel(thread) == 0);
  CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
  printf("cancelled: %d destroyed, seen %d\n", destroyed.load(), seen.load());
  CHECK(pthread_create(&thread, nullptr, exits, nullptr) == 0);
  CHECK(pthread_join(thread, &result) == 0 && result == reinterpret_cast<void*>(9));
  printf("exited: %d destroyed, seen %d\n", destroyed.load(), seen.load());
  return 0;
}
