#pragma once

// by_worker() makes a native call in a worker's thread, with its errno, and parks until it has
// ended, whatever happens: a call that has its caller's memory, and that a signal would not end
// either. A kill that comes meanwhile stays pending.

#include "base/native.hpp"
#include "io/workers.hpp"

#include <cerrno>
#include <type_traits>

namespace fern::monkey {

template <class Call>
auto by_worker(io::Workers& workers, const char* what, Call call) noexcept {
  struct Context {
    Call& call;
    std::invoke_result_t<Call> result{};
    int error = 0;

    void run() noexcept {
      errno = error;
      result = call();
      error = errno;
    }
  };
  Context context{call};
  context.error = errno;
  auto run = [](void* self) { static_cast<Context*>(self)->run(); };
  try {
    workers.run(run, &context, what);
  } catch (...) {  // no thread: it blocks this one
    base::NativeScope native;
    context.run();
  }
  errno = context.error;
  return context.result;
}

template <class Call>
auto by_worker(const char* what, Call call) noexcept {
  return by_worker(io::common_workers(), what, call);
}

}  // namespace fern::monkey
