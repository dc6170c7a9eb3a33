#pragma once

// Loop is libuv's side of a hub, and the only one: it waits for descriptors, signals, the nearest
// deadline and other threads. Its callbacks run on the hub's own stack and only mark and wake.
//
// Deadlines are one timerfd, not a uv_timer: libuv's clock counts milliseconds and was 979 us late
// in the median, the timerfd 26. It is moved only when a nearer deadline comes up (one system
// call), so deadlines that keep moving away cost nothing; a stale one is a wake-up for nothing.
// Other threads wake it by an eventfd under a uv_poll_t: uv_async_t costs 32 us a way when two
// hubs share a core, the eventfd 2.7.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace fern::core {

// What a descriptor is ready for. Error also means readable and writable: the call will tell.
enum Readiness : unsigned { readable = 1, writable = 2, errored = 4 };

class Loop {
 public:
  // Watch is one descriptor of ours in the loop. Its owner gets every readiness until disarmed.
  class Watch;
  using Ready = void (*)(void* owner, unsigned readiness) noexcept;

  // Signal is one signal number that the loop listens to.
  class Signal;
  using Raised = void (*)(void* owner, int number) noexcept;

  Loop();  // throws std::system_error
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  // poll() runs callbacks for what is ready. With `block` it waits for the first of them, until
  // `deadline` (steady nanoseconds) or wake_up().
  void poll(bool block, std::int64_t deadline) noexcept;

  // wake_up() ends a poll that blocks, or the next one that would. From any thread.
  void wake_up() noexcept;

  // watch() begins to watch a descriptor: nothing is armed yet. Null with errno when the loop
  // cannot: EPERM for what is always ready (files), EBADF, EEXIST. The descriptor must be
  // non-blocking already, and nobody else may watch it in this loop.
  Watch* watch(int fd, void* owner, Ready ready) noexcept;

  // arm() sets what to wait for, 0 for nothing. Takes effect at the next poll, and costs two system
  // calls there if it changed: one asks whether the descriptor is still open, for libuv aborts on
  // one that is not. If it is not, the watch is disarmed and told of an error.
  void arm(Watch& watch, unsigned readiness) noexcept;

  // unwatch() ends it; before the descriptor is closed.
  void unwatch(Watch& watch) noexcept;

  // listen() begins to listen to a signal; null with errno when it may not be caught.
  Signal* listen(int number, void* owner, Raised raised) noexcept;
  void unlisten(Signal& signal) noexcept;

  // forked() is called in a child before its first use: the child gets its own epoll set, timer
  // and eventfd; watches of ours go on in both.
  void forked() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fern::core
