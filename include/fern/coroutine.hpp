#pragma once

// C++20 coroutines and greenlets wait for each other.
//
// A coroutine of whatever type awaits a greenlet, or an AsyncResult, for what its get() gives:
//
//   Task<int> add() {
//     int a = co_await fern::spawn(fetch_number, "a");     // a temporary's result is moved out
//     int b = co_await result;                             // a reference, as get() gives
//     co_return a + b;
//   }
//
// It goes on in the thread that it awaited in, in a greenlet of its own of that thread's hub, so it
// may call what blocks. (So the thread has to run its hub: to wait for something of Fern's.) What
// has ended already does not suspend it. A coroutine that is destroyed meanwhile, in that thread,
// is not resumed any more; nor is one whose thread has ended.
//
// A greenlet waits for any awaitable:
//
//   int sum = fern::await(add());
//   Reply reply = fern::await(client.async_send(request), 5s);

#include <fern/async_result.hpp>
#include <fern/callback.hpp>
#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/greenlet.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace fern {
namespace detail {

inline bool has_ended(const AnyGreenlet& greenlet) { return !greenlet.valid() || greenlet.ready(); }
inline void wait_for_end(const AnyGreenlet& greenlet) { greenlet.join(); }
template <class T>
bool has_ended(const AsyncResult<T>& result) {
  return result.ready();
}
template <class T>
void wait_for_end(const AsyncResult<T>& result) {
  result.wait();
}

// EndAwaiter suspends a coroutine until the source has ended: a greenlet waits for that, and then
// runs the coroutine. Source is a handle; a reference in `Get` is what get() is called on.
template <class Source, class Get>
class EndAwaiter {
 public:
  explicit EndAwaiter(Source source) noexcept : source_(std::move(source)) {}
  EndAwaiter(const EndAwaiter&) = delete;
  EndAwaiter& operator=(const EndAwaiter&) = delete;
  ~EndAwaiter() {
    if (suspended_ == nullptr || !*suspended_) return;
    *suspended_ = nullptr;  // it is destroyed, not resumed
    if (waiter_.valid()) waiter_.kill({.block = false});
  }

  bool await_ready() const { return has_ended(source_); }
  void await_suspend(std::coroutine_handle<> coroutine) {
    suspended_ = std::make_shared<std::coroutine_handle<>>(coroutine);
    waiter_ = spawn([source = source_, suspended = suspended_]() mutable {
      wait_for_end(source);
      source = {};
      if (auto coroutine = std::exchange(*suspended, nullptr)) coroutine.resume();
    });
  }
  decltype(auto) await_resume() { return static_cast<Get>(source_).get(); }

 private:
  Source source_;
  std::shared_ptr<std::coroutine_handle<>> suspended_;  // null once it has been resumed
  AnyGreenlet waiter_;
};

}  // namespace detail

// co_await greenlet and co_await result: as get() without a deadline.
inline auto operator co_await(const AnyGreenlet& greenlet) {
  return detail::EndAwaiter<AnyGreenlet, const AnyGreenlet&>(greenlet);
}
template <class T>
auto operator co_await(const Greenlet<T>& greenlet) {
  return detail::EndAwaiter<Greenlet<T>, const Greenlet<T>&>(greenlet);
}
template <class T>
auto operator co_await(Greenlet<T>&& greenlet) {
  return detail::EndAwaiter<Greenlet<T>, Greenlet<T>&&>(std::move(greenlet));
}
template <class T>
auto operator co_await(const AsyncResult<T>& result) {
  return detail::EndAwaiter<AsyncResult<T>, const AsyncResult<T>&>(result);
}
template <class T>
auto operator co_await(AsyncResult<T>&& result) {
  return detail::EndAwaiter<AsyncResult<T>, AsyncResult<T>&&>(std::move(result));
}

namespace detail {

template <class A>
concept Awaiter = requires(A& awaiter) {
  awaiter.await_ready() ? 0 : 0;
  awaiter.await_resume();
};

template <class A>
decltype(auto) awaiter_of(A&& awaitable) {
  if constexpr (requires { std::forward<A>(awaitable).operator co_await(); }) {
    return std::forward<A>(awaitable).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(awaitable)); }) {
    return operator co_await(std::forward<A>(awaitable));
  } else {
    return std::forward<A>(awaitable);
  }
}

template <class A>
concept Awaitable = requires(A&& awaitable) {
  { awaiter_of(std::forward<A>(awaitable)) } -> Awaiter;
};

// What co_await gives; what await() gives, for an rvalue refers into what is gone by then; and how
// that is kept in between.
template <class A>
using AwaitedAs = decltype(awaiter_of(std::declval<A>()).await_resume());
template <class A>
using Awaited = std::conditional_t<std::is_rvalue_reference_v<AwaitedAs<A>>,
                                   std::remove_cvref_t<AwaitedAs<A>>, AwaitedAs<A>>;
template <class A>
using AwaitedKept =
    std::conditional_t<std::is_lvalue_reference_v<Awaited<A>>, std::add_pointer_t<Awaited<A>>,
                       std::remove_cv_t<Awaited<A>>>;

// Driven is a coroutine that nobody owns: its frame goes when it has run to its end.
struct Driven {
  struct promise_type {
    Driven get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

// drive() awaits the awaitable, an rvalue in its own frame, and then calls done. That comes last:
// whoever waits may destroy an lvalue as soon as it goes on.
template <class A>
Driven drive(A awaitable, Callback<AwaitedKept<A&&>> done) {
  using Kept = AwaitedKept<A&&>;
  std::optional<Stored<Kept>> value;
  std::exception_ptr error;
  try {
    if constexpr (std::is_void_v<Kept>) {
      co_await std::forward<A>(awaitable);
    } else if constexpr (std::is_lvalue_reference_v<Awaited<A&&>>) {
      Awaited<A&&> result = co_await std::forward<A>(awaitable);
      value.emplace(std::addressof(result));
    } else {
      value.emplace(co_await std::forward<A>(awaitable));
    }
  } catch (...) {
    error = std::current_exception();
  }
  if (error != nullptr) {
    done.fail(std::move(error));
  } else if constexpr (std::is_void_v<Kept>) {
    done();
  } else {
    done(std::move(*value));
  }
}

}  // namespace detail

// await() blocks until the awaitable has completed, in whatever thread, and gives what co_await
// would, or throws what it would. It begins in the calling greenlet, as a call does: what it does
// before it suspends blocks that one and meets its kills. After that TimeoutError is thrown when
// the deadline passes first; that, or a kill, leaves the awaitable to itself. An rvalue lives on
// until it has completed; an lvalue has to be kept alive until then. BlockingInHub and LoopExit as
// await_callback().
template <detail::Awaitable A>
detail::Awaited<A&&> await(A&& awaitable, Deadline deadline = {}) {
  using Kept = detail::AwaitedKept<A&&>;
  auto start = [&](Callback<Kept> done) {
    detail::drive<A>(std::forward<A>(awaitable), std::move(done));
  };
  if constexpr (std::is_lvalue_reference_v<detail::Awaited<A&&>>) {
    return *await_callback<Kept>(start, deadline);
  } else {
    return await_callback<Kept>(start, deadline);
  }
}

}  // namespace fern
