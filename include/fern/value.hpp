#pragma once

// Value is what one greenlet hands another in a switch by hand: nothing, or one object of any type
// that can be moved. Several arguments travel as one std::tuple.
//
//   fern::Value value(std::string("hello"));
//   std::string& text = value.get<std::string>();   // std::bad_any_cast if it is something else
//   std::string mine = value.take<std::string>();   // moved out: now value.empty()
//
// It moves and is not copied. Objects of three words or less that move without throwing stand
// inside; larger ones on the heap. The type must be the very one that went in: a const char* is no
// std::string and an int no long. Nothing here switches; a Value is as thread-safe as an int.

#include <fern/config.hpp>

#include <any>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace fern {

namespace detail {

struct ValueAccess;

// How to treat what a Value holds. The signal holds nothing: it says that more came than a value.
struct ValueOps {
  const std::type_info* type = nullptr;
  void (*move)(void* from, void* to) noexcept = nullptr;  // null: its bytes may be copied
  void (*destroy)(void* room) noexcept = nullptr;         // null: there is nothing to destroy
  bool signal = false;
};

}  // namespace detail

class Value {
 public:
  Value() noexcept {}  // not defaulted: that would clear the room each time

  // A Value of an object holds a copy of it, or what was moved from it.
  template <class T, class Stored = std::decay_t<T>>
    requires(!std::is_same_v<Stored, Value> && std::is_move_constructible_v<Stored>)
  explicit Value(T&& object) {
    if constexpr (inside<Stored>) {
      std::construct_at(reinterpret_cast<Stored*>(room_), std::forward<T>(object));
    } else {
      std::construct_at(reinterpret_cast<Stored**>(room_), new Stored(std::forward<T>(object)));
    }
    ops_ = &ops<Stored>;
  }

  Value(Value&& other) noexcept { move_from(other); }
  Value& operator=(Value&& other) noexcept {
    if (this != &other) {
      destroy();
      move_from(other);
    }
    return *this;
  }
  ~Value() { destroy(); }

  bool empty() const noexcept { return ops_ == nullptr; }

  // get() is the object inside. Throws std::bad_any_cast if there is none, or one of another type.
  template <class T>
  T& get() {
    if (T* held = get_if<T>()) return *held;
    throw std::bad_any_cast();
  }
  template <class T>
  const T& get() const {
    return const_cast<Value*>(this)->get<T>();
  }

  // get_if() is get(), but null instead of throwing.
  template <class T>
  T* get_if() noexcept {
    static_assert(std::is_same_v<T, std::decay_t<T>>, "a Value holds plain objects");
    if (!holds<T>()) return nullptr;
    if constexpr (inside<T>) {
      return std::launder(reinterpret_cast<T*>(room_));
    } else {
      return *std::launder(reinterpret_cast<T**>(room_));
    }
  }
  template <class T>
  const T* get_if() const noexcept {
    return const_cast<Value*>(this)->get_if<T>();
  }

  // take() moves the object out and leaves the Value empty. Throws as get().
  template <class T>
  T take() {
    T taken = std::move(get<T>());
    destroy();
    ops_ = nullptr;
    return taken;
  }

 private:
  friend struct detail::ValueAccess;

  static constexpr std::size_t room_size = 3 * sizeof(void*);

  template <class T>
  static constexpr bool inside = sizeof(T) <= room_size && alignof(T) <= alignof(void*) &&
                                 std::is_nothrow_move_constructible_v<T>;

  template <class T>
  static void move_object(void* from, void* to) noexcept {
    auto* object = static_cast<T*>(from);
    std::construct_at(static_cast<T*>(to), std::move(*object));
    std::destroy_at(object);
  }
  template <class T>
  static void destroy_object(void* room) noexcept {
    std::destroy_at(static_cast<T*>(room));
  }
  template <class T>
  static void delete_object(void* room) noexcept {
    delete *static_cast<T**>(room);
  }

  template <class T>
  static constexpr detail::ValueOps make_ops() noexcept {
    detail::ValueOps made;
    made.type = &typeid(T);
    if constexpr (!inside<T>) {
      made.destroy = &delete_object<T>;
    } else if constexpr (!std::is_trivially_copyable_v<T>) {
      made.move = &move_object<T>;
      made.destroy = &destroy_object<T>;
    }
    return made;
  }
  template <class T>
  static constexpr detail::ValueOps ops = make_ops<T>();

  // By name as well: two libraries may each have their own table for a type.
  template <class T>
  bool holds() const noexcept {
    return ops_ != nullptr &&
           (ops_ == &ops<T> || (ops_->type != nullptr && *ops_->type == typeid(T)));
  }

  void move_from(Value& other) noexcept {
    ops_ = std::exchange(other.ops_, nullptr);
    if (ops_ == nullptr) return;
    if (ops_->move == nullptr) {
      std::memcpy(room_, other.room_, room_size);
    } else {
      ops_->move(other.room_, room_);
    }
  }
  void destroy() noexcept {
    if (ops_ != nullptr && ops_->destroy != nullptr) ops_->destroy(room_);
  }

  const detail::ValueOps* ops_ = nullptr;
  alignas(void*) std::byte room_[room_size];
};

}  // namespace fern
