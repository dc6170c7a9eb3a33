#pragma once

// What the tests of coroutines share: coroutines of the kinds that users have.

#include <coroutine>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "support.hpp"

namespace fern::testing {

// A lazy task that owns its frame and resumes who awaits it, as users write them.
template <class T>
class Task {
 public:
  struct Promise;
  using promise_type = Promise;

  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  ~Task() {
    if (frame_) frame_.destroy();
  }

  auto operator co_await() & { return Awaiter<T&>{frame_}; }
  auto operator co_await() && { return Awaiter<T&&>{frame_}; }

 private:
  using Frame = std::coroutine_handle<Promise>;
  explicit Task(Frame frame) : frame_(frame) {}

  template <class Given>
  struct Awaiter {
    Frame frame;
    bool await_ready() const noexcept { return frame.done(); }
    auto await_suspend(std::coroutine_handle<> awaiting) noexcept {
      frame.promise().awaiting = awaiting;
      return frame;
    }
    Given await_resume() {
      if (frame.promise().error) std::rethrow_exception(frame.promise().error);
      return static_cast<Given>(*frame.promise().value);
    }
  };

  Frame frame_;
};

template <class T>
struct Task<T>::Promise {
  std::optional<T> value;
  std::exception_ptr error;
  std::coroutine_handle<> awaiting;

  Task get_return_object() { return Task(Frame::from_promise(*this)); }
  std::suspend_always initial_suspend() noexcept { return {}; }
  auto final_suspend() noexcept {
    struct Back {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(Frame frame) noexcept {
        return frame.promise().awaiting;
      }
      void await_resume() noexcept {}
    };
    return Back{};
  }
  template <class U>
  void return_value(U&& made) {
    value.emplace(std::forward<U>(made));
  }
  void unhandled_exception() { error = std::current_exception(); }
};

// One that starts at once and that nobody waits for.
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() { std::terminate(); }
  };
};

// One whose frame the test destroys.
struct Held {
  struct promise_type {
    Held get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() { throw; }
  };
  std::coroutine_handle<promise_type> frame;
};

class CoroutineTest : public FernTest {
 protected:
  std::string log;
};

}  // namespace fern::testing
