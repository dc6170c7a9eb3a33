#pragma once

// The last words of a program that overflowed a greenlet's stack, or let an exception of ours meet
// noexcept: which greenlet it was. Then it dies as it would have died without Fern.

#include <cstddef>

namespace fern::core {

struct Greenlet;

// plain_name() is name_of() without allocating, for signal handlers; `room` is for names that
// nobody gave.
const char* plain_name(const Greenlet& greenlet, char* room, std::size_t size) noexcept;

// Once per process: the SIGSEGV handler and the terminate handler, each in front of the one there.
void fault_handler_install() noexcept;

// Per hub thread: an alternate signal stack, unless the thread has one.
void fault_handler_thread() noexcept;
void fault_handler_thread_end() noexcept;

// report_current() prints the exception being handled as `context` failed.
void report_current(const char* context) noexcept;

}  // namespace fern::core
