#pragma once

// await_callback() makes a call that blocks its greenlet out of one that takes a callback:
//
//   Reply reply = fern::await_callback<Reply>(
//       [&](auto done) {
//         client.send(request, [done](int status, Reply reply) {   // in whatever thread
//           if (status == 0) {
//             done(std::move(reply));
//           } else {
//             done.fail(std::runtime_error("refused"));
//           }
//         });
//       },
//       5s);
//
// A C interface that carries a void* takes a copy: new auto(done), which its callback deletes.

#include <fern/async_result.hpp>
#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/async_state.hpp>
#include <fern/errors.hpp>

#include <atomic>
#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace fern {

// Callback<T> is what the other side calls, with a T, or with nothing if T is void. Copies are the
// same callback, and may be called, dropped and kept in any thread, before or after the function
// that they were given to has returned, and also when nobody waits any more: nothing dangles. The
// first call counts; the others change nothing and are false. If all copies go without a call, the
// waiter gets a GreenletError.
template <class T>
class Callback {
 public:
  using value_type = T;

  // done(value) ends the wait: a T is made of the value. Never switches.
  template <class U = T>
    requires(!std::is_void_v<T> && std::constructible_from<detail::Stored<T>, U>)
  bool operator()(U&& value) const {
    if (!state_->claim()) return false;
    try {
      state_->result.set(std::forward<U>(value));
    } catch (...) {
      state_->result.set_exception(std::current_exception());
    }
    return true;
  }
  bool operator()() const
    requires std::is_void_v<T>
  {
    if (!state_->claim()) return false;
    state_->result.set();
    return true;
  }

  // fail() ends the wait by an exception, given by pointer or as it is. A null pointer is a
  // std::invalid_argument.
  bool fail(std::exception_ptr exception) const {
    if (exception == nullptr) throw std::invalid_argument("Callback::fail(): no exception");
    if (!state_->claim()) return false;
    state_->result.set_exception(std::move(exception));
    return true;
  }
  template <class E>
    requires(!std::convertible_to<E, std::exception_ptr>)
  bool fail(E&& exception) const {
    return fail(std::make_exception_ptr(std::forward<E>(exception)));
  }

 private:
  template <class U, class Start>
    requires std::invocable<Start, Callback<U>>
  friend U await_callback(Start&& start, Deadline deadline);

  struct State {
    explicit State(AsyncResult<T> result) noexcept : result(std::move(result)) {}
    ~State() {
      if (!called) result.set_exception(GreenletError("a callback was dropped without a call"));
    }
    bool claim() noexcept { return !called.exchange(true, std::memory_order_relaxed); }

    AsyncResult<T> result;
    std::atomic<bool> called{false};
  };

  explicit Callback(AsyncResult<T> result) : state_(std::make_shared<State>(std::move(result))) {}

  std::shared_ptr<State> state_;
};

// await_callback() calls start(done), where done is a Callback<T>, and then blocks until done is
// called; returns the value it is called with, or throws what it fails by, or what start throws.
// Throws TimeoutError when the deadline passes first; that, or a kill, leaves the operation to
// itself. What is done already costs no switch. BlockingInHub where it would have to park on the
// hub's own stack. LoopExit as from any wait: if no thread is left that could call it.
template <class T = void, class Start>
  requires std::invocable<Start, Callback<T>>
T await_callback(Start&& start, Deadline deadline = {}) {
  AsyncResult<T> result;
  std::invoke(std::forward<Start>(start), Callback<T>(result));
  return std::move(result).get(deadline);
}

}  // namespace fern
