// Futures, async, promises and packaged tasks; exceptions that wait.
#include <chrono>
#include <exception>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

using namespace std::chrono_literals;

namespace {

int fibonacci(int n) {
  if (n < 2) return n;
  if (n < 5) return fibonacci(n - 1) + fibonacci(n - 2);
  auto left = std::async(std::launch::async, fibonacci, n - 1);
  int right = fibonacci(n - 2);
  return left.get() + right;
}

// Each keeps what it throws while others throw and wait.
void exceptions() {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 50; ++i) {
    threads.emplace_back([i, &right] {
      for (int k = 0; k < 20; ++k) {
        try {
          try {
            throw std::runtime_error(std::to_string(i * 1000 + k));
          } catch (...) {
            std::this_thread::sleep_for(10us);
            throw;
          }
        } catch (const std::runtime_error& error) {
          std::this_thread::yield();
          if (error.what() == std::to_string(i * 1000 + k) && std::uncaught_exceptions() == 0)
            ++right;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  printf("exceptions: %d\n", right.load());
}

struct WaitsAtTheEnd {
  std::atomic<int>& count;
  ~WaitsAtTheEnd() {
    std::this_thread::sleep_for(100us);
    CHECK(std::uncaught_exceptions() == 1);
    ++count;
  }
};

void unwinding() {
  std::atomic<int> count{0};
  std::vector<std::future<void>> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(std::async(std::launch::async, [&count] {
      WaitsAtTheEnd waits{count};
      throw std::logic_error("unwinds");
    }));
  }
  int caught = 0;
  for (auto& each : all) {
    try {
      each.get();
    } catch (const std::logic_error&) {
      ++caught;
    }
  }
  printf("unwinding: %d caught, %d waited\n", caught, count.load());
}

}  // namespace

int main() {
  printf("async: %d\n", fibonacci(12));
  auto deferred = std::async(std::launch::deferred, [] { return 3; });
  CHECK(deferred.wait_for(0s) == std::future_status::deferred);
  printf("deferred: %d\n", deferred.get());
  std::promise<std::string> promise;
  std::shared_future<std::string> shared = promise.get_future();
  CHECK(shared.wait_for(5ms) == std::future_status::timeout);
  std::vector<std::thread> readers;
  for (int i = 0; i < 5; ++i) readers.emplace_back([shared] { CHECK(shared.get() == "kept"); });
  std::this_thread::sleep_for(2ms);
  promise.set_value("kept");
  for (std::thread& reader : readers) reader.join();
  std::promise<void> at_exit;
  std::future<void> exited = at_exit.get_future();
  std::thread([&at_exit] { at_exit.set_value_at_thread_exit(); }).detach();
  exited.get();
  std::packaged_task<int(int)> task([](int n) { return n * n; });
  std::future<int> squared = task.get_future();
  std::thread worker(std::move(task), 7);
  printf("packaged_task: %d\n", squared.get());
  worker.join();
  std::future<int> broken;
  {
    std::promise<int> gone;
    broken = gone.get_future();
  }
  try {
    broken.get();
  } catch (const std::future_error& error) {
    CHECK(error.code() == std::future_errc::broken_promise);
    puts("broken promise");
  }
  exceptions();
  unwinding();
  return 0;
}
