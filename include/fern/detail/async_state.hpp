#pragma once

// What an AsyncResult's handles share. AsyncState is all of it that does not depend on the type;
// values stand in boxes, the first of them inside the AsyncValue itself. A box that was published
// stays until the last handle goes, so that references to a replaced value do not dangle.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/function.hpp>
#include <fern/detail/wait_queue.hpp>
#include <fern/hub.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <variant>

namespace fern {
class Waitable;
}

namespace fern::detail {

template <class T>
using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

// AsyncLink is a callback to come, in its hub; the typed one derives.
struct AsyncLink {
  virtual ~AsyncLink() = default;
  std::unique_ptr<AsyncLink> next;
  Hub* hub = nullptr;
};

struct AsyncBox {
  AsyncBox* older = nullptr;
  void* value = nullptr;
};

class FERN_API AsyncState {
 public:
  AsyncState() = default;
  AsyncState(const AsyncState&) = delete;
  AsyncState& operator=(const AsyncState&) = delete;

  bool ready() const noexcept { return (lock_.value() & ready_bit) != 0; }
  void* value() const noexcept { return value_.load(std::memory_order_acquire); }
  std::exception_ptr exception() const;
  bool wait(Deadline deadline) { return ready() || wait_slow(deadline); }
  void* get(Deadline deadline);  // null for an exception never: that is thrown

  // publish() makes the box's value, or the exception, the result, wakes the waiters and gives the
  // links, which the caller has to start. Without `replace` it does nothing if something is set.
  struct Published {
    bool done = false;
    std::unique_ptr<AsyncLink> links;
  };
  Published publish(AsyncBox& box, bool replace);
  Published publish(std::exception_ptr exception);

  // report_unread() has an exception that nobody has read when the last handle goes printed, as
  // one of `who`, a static string. Before anything is published.
  void report_unread(const char* who) noexcept { who_ = who; }

  // add_link() keeps a link of the calling thread's hub; gives it back if something is set.
  std::unique_ptr<AsyncLink> add_link(std::unique_ptr<AsyncLink> link);

 protected:
  ~AsyncState();

  bool claim_inside() noexcept { return !claimed_.exchange(true, std::memory_order_relaxed); }
  AsyncBox* boxes() const noexcept { return boxes_; }

 private:
  friend class fern::Waitable;
  static constexpr SpinLock::Word ready_bit = 2;

  bool wait_slow(Deadline deadline);
  std::unique_ptr<AsyncLink> announce() noexcept;  // unlocks

  mutable SpinLock lock_;
  WaitQueue waiters_;
  std::atomic<void*> value_{nullptr};
  std::exception_ptr exception_;
  mutable std::atomic<bool> read_{false};  // somebody has seen the exception
  const char* who_ = nullptr;              // report_unread's
  AsyncBox* boxes_ = nullptr;              // newest first
  std::unique_ptr<AsyncLink> links_;
  AsyncLink* last_link_ = nullptr;
  std::atomic<bool> claimed_{false};
};

template <class T>
class AsyncValue final : public AsyncState {
 public:
  struct Box : AsyncBox {
    template <class... Args>
    explicit Box(Args&&... args) : stored(std::forward<Args>(args)...) {
      value = &stored;
    }
    Stored<T> stored;
  };

  AsyncValue() = default;
  ~AsyncValue() {
    for (AsyncBox* box = boxes(); box != nullptr;) {
      discard(*static_cast<Box*>(std::exchange(box, box->older)));
    }
  }

  // make() constructs a value in a box, which has to be published or discarded.
  template <class... Args>
  Box& make(Args&&... args) {
    if (!claim_inside()) return *new Box(std::forward<Args>(args)...);
    return *::new (static_cast<void*>(inside_)) Box(std::forward<Args>(args)...);
  }
  void discard(Box& box) noexcept {
    if (static_cast<void*>(&box) == static_cast<void*>(inside_)) {
      box.~Box();
    } else {
      delete &box;
    }
  }

 private:
  alignas(Box) std::byte inside_[sizeof(Box)];
};

// AsyncAccess is the library's view into AsyncResult.
struct AsyncAccess {
  template <class Result>
  static AsyncState& state(const Result& result) {
    return result.state();
  }
};

// spawn_in() starts f in a greenlet of that hub: at once in the calling thread's, by a post in
// another's. Out of memory it prints so.
FERN_API void spawn_in(Hub& hub, Function<void()> f) noexcept;

}  // namespace fern::detail
