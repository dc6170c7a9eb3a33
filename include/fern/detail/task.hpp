#pragma once

// How a typed callable gets into an untyped greenlet: a Task holds the callable, its arguments and
// later the result. A small one stands in the control block, and the greenlet gets a stack when its
// first turn comes; a larger one at the top of a stack that it gets at once. The functions below
// are core's side of it.
//
//     top of stack  | Task: result, callable, arguments |
//                   | frames of the greenlet, downwards  v
//     bottom        | guard page |

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/switch.hpp>

#include <cstddef>
#include <functional>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fern {

namespace core {
struct Greenlet;
}

// SpawnOptions: a name for dumps and messages; bytes of stack, rounded up to an odd number of
// pages, guard page included, 0 for the default of 260 KiB.
struct SpawnOptions {
  std::string_view name = {};
  std::size_t stack_size = 0;
};

namespace detail {

// run() is called once, on the greenlet's stack; abandon() instead of it when the greenlet is
// killed before it starts. Either leaves the callable destroyed. clear() destroys the result.
struct Task {
  virtual void run() = 0;
  virtual void abandon() noexcept = 0;
  virtual void clear() noexcept = 0;

 protected:
  ~Task() = default;
};

template <class T>
struct Result : Task {
  T* value() noexcept { return std::launder(reinterpret_cast<T*>(room)); }
  void clear() noexcept final {
    if (present) value()->~T();
  }
  static constexpr bool has_result = true;
  alignas(T) std::byte room[sizeof(T)];
  bool present = false;
};

template <>
struct Result<void> : Task {
  static constexpr bool has_result = false;
  void clear() noexcept final {}
};

template <class Fn, class... Args>
using ResultOf = std::remove_cv_t<
    std::remove_reference_t<std::invoke_result_t<std::decay_t<Fn>, std::decay_t<Args>...>>>;

template <class T, class Fn, class... Args>
struct Call final : Result<T> {
  template <class F, class... A>
  explicit Call(F&& f, A&&... args) : work{std::forward<F>(f), {std::forward<A>(args)...}} {}
  ~Call() {}  // the union's member is destroyed by run or abandon

  void run() override {
    struct Destroy {
      Call* call;
      ~Destroy() { call->work.~Work(); }
    } destroy{this};
    auto invoke = [this](Args&... args) -> decltype(auto) {
      return std::invoke(std::move(work.fn), std::move(args)...);
    };
    if constexpr (std::is_void_v<T>) {
      std::apply(invoke, work.args);
    } else {
      ::new (static_cast<void*>(this->room)) T(std::apply(invoke, work.args));
      this->present = true;
    }
  }
  void abandon() noexcept override { work.~Work(); }

  struct Work {
    Fn fn;
    [[no_unique_address]] std::tuple<Args...> args;
  };
  union {
    Work work;
  };
};

// allocate() makes a greenlet with room for a task of that size, and one count for its handle.
// give_back() undoes it. Throws std::bad_alloc.
struct Room {
  core::Greenlet* block;
  void* task;
};
FERN_API FERN_NOPLT Room allocate(std::size_t size, std::size_t align, const SpawnOptions& options);
FERN_API void give_back(core::Greenlet* block) noexcept;
FERN_API FERN_NOPLT void start(core::Greenlet* block) noexcept;
FERN_API void start_later(core::Greenlet* block, Deadline when);  // one allocation
FERN_API void start_detached(core::Greenlet* block) noexcept;
// run_inline() runs it to its end on the caller's stack, where there is no room to start it; throws
// only what was thrown at the caller meanwhile: a kill, or the error of a Timeout scope of its own.
FERN_API void run_inline(core::Greenlet* block, bool detached);
// set_task() tells it its task, and whether that has a result, to be cleared when nobody holds the
// greenlet any more.
FERN_API FERN_NOPLT void set_task(core::Greenlet* block, Task* task, bool has_result) noexcept;
FERN_API Task* task_of(core::Greenlet* block) noexcept;

// place() makes a task of a type on a new stack.
template <class Made, class... A>
core::Greenlet* place(const SpawnOptions& options, Made*& task, A&&... args) {
  Room room = allocate(sizeof(Made), alignof(Made), options);
  struct Undo {
    core::Greenlet* block;
    ~Undo() {
      if (block != nullptr) give_back(block);
    }
  } undo{room.block};
  task = ::new (room.task) Made(std::forward<A>(args)...);
  undo.block = nullptr;
  return room.block;
}

template <class T, class Fn, class... Args>
core::Greenlet* make(const SpawnOptions& options, Fn&& f, Args&&... args) {
  using Made = Call<T, std::decay_t<Fn>, std::decay_t<Args>...>;
  Made* task = nullptr;
  core::Greenlet* block = place(options, task, std::forward<Fn>(f), std::forward<Args>(args)...);
  set_task(block, task, Made::has_result);
  return block;
}

// Access makes handles of blocks; the one door for the library's own code.
struct Access {
  template <class Handle>
  static Handle adopt(core::Greenlet* block) noexcept {
    return Handle(block);
  }
  template <class Handle>
  static core::Greenlet* block(const Handle& handle) noexcept {
    return handle.block_;
  }
};

}  // namespace detail
}  // namespace fern
