#pragma once

// A ScopedGreenlet ends with its scope, so that it may use what is around it:
//
//   void download(const std::vector<Url>& urls) {
//     Progress progress(urls.size());
//     fern::ScopedGreenlet ticker([&] {
//       for (;; fern::sleep(1s)) progress.show();
//     });
//     for (auto& url : urls) progress.add(fetch(url));   // may throw, or be killed
//   }                                                     // ticker is killed and has ended here
//
// At the scope's end, however it comes, the greenlet is killed if it has not ended, and waited for.
// One whose result matters is joined, or asked with get(), before that. What is thrown at the
// waiting greenlet meanwhile, a kill or an expired Timeout, comes at its next wait.
//
// with_greenlet() is the other way to tie a greenlet to a piece of code: it waits for it.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/task.hpp>
#include <fern/greenlet.hpp>

#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

namespace fern {

namespace detail {
// end_scope() kills the greenlet by the exception, or a GreenletExit, and waits until it has ended,
// shielded. If it does not for longer than the limit, or if the caller cannot wait for it, that is
// said on stderr.
FERN_API void end_scope(const AnyGreenlet& greenlet, std::exception_ptr exception,
                        std::chrono::nanoseconds limit) noexcept;

template <class Body, class Handle>
struct BodyCall : std::invoke_result<Body> {};
template <class Body, class Handle>
  requires std::invocable<Body, const Handle&>
struct BodyCall<Body, Handle> : std::invoke_result<Body, const Handle&> {};
template <class Body, class Handle>
using BodyResult = typename BodyCall<Body, Handle>::type;
}  // namespace detail

// Move-only; the scope goes along. Empty once moved from or released.
template <class T>
class ScopedGreenlet {
 public:
  ScopedGreenlet() noexcept = default;

  // Spawns f(args...) as spawn() does, or takes a greenlet that exists.
  template <class Fn, class... Args>
    requires(std::invocable<std::decay_t<Fn>, std::decay_t<Args>...> &&
             std::same_as<detail::ResultOf<Fn, Args...>, T>)
  explicit ScopedGreenlet(Fn&& f, Args&&... args)
      : greenlet_(spawn(std::forward<Fn>(f), std::forward<Args>(args)...)) {}
  template <class Fn, class... Args>
    requires(std::invocable<std::decay_t<Fn>, std::decay_t<Args>...> &&
             std::same_as<detail::ResultOf<Fn, Args...>, T>)
  explicit ScopedGreenlet(const SpawnOptions& options, Fn&& f, Args&&... args)
      : greenlet_(spawn(options, std::forward<Fn>(f), std::forward<Args>(args)...)) {}
  explicit ScopedGreenlet(Greenlet<T> greenlet) noexcept : greenlet_(std::move(greenlet)) {}

  ScopedGreenlet(ScopedGreenlet&& other) noexcept
      : greenlet_(std::move(other.greenlet_)), limit_(other.limit_) {}
  ScopedGreenlet& operator=(ScopedGreenlet&& other) noexcept {
    if (this != &other) {
      end();
      greenlet_ = std::move(other.greenlet_);
      limit_ = other.limit_;
    }
    return *this;
  }

  // On the hub's own stack, and in the greenlet itself, it kills, but cannot wait.
  ~ScopedGreenlet() { end(); }

  // greenlet() is a handle to it, to join, kill, link or name it.
  const Greenlet<T>& greenlet() const noexcept { return greenlet_; }

  // join(), get() and kill() are the greenlet's own.
  bool join(Deadline deadline = {}) const { return greenlet_.join(deadline); }
  decltype(auto) get(Deadline deadline = {}) const& { return greenlet_.get(deadline); }
  T get(Deadline deadline = {}) && { return std::move(greenlet_).get(deadline); }
  bool kill(const KillOptions& options = {}) const { return greenlet_.kill(options); }

  // set_limit() is how long the end of the scope waits for a greenlet that refuses to end: for ever
  // unless set. What it used of the scope is gone afterwards, so let it own what it uses.
  void set_limit(std::chrono::nanoseconds limit) noexcept { limit_ = limit; }

  // release() lets the greenlet go on without the scope.
  Greenlet<T> release() noexcept { return std::exchange(greenlet_, {}); }

 private:
  void end() noexcept {
    if (greenlet_.valid()) detail::end_scope(std::exchange(greenlet_, {}), nullptr, limit_);
  }

  Greenlet<T> greenlet_;
  std::chrono::nanoseconds limit_ = std::chrono::nanoseconds::max();
};

template <class Fn, class... Args>
  requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
ScopedGreenlet(Fn&&, Args&&...) -> ScopedGreenlet<detail::ResultOf<Fn, Args...>>;
template <class Fn, class... Args>
  requires std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>
ScopedGreenlet(const SpawnOptions&, Fn&&, Args&&...)
    -> ScopedGreenlet<detail::ResultOf<Fn, Args...>>;

// with_greenlet() calls body(greenlet), or body(), and returns its result when the greenlet has
// ended as well:
//
//   fern::with_greenlet(fern::spawn(receive, socket), [&] { send_all(socket); });
//
// If the body throws, or the wait does (a kill, a Timeout), the greenlet is killed by that very
// exception, it is waited for, and the exception goes on. A greenlet's own failure is not thrown
// here: get() tells. (gevent's `with greenlet:`.)
template <class T, class Body>
  requires(std::invocable<Body, const Greenlet<T>&> || std::invocable<Body>)
auto with_greenlet(Greenlet<T> greenlet, Body&& body) -> detail::BodyResult<Body, Greenlet<T>> {
  using R = detail::BodyResult<Body, Greenlet<T>>;
  auto call = [&]() -> R {
    if constexpr (std::invocable<Body, const Greenlet<T>&>) {
      return std::invoke(std::forward<Body>(body), std::as_const(greenlet));
    } else {
      return std::invoke(std::forward<Body>(body));
    }
  };
  try {
    if constexpr (std::is_void_v<R>) {
      call();
      greenlet.join();
    } else {
      R result = call();
      greenlet.join();
      return static_cast<R>(std::forward<R>(result));
    }
  } catch (...) {
    detail::end_scope(greenlet, std::current_exception(), std::chrono::nanoseconds::max());
    throw;
  }
}

}  // namespace fern
