#pragma once

// In a program of green threads, one that computes, or waits for another in a loop without a call,
// keeps all others from running: natively it would not. spin_watch names it.

#include <csignal>

namespace fern::monkey {

// watch_for_spins() begins, in main's thread: when it has used a second of processor time again and
// its hub has not switched meanwhile, the thread that has run and its backtrace are written to
// stderr, once. A timer of processor time and SIGURG do it, unless the program has a use for that:
// an idle program is never woken, and no thread is needed. watch_this_hub() is for the thread of
// another hub, which must not block the signal.
void watch_for_spins() noexcept;
void watch_this_hub() noexcept;

// By default it is ignored: a program that resets or awaits all signals is not hurt.
constexpr int spin_signal = SIGURG;

}  // namespace fern::monkey
