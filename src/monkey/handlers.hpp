#pragma once

// Handlers of signals, and who is told that one has run.
//
//   sigaction(SIGINT, on_interrupt)      the kernel gets a trampoline, the table on_interrupt
//   SIGINT --> trampoline --> on_interrupt, with all calls native
//                 |
//                 +--posts--> the hub's own stack --wakes--> greenlets with an Interrupts that came
//
// Every handler that is set through libc runs so, whatever is patched, for no wrapped call may park
// inside one. Those of Fern's own and of libuv, which are set in a native scope, tell nobody.

#include "core/greenlet.hpp"

#include <cstdint>

namespace fern::monkey {

// Interrupts lives on the stack of a wrapped call that waits, and tells it that a handler has run
// in this thread since it began: then the call ends with EINTR. The greenlet is woken if it is
// parked.
class Interrupts {
 public:
  // Which handlers count, and for whom; signal(7) lists the calls. The main greenlet stands for the
  // thread, but who waits for a handler waits for it anywhere.
  enum By : std::uint8_t {
    unless_restarted,  // without SA_RESTART, in the main greenlet
    any_handler,       // in the main greenlet
    awaited_handler    // any, in any greenlet
  };

  explicit Interrupts(By by = unless_restarted) noexcept;
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts();

  bool came() const noexcept;

  // by_any() has any handler count from now on, as any_handler would.
  void by_any() noexcept;

 private:
  friend struct Listeners;

  By by_;
  core::Greenlet* greenlet_ = nullptr;  // null: not to be interrupted, and not in the list
  std::uint64_t seen_ = 0;
  Interrupts* next_ = nullptr;
  Interrupts* previous_ = nullptr;
};

}  // namespace fern::monkey
