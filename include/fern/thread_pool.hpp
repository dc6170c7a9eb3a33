#pragma once

// Blocking work, on threads, while the other greenlets run:
//
//   std::string text = fern::in_thread([&] { return read_file(path); });   // waits for it
//
//   fern::ThreadPool pool(4);                                              // at most four at once
//   fern::AsyncResult<Image> small = pool.spawn(shrink, image);            // goes on at once
//   for (Image& each : pool.imap(load, paths)) show(each);
//
// The function runs in another OS thread: other thread_local objects, other locks, no greenlets
// around it; it may block, and may use Fern as any thread may. Threads are made when they are
// needed, have signals blocked, and end after ten idle seconds; a forked child makes its own.
//
// in_thread() and apply() return only when the function has ended, since it may use the caller's
// stack: a kill or an expired Timeout waits for that, too, and is delivered at the next wait.
// spawn() owns what it was given, and may be left alone.

#include <fern/async_result.hpp>
#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/mapping.hpp>
#include <fern/detail/thread_task.hpp>
#include <fern/imap.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace fern {

// in_thread() calls f(args...) in a thread of the process's own pool, at most 32 at once, and
// waits for what it returns; rethrows what it throws. In such a thread already, it just calls.
// Throws BlockingInHub, and std::system_error when there is no thread and none can be made.
template <class Fn, class... Args>
  requires std::invocable<Fn, Args...>
auto in_thread(Fn&& f, Args&&... args) {
  auto call = [&]() -> decltype(auto) {
    return std::invoke(std::forward<Fn>(f), std::forward<Args>(args)...);
  };
  return detail::call_in_thread(nullptr, "in_thread()", call);
}

// ThreadPool has threads of its own. Any thread may use it. ~ThreadPool waits for nobody: what was
// given to it still runs.
class FERN_API ThreadPool {
 public:
  // At most so many threads at once; std::invalid_argument unless it is positive.
  explicit ThreadPool(std::ptrdiff_t size = 10);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  std::size_t size() const noexcept { return size_; }
  std::size_t pending() const noexcept { return detail::pending_in(*threads_); }  // not yet ended

  // spawn() queues a call of f(args...), copied or moved, and never waits, however long the queue:
  // imap() reads no faster than the threads work. The result holds what the call returns or throws;
  // an exception that nobody has read when the last handle goes is printed. Throws std::logic_error
  // after shutdown(), and std::system_error when there is no thread and none can be made.
  template <class Fn, class... Args>
    requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
  auto spawn(Fn&& f, Args&&... args) {
    using R = detail::ResultOf<Fn, Args...>;
    using Made = detail::SpawnedInThread<R, std::decay_t<Fn>, std::decay_t<Args>...>;
    auto task = std::make_unique<Made>(std::forward<Fn>(f), std::forward<Args>(args)...);
    AsyncResult<R> result = task->result;
    detail::submit(threads_, std::move(task));
    return result;
  }

  // apply() calls f(args...) and waits for what it returns, as in_thread() does. A call in the pool
  // that itself applies or maps does that at once, in its own thread.
  template <class Fn, class... Args>
    requires std::invocable<Fn, Args...>
  auto apply(Fn&& f, Args&&... args) {
    auto call = [&]() -> decltype(auto) {
      return std::invoke(std::forward<Fn>(f), std::forward<Args>(args)...);
    };
    return detail::call_in_thread(threads_, "ThreadPool::apply()", call);
  }

  // map() calls f with each element of the range and returns all results in order. The first
  // failure in that order is thrown, when all have begun; the others run on. imap() and
  // imap_unordered() do it lazily: see imap.hpp, where the calls are in threads here, and f is
  // called by several of them at once.
  template <class Fn, class... Ranges>
    requires detail::Mappable<Fn, Ranges...>
  auto map(Fn&& f, Ranges&&... ranges) {
    return detail::map_eagerly(size_, nullptr, here(std::forward<Fn>(f)),
                               std::forward<Ranges>(ranges)...);
  }
  template <class Fn, class... Ranges>
    requires detail::Mappable<Fn, Ranges...>
  auto imap(Fn&& f, Ranges&&... ranges) {
    return Imap(detail::map_lazily(detail::Feed::Order::Input, size_, nullptr,
                                   here(std::forward<Fn>(f)), std::forward<Ranges>(ranges)...));
  }
  template <class Fn, class... Ranges>
    requires detail::Mappable<Fn, Ranges...>
  auto imap_unordered(Fn&& f, Ranges&&... ranges) {
    return Imap(detail::map_lazily(detail::Feed::Order::Completion, size_, nullptr,
                                   here(std::forward<Fn>(f)), std::forward<Ranges>(ranges)...));
  }

  // waitall() waits until nothing is pending; false when the deadline passes first. A call in the
  // pool that waits so without a deadline gets a GreenletError.
  bool waitall(Deadline deadline = {}) { return detail::wait_for_threads(*threads_, deadline); }

  // shutdown() takes no more work, and waits as waitall() does.
  bool shutdown(Deadline deadline = {}) { return detail::shut_threads(*threads_, deadline); }

 private:
  template <class Fn>
  auto here(Fn&& f) {
    return detail::InThread<std::decay_t<Fn>>{threads_, std::forward<Fn>(f)};
  }

  std::size_t size_;
  std::shared_ptr<detail::Threads> threads_;
};

}  // namespace fern
