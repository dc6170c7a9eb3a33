#pragma once

// A Hub runs the greenlets of one OS thread: a queue of those that are ready and a loop that waits
// for descriptors, timers and other threads when none is. It is made by the first call that needs
// it, so that main can sleep() or recv() at once; a started greenlet never leaves its hub.
//
//   fern::Hub& hub = fern::Hub::current();
//   std::thread([&hub] {
//     auto result = compute();
//     hub.post([result] { fern::spawn_raw(show, result); });  // back in the hub's thread
//   }).detach();

#include <fern/config.hpp>
#include <fern/detail/function.hpp>

#include <chrono>
#include <cstdint>

namespace fern {

class FERN_API Hub {
 public:
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // current() is the calling thread's hub; it makes one if there is none. Throws
  // std::system_error when the system refuses the descriptors that a hub needs.
  static Hub& current();

  // post() queues `f` to run in the hub's thread, on the hub's own stack, where it may spawn, set
  // and notify but not wait (BlockingInHub). From any thread, in order per caller; it never
  // switches. One allocation; no system call while the hub is awake. An exception that leaves `f`
  // is printed. Posting to a hub whose thread has ended drops `f` when the hub is used again.
  void post(detail::Function<void()> f);

  // set_exit_limit() is how long the greenlets still alive when the thread's function (or main)
  // returns get to unwind: 1 s unless set. From the hub's thread.
  void set_exit_limit(std::chrono::nanoseconds limit) noexcept;

  // Run counters, for tests and tools; from the hub's thread.
  std::uint64_t switches() const noexcept;  // how often a greenlet got its turn
  std::uint64_t polls() const noexcept;     // how often the loop was asked
  std::size_t greenlets() const noexcept;   // started or not, not yet ended; main not counted

 protected:
  Hub() = default;
  ~Hub() = default;
};

}  // namespace fern
