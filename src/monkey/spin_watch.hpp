#pragma once

// In a program of green threads, one that computes, or waits for another in a loop without a call,
// keeps all others from running: natively it would not. spin_watch names it.

namespace fern::monkey {

// watch_for_spins() begins: when the process has used a second of processor time again and main's
// hub has not switched meanwhile, the thread that has run and its backtrace are written to stderr,
// once. A timer of processor time and SIGURG do it, unless the program has a use for that: an idle
// program is never woken, and no thread is needed.
void watch_for_spins() noexcept;

}  // namespace fern::monkey
