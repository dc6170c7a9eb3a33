#pragma once

// Function<R(Args...)> is a move-only callable, as std::move_only_function in C++23. Callables of
// three words or less that move without throwing are kept inside; larger ones on the heap.

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace fern::detail {

template <class Signature>
class Function;

template <class R, class... Args>
class Function<R(Args...)> {
 public:
  Function() noexcept = default;
  Function(std::nullptr_t) noexcept {}

  template <class Fn, class Stored = std::decay_t<Fn>>
    requires(!std::is_same_v<Stored, Function> && std::is_invocable_r_v<R, Stored&, Args...>)
  Function(Fn&& fn) {
    if constexpr (fits<Stored>) {
      ::new (static_cast<void*>(room_)) Stored(std::forward<Fn>(fn));
      ops_ = &inside<Stored>;
    } else {
      ::new (static_cast<void*>(room_)) Stored*(new Stored(std::forward<Fn>(fn)));
      ops_ = &outside<Stored>;
    }
  }

  Function(Function&& other) noexcept : ops_(other.ops_) {
    if (ops_ != nullptr) ops_->move(other.room_, room_);
    other.ops_ = nullptr;
  }
  Function& operator=(Function&& other) noexcept {
    if (this != &other) {
      reset();
      ops_ = other.ops_;
      if (ops_ != nullptr) ops_->move(other.room_, room_);
      other.ops_ = nullptr;
    }
    return *this;
  }
  ~Function() { reset(); }

  explicit operator bool() const noexcept { return ops_ != nullptr; }

  // Calling an empty one throws std::bad_function_call.
  R operator()(Args... args) {  // NOLINT(performance-unnecessary-value-param): it forwards them
    if (ops_ == nullptr) throw std::bad_function_call();
    return ops_->call(room_, std::forward<Args>(args)...);
  }

 private:
  struct Ops {
    R (*call)(void*, Args&&...);
    void (*move)(void* from, void* to) noexcept;
    void (*destroy)(void*) noexcept;
  };

  static constexpr std::size_t room_size = 3 * sizeof(void*);

  template <class Fn>
  static constexpr bool fits = sizeof(Fn) <= room_size && alignof(Fn) <= alignof(void*) &&
                               std::is_nothrow_move_constructible_v<Fn>;

  template <class Fn>
  static R invoke(Fn& fn, Args&&... args) {
    if constexpr (std::is_void_v<R>) {
      std::invoke(fn, std::forward<Args>(args)...);
    } else {
      return std::invoke(fn, std::forward<Args>(args)...);
    }
  }

  template <class Fn>
  static constexpr Ops inside{[](void* room, Args&&... args) -> R {
                                return invoke(*static_cast<Fn*>(room), std::forward<Args>(args)...);
                              },
                              [](void* from, void* to) noexcept {
                                ::new (to) Fn(std::move(*static_cast<Fn*>(from)));
                                static_cast<Fn*>(from)->~Fn();
                              },
                              [](void* room) noexcept { static_cast<Fn*>(room)->~Fn(); }};

  template <class Fn>
  static constexpr Ops outside{
      [](void* room, Args&&... args) -> R {
        return invoke(**static_cast<Fn**>(room), std::forward<Args>(args)...);
      },
      [](void* from, void* to) noexcept { ::new (to) Fn*(*static_cast<Fn**>(from)); },
      [](void* room) noexcept { delete *static_cast<Fn**>(room); }};

  void reset() noexcept {
    if (ops_ != nullptr) ops_->destroy(room_);
    ops_ = nullptr;
  }

  const Ops* ops_ = nullptr;
  alignas(void*) std::byte room_[room_size];
};

}  // namespace fern::detail
