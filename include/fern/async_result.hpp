#pragma once

// An AsyncResult is a place for one value, or one exception, that somebody sets and any number of
// greenlets get.
//
//   fern::AsyncResult<Page> page;
//   std::thread([page] {
//     try {
//       page.set(download());
//     } catch (...) {
//       page.set_exception(std::current_exception());
//     }
//   }).detach();
//   show(page.get(5s));          // waits; rethrows the exception
//
// It is a handle: copies share the place, which goes with the last of them. Copies may be used in
// any greenlet of any hub, any plain thread and any Hub::post callback at once.
//
// A second set() replaces the first for those who get later; references already given stay valid
// as long as a handle is left. A value, once set, is preferred to an exception. (gevent's.)

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/async_state.hpp>
#include <fern/detail/function.hpp>

#include <concepts>
#include <exception>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace fern {

class Waitable;

template <class T>
class AsyncResult {
 public:
  using value_type = T;

  // Makes a new place, with nothing in it: one allocation.
  AsyncResult() : state_(std::make_shared<State>()) {}

  // set() puts a value there and wakes who waits, first come first. Never switches.
  template <class U = T>
    requires(!std::is_void_v<T> && std::constructible_from<detail::Stored<T>, U>)
  void set(U&& value) const {
    put(true, std::forward<U>(value));
  }
  void set() const
    requires std::is_void_v<T>
  {
    put(true);
  }

  // try_set() does so if neither a value nor an exception was set, and tells. If another thread
  // sets at the same moment, `value` may be gone although the answer is false.
  template <class U = T>
    requires(!std::is_void_v<T> && std::constructible_from<detail::Stored<T>, U>)
  bool try_set(U&& value) const {
    return !ready() && put(false, std::forward<U>(value));
  }
  bool try_set() const
    requires std::is_void_v<T>
  {
    return !ready() && put(false);
  }

  // set_exception() puts an exception there, by pointer or as it is, for get() to throw: the same
  // object to all. A null pointer is a std::invalid_argument. Never switches.
  void set_exception(std::exception_ptr exception) const {
    fire(state().publish(std::move(exception)).links);
  }
  template <class E>
    requires(!std::convertible_to<E, std::exception_ptr>)
  void set_exception(E&& exception) const {
    set_exception(std::make_exception_ptr(std::forward<E>(exception)));
  }

  // get() waits until something is set, then gives the value by reference, to any number of
  // callers; on an rvalue handle it moves the value out. Rethrows the exception. Throws
  // TimeoutError when the deadline passes first, BlockingInHub where it would have to park on the
  // hub's own stack. What is set already costs no switch. A kill ends the wait.
  std::add_lvalue_reference_t<T> get(Deadline deadline = {}) const& {
    auto* value = static_cast<detail::Stored<T>*>(state().get(deadline));
    if constexpr (!std::is_void_v<T>) return *value;
  }
  T get(Deadline deadline = {}) && {
    auto* value = static_cast<detail::Stored<T>*>(state().get(deadline));
    if constexpr (!std::is_void_v<T>) return std::move(*value);
  }

  // wait() blocks as get() does, but tells: false when the deadline passes first.
  bool wait(Deadline deadline = {}) const { return state().wait(deadline); }

  bool ready() const { return state().ready(); }                  // something is set
  bool successful() const { return state().value() != nullptr; }  // and it is a value

  // value() points to the value, null while there is none.
  std::add_pointer_t<T> value() const
    requires(!std::is_void_v<T>)
  {
    return static_cast<T*>(state().value());
  }

  // exception() is the exception that was set, null if none was.
  std::exception_ptr exception() const { return state().exception(); }

  // link() calls f with a handle when something is set, in a new greenlet of the calling thread's
  // hub, after the waiters in order with other links; at the next turn if it is set already. Never
  // switches. If that thread ends first, f is not called.
  template <std::invocable<AsyncResult> Fn>
  void link(Fn&& f) const {
    fire(state().add_link(std::make_unique<Link>(std::forward<Fn>(f))));
  }

 private:
  friend struct detail::AsyncAccess;
  friend class Waitable;
  using State = detail::AsyncValue<T>;

  struct Link final : detail::AsyncLink {
    explicit Link(detail::Function<void(AsyncResult)> f) : f(std::move(f)) {}
    detail::Function<void(AsyncResult)> f;
  };

  State& state() const {
    if (state_ == nullptr) throw std::logic_error("AsyncResult: this handle was moved from");
    return *state_;
  }

  template <class... U>
  bool put(bool replace, U&&... value) const {
    auto& box = state().make(std::forward<U>(value)...);
    auto published = state().publish(box, replace);
    if (!published.done) state().discard(box);
    fire(std::move(published.links));
    return published.done;
  }

  // Starts the links, first come first, each with a handle of its own.
  void fire(std::unique_ptr<detail::AsyncLink> links) const {
    while (links != nullptr) {
      auto rest = std::move(links->next);
      Hub& hub = *links->hub;
      detail::spawn_in(hub, [link = std::move(links), result = *this]() mutable {
        static_cast<Link&>(*link).f(std::move(result));
      });
      links = std::move(rest);
    }
  }

  std::shared_ptr<State> state_;
};

}  // namespace fern
