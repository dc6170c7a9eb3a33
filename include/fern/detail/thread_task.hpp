#pragma once

// What a ThreadPool's threads run: the typed call, behind a few functions of the library's.

#include <fern/async_result.hpp>
#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/task.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fern::detail {

// Threads is a pool's threads, its queue and the count of what is to be done; null is the
// process's own. Shared by the ThreadPool and the jobs.
struct Threads;
FERN_API std::shared_ptr<Threads> make_threads(std::size_t most);

// ThreadTask is a job that runs without anybody waiting for it: work() in a thread, then publish()
// there, and then it is destroyed.
struct ThreadTask {
  virtual ~ThreadTask() = default;
  virtual void work() noexcept = 0;
  virtual void publish() noexcept = 0;
};
FERN_API void submit(const std::shared_ptr<Threads>& threads, std::unique_ptr<ThreadTask> task);

// run_in_thread() calls call(context) in a thread and parks until it has ended, whatever happens
// meanwhile; rethrows what it threw.
FERN_API void run_in_thread(const std::shared_ptr<Threads>& threads, void (*call)(void*),
                            void* context, const char* what);

FERN_API bool wait_for_threads(Threads& threads, Deadline deadline);
FERN_API bool shut_threads(Threads& threads, Deadline deadline);
FERN_API std::size_t pending_in(const Threads& threads) noexcept;
FERN_API bool in_thread_of(const Threads& threads) noexcept;  // the calling thread is one of them

// call_in_thread() is run_in_thread() for any callable; all of it stays on the caller's stack.
template <class Fn>
auto call_in_thread(const std::shared_ptr<Threads>& threads, const char* what, Fn&& fn) {
  using R = std::decay_t<std::invoke_result_t<Fn&>>;
  if constexpr (std::is_void_v<R>) {
    auto call = [](void* context) { (*static_cast<std::remove_reference_t<Fn>*>(context))(); };
    run_in_thread(threads, call, std::addressof(fn), what);
  } else {
    struct Call {
      std::remove_reference_t<Fn>& fn;
      std::optional<R> result;
    } made{fn, std::nullopt};
    auto call = [](void* context) {
      auto* self = static_cast<Call*>(context);
      self->result.emplace(self->fn());
    };
    run_in_thread(threads, call, &made, what);
    return R(std::move(*made.result));
  }
}

// A spawned call and where its result goes.
template <class R, class Fn, class... Args>
struct SpawnedInThread final : ThreadTask {
  template <class F, class... A>
  explicit SpawnedInThread(F&& f, A&&... args)
      : call(std::in_place, std::forward<F>(f), std::tuple<Args...>(std::forward<A>(args)...)) {
    AsyncAccess::state(result).report_unread("a call in a ThreadPool");
  }

  void work() noexcept override {
    try {
      auto invoke = [this](Args&... args) -> decltype(auto) {
        return std::invoke(std::move(call->first), std::move(args)...);
      };
      if constexpr (std::is_void_v<R>) {
        std::apply(invoke, call->second);
      } else {
        value.emplace(std::apply(invoke, call->second));
      }
    } catch (...) {
      error = std::current_exception();
    }
    call.reset();
  }

  void publish() noexcept override {
    if (error != nullptr) {
      result.set_exception(std::move(error));
    } else if constexpr (std::is_void_v<R>) {
      result.set();
    } else {
      result.set(std::move(*value));
    }
  }

  std::optional<std::pair<Fn, std::tuple<Args...>>> call;
  std::optional<Stored<R>> value;
  std::exception_ptr error;
  AsyncResult<R> result;
};

// InThread calls f in a thread of the pool: the function of its map and imap. A map made in such a
// thread is done there: it would wait for another one, and all of them might.
template <class Fn>
struct InThread {
  std::shared_ptr<Threads> threads;
  Fn fn;
  bool at_once = in_thread_of(*threads);

  template <class... Args>
    requires std::invocable<Fn&, Args...>
  auto operator()(Args&&... args) {
    auto call = [&]() -> decltype(auto) { return std::invoke(fn, std::forward<Args>(args)...); };
    return at_once ? std::decay_t<decltype(call())>(call())
                   : call_in_thread(threads, "ThreadPool::map()", call);
  }
};

}  // namespace fern::detail
