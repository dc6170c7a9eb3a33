// How liburing and libaio begin. They wait by system calls of their own, which would stop a hub for
// good, so with green threads programs are told that the kernel has neither, and do without.

#include "base/real.hpp"
#include "monkey/specials.hpp"
#include "monkey/state.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace fern::monkey {
namespace {

void say_refused() noexcept {
  static constinit std::atomic<bool> told{false};
  if (told.exchange(true, std::memory_order_relaxed)) return;
  const char* text =
      "fern: io_uring and Linux AIO are refused: they wait by system calls of their own\n";
  real::write_all(2, text, std::strlen(text));
}

template <class... Arguments>
int begin_queue(const char* name, Arguments... arguments) noexcept {
  if (threads_green()) {
    say_refused();
    return -ENOSYS;
  }
  using Call = int (*)(Arguments...);
  auto next = reinterpret_cast<Call>(dlsym(RTLD_NEXT, name));
  return next == nullptr ? -ENOSYS : next(arguments...);
}

}  // namespace

extern "C" FERN_EXPORT int io_uring_queue_init(unsigned entries, void* ring, unsigned flags) {
  return begin_queue("io_uring_queue_init", entries, ring, flags);
}

extern "C" FERN_EXPORT int io_uring_queue_init_params(unsigned entries, void* ring, void* params) {
  return begin_queue("io_uring_queue_init_params", entries, ring, params);
}

extern "C" FERN_EXPORT int io_setup(int events, void* context) {
  return begin_queue("io_setup", events, context);
}

extern "C" FERN_EXPORT int io_queue_init(int events, void* context) {
  return begin_queue("io_queue_init", events, context);
}

}  // namespace fern::monkey
