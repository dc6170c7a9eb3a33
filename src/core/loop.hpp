#pragma once

// Loop is what a hub waits in: for descriptors, signals, the nearest deadline and other threads.
// Its callbacks run on the hub's own stack and only mark and wake.
//
// It is an epoll set, and libuv, which has the signals, is one descriptor in it: uv_backend_fd() is
// there for that. The other way about, each descriptor under a uv_poll_t, was built first: nobody
// but libuv sees the batch, so nothing of it can be fetched ahead; a new descriptor took several
// system calls; and libuv takes 1,024 events at a time and asks again at once when it has got as
// many, up to 48 times, before any greenlet has had a turn: an echo server with 2,000 connections
// took eight times the CPU time.
//
// Deadlines are one timerfd. It is moved only when a nearer deadline comes up (one system call), so
// deadlines that keep moving away cost nothing; a stale one is a wake-up for nothing. Other threads
// wake it by an eventfd: uv_async_t costs 32 us a way when two hubs share a core, the eventfd 2.7.

#include <cstdint>
#include <memory>

namespace fern::core {

struct Greenlet;

// What a descriptor is ready for. Error also means readable and writable: the call will tell. Ended
// and urgent are told of watches by edges, and only with the others: an end comes after what there
// is to read, and a read stops at the mark of urgent data.
enum Readiness : unsigned { readable = 1, writable = 2, errored = 4, ended = 8, urgent = 16 };

// Watch is one descriptor in a loop, part of what is known of it. All zeros is one in no loop.
struct Watch {
  // Told every readiness until disarmed; may arm, watch and unwatch, itself too. An error disarms.
  using Ready = void (*)(Watch& watch, unsigned readiness) noexcept;

  Ready ready = nullptr;       // null: in no loop
  Greenlet* reader = nullptr;  // whom `ready` may wake, or null: fetched ahead
  std::int32_t fd = 0;
  std::uint32_t tag = 0;   // in its events: that of another one for the number is not its own
  std::uint8_t armed = 0;  // for what
  bool edge = false;       // told when something comes, and not that it is still there

  bool watched() const noexcept { return ready != nullptr; }
};

class Loop {
 public:
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

  // watch() begins to watch a descriptor, which nobody else may watch in this loop, for at least
  // one thing. 0 or an errno: EPERM for what is always ready (files), EBADF. One system call.
  int watch(Watch& watch, int fd, unsigned readiness, Watch::Ready ready) noexcept;

  // arm() sets what to wait for, 0 for nothing. 0 or an errno, and it is disarmed: EBADF when
  // somebody else has closed the descriptor. A system call if that changes anything.
  int arm(Watch& watch, unsigned readiness) noexcept;

  // set_edge() has a watch told by edges, or by levels as at the beginning. What is there
  // already is told once more. By edges the kernel does not look again at what it has told, but
  // whoever is told has to try until there is no more. A system call if it is armed.
  void set_edge(Watch& watch, bool edge) noexcept;

  // unwatch() ends it, before the descriptor is closed.
  void unwatch(Watch& watch) noexcept;

  // listen() begins to listen to a signal; null with errno when it may not be caught.
  Signal* listen(int number, void* owner, Raised raised) noexcept;
  void unlisten(Signal& signal) noexcept;

  // forked() is called in a child before its first use: the child gets its own epoll set, timer
  // and eventfd; watches go on in both, but for those whose descriptors it has closed.
  void forked() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fern::core
