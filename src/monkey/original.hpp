#pragma once

// Original is a wrapped function as it is without us: the next definition of its name after ours,
// found at the first call, for nothing has been initialised yet when that comes. Finding it may not
// allocate, nor go through a wrapper that needs it.

#include <atomic>

namespace fern::monkey {

// find_original() is null when nobody else defines the name. Keeps errno.
void* find_original(const char* name) noexcept;

template <class Function>
class Original;

template <class R, class... Args>
class Original<R(Args...)> {
 public:
  explicit constexpr Original(const char* name) noexcept : name_(name) {}

  R operator()(Args... args) const { return get()(args...); }

  using Pointer = R (*)(Args...);
  Pointer get() const noexcept {
    Pointer found = found_.load(std::memory_order_relaxed);
    if (found == nullptr) [[unlikely]] {
      found = reinterpret_cast<Pointer>(find_original(name_));
      found_.store(found, std::memory_order_relaxed);
    }
    return found;
  }

 private:
  const char* name_;
  mutable std::atomic<Pointer> found_{nullptr};
};

}  // namespace fern::monkey
