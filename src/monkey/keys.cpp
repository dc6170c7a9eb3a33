#include "monkey/keys.hpp"

#include "monkey/green.hpp"
#include "monkey/thread.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace fern::monkey {

// A value, and which generation of its key it was set for.
struct KeyValue {
  std::uintptr_t generation;
  void* data;
};

namespace {

using Destructor = void (*)(void*);

// A key that is deleted and made again is another one: what was set for the first is gone.
struct Key {
  std::atomic<Destructor> destructor{nullptr};
  std::atomic<std::uintptr_t> generation{0};  // odd while it exists
};
constinit Key keys[PTHREAD_KEYS_MAX];

bool exists(pthread_key_t key) noexcept {
  return key < PTHREAD_KEYS_MAX && (keys[key].generation.load(std::memory_order_acquire) & 1) != 0;
}

}  // namespace

void run_key_destructors(Thread& thread) {
  for (int round = 0; round < PTHREAD_DESTRUCTOR_ITERATIONS; ++round) {
    bool any = false;
    for (std::uint32_t i = 0; i < thread.value_count; ++i) {
      KeyValue& value = thread.values[i];
      if (value.data == nullptr) continue;
      void* data = std::exchange(value.data, nullptr);
      if (value.generation != keys[i].generation.load(std::memory_order_acquire)) continue;
      Destructor destructor = keys[i].destructor.load(std::memory_order_relaxed);
      if (destructor == nullptr) continue;
      any = true;
      destructor(data);  // may set others, and so move the table
    }
    if (!any) break;
  }
  std::free(std::exchange(thread.values, nullptr));
  thread.value_count = 0;
}

namespace {

bool grow(Thread& thread, std::uint32_t count) noexcept {
  auto* grown =
      static_cast<KeyValue*>(std::realloc(thread.values, std::size_t{count} * sizeof(KeyValue)));
  if (grown == nullptr) return false;
  std::fill(grown + thread.value_count, grown + count, KeyValue{0, nullptr});
  thread.values = grown;
  thread.value_count = count;
  return true;
}

}  // namespace

// Before threads are green too: keys are made early.
namespace green {

int pthread_key_create(pthread_key_t* key, void (*destructor)(void*)) noexcept {
  if (int error = native::pthread_key_create(key, destructor); error != 0) return error;
  Key& made = keys[*key];
  made.destructor.store(destructor, std::memory_order_relaxed);
  made.generation.store((made.generation.load(std::memory_order_relaxed) + 1) | 1,
                        std::memory_order_release);
  return 0;
}

int pthread_key_delete(pthread_key_t key) noexcept {
  if (int error = native::pthread_key_delete(key); error != 0) return error;
  keys[key].generation.fetch_add(1, std::memory_order_acq_rel);
  return 0;
}

}  // namespace green

namespace replaced {

void* pthread_getspecific(pthread_key_t key) {
  Thread* thread = self();
  if (thread == nullptr) return native::pthread_getspecific(key);
  if (key >= thread->value_count) return nullptr;
  const KeyValue& value = thread->values[key];
  bool valid = value.generation == keys[key].generation.load(std::memory_order_acquire);
  return valid ? value.data : nullptr;
}

int pthread_setspecific(pthread_key_t key, const void* data) {
  Thread* thread = self();
  if (thread == nullptr) return native::pthread_setspecific(key, data);
  if (!exists(key)) return EINVAL;
  if (key >= thread->value_count) {
    if (data == nullptr) return 0;
    if (!grow(*thread, key + 8)) return ENOMEM;
  }
  thread->values[key] = {keys[key].generation.load(std::memory_order_acquire),
                         const_cast<void*>(data)};
  return 0;
}

}  // namespace replaced
}  // namespace fern::monkey
