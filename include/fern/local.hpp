#pragma once

// A GreenletLocal has one value in each greenlet, as a thread_local has in each thread.
//
//   fern::GreenletLocal<std::string> user("nobody");     // so it begins everywhere
//   fern::GreenletLocal<Session> session([] { return open_session(); });
//   void handle(Request request) {
//     *user = request.user;                              // this greenlet's only
//     session->touch();
//   }
//
// A value is made when its greenlet first asks for it, from the arguments or by the function given
// to the constructor, and destroyed on that greenlet's stack when it ends, the youngest first. The
// main greenlet, that is the thread itself, has values too; they go with the thread.
//
// One GreenletLocal may be used in every hub and thread; the function is then called in several at
// once. Destroying it destroys the calling greenlet's value now, the others' when they end.

#include <fern/config.hpp>
#include <fern/detail/function.hpp>

#include <concepts>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fern {
namespace detail {

// LocalKey is a GreenletLocal's identity. Every value holds on to it, so that an address is not
// used again while an old value has it. A value is destroyed through its own function.
class FERN_API LocalKey {
 public:
  using Destroy = void (*)(void* value) noexcept;

  LocalKey();
  LocalKey(const LocalKey&) = delete;
  LocalKey& operator=(const LocalKey&) = delete;
  ~LocalKey();

  // find() is the calling greenlet's value, null if there is none. add() keeps one until the
  // greenlet ends. drop() destroys the calling greenlet's.
  void* find() const;
  void add(void* value, Destroy destroy);
  void drop() noexcept;

  struct Shared;

 private:
  Shared* shared_;
};

}  // namespace detail

template <class T>
class GreenletLocal {
 public:
  using value_type = T;

  // Each value is made by calling f().
  template <std::invocable Fn>
    requires(std::same_as<std::invoke_result_t<Fn&>, T> ||
             std::convertible_to<std::invoke_result_t<Fn&>, T>)
  explicit GreenletLocal(Fn f) : make_([f = std::move(f)]() mutable { return new T(f()); }) {}

  // Each value is made from copies of these arguments; without any, as T().
  template <class... Args>
    requires std::constructible_from<T, const std::decay_t<Args>&...>
  explicit GreenletLocal(Args&&... args)
      : make_([args = std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)] {
          return std::apply([](const auto&... each) { return new T(each...); }, args);
        }) {}

  GreenletLocal(const GreenletLocal&) = delete;
  GreenletLocal& operator=(const GreenletLocal&) = delete;

  // get() is the calling greenlet's value, made now if this is the first time; it stays where it
  // is until the greenlet ends. Throws what making it throws, and may switch only if that does.
  T& get() {
    if (void* value = key_.find()) return *static_cast<T*>(value);
    return make();
  }
  T& operator*() { return get(); }
  T* operator->() { return &get(); }

  // reset() destroys the calling greenlet's value, if there is one: the next get() makes another.
  void reset() noexcept { key_.drop(); }

 private:
  T& make() {
    std::unique_ptr<T> value(make_());
    key_.add(value.get(), [](void* made) noexcept { delete static_cast<T*>(made); });
    return *value.release();
  }

  detail::LocalKey key_;
  detail::Function<T*()> make_;
};

}  // namespace fern
