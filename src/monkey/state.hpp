#pragma once

// Whether a wrapped call is to be green, and what has been patched.
//
//   recv  (wrappers.cpp)  --not goes_green(Sockets)-->  the next recv in the process, libc's
//   (Original)
//     |
//     +--goes_green(Sockets)-->  green::recv (sockets.cpp) --> Wait (wait.hpp) --> io::FdWait
//
// goes_green() runs before anything is initialised, in every thread, and in signal handlers: it
// reads constinit state and nothing else.

#include "base/native.hpp"
#include "core/hub.hpp"

#include <fern/monkey.hpp>

#include <sys/types.h>

#include <atomic>
#include <cstdint>

// A function that clang's TSan may not put anything of its own into.
#if defined(FERN_TSAN) && defined(__clang__)
#define FERN_BARE __attribute__((disable_sanitizer_instrumentation))
#else
#define FERN_BARE
#endif

namespace fern::monkey {

extern constinit std::atomic<unsigned> patched;  // Part bits
extern constinit std::atomic<Resolver> resolver;
extern constinit std::atomic<std::uint64_t> green_calls;    // for report() and tests
extern constinit std::atomic<std::uint64_t> native_blocks;  // calls that had to block the thread

// goes_green() asks whether a call of this part parks the running greenlet: it is patched, the
// thread has a hub, and is neither on the hub's own stack nor in a native scope.
inline bool goes_green(Part part) noexcept {
  if ((patched.load(std::memory_order_relaxed) & static_cast<unsigned>(part)) == 0) [[likely]]
    return false;
  core::Hub* hub = core::Hub::here();
  return hub != nullptr && base::native_depth == 0 && !hub->on_own_stack();
}

// watches_closing() asks whether those who wait for a descriptor are told when it is closed, in
// whatever thread that is. lifetime.cpp.
bool watches_closing() noexcept;

// vforked_by is the process whose thread called libc's vfork last, 0 when that is known to be over;
// in_vforked_child() asks whether this is the child. vfork.cpp.
extern constinit thread_local pid_t vforked_by;
bool in_vforked_child() noexcept;

// threads_green() asks whether pthreads are greenlets: for good, once there has been one.
inline bool threads_green() noexcept {
  return (patched.load(std::memory_order_relaxed) & static_cast<unsigned>(Part::Threads)) != 0;
}

}  // namespace fern::monkey
