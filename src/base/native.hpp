#pragma once

// Whether the calling thread's libc calls are to reach libc even where libfern_monkey stands in
// front of it. Fern's own use of libuv, and its threads, are native.

#include <fern/config.hpp>

namespace fern::base {

// How many NativeScopes the thread is in.
FERN_INTERNAL
__attribute__((tls_model("initial-exec"))) extern constinit thread_local unsigned native_depth;

class NativeScope {
 public:
  NativeScope() noexcept { ++native_depth; }
  NativeScope(const NativeScope&) = delete;
  NativeScope& operator=(const NativeScope&) = delete;
  ~NativeScope() { --native_depth; }
};

}  // namespace fern::base
