#pragma once

// Thread-local storage of green threads. Without it they share that of the OS thread that runs
// them, which is silently wrong for a program that keeps something there; with it each has a block
// of its own, and a switch moves the thread pointer.

#include <cstddef>

namespace fern::monkey {

struct Thread;

// use_tls() asks for it, before the first green thread. Null, or why it cannot be had.
const char* use_tls() noexcept;
bool uses_tls() noexcept;

// thread_tls_make() gives a new thread its block, if blocks are used; false when memory is out.
// thread_tls_free() takes back that of one which never began. The others are called in the thread:
// thread_tls_destroy() runs the destructors of its thread_locals.
bool thread_tls_make(Thread& thread) noexcept;
void thread_tls_free(Thread& thread) noexcept;
void thread_tls_began(Thread& thread) noexcept;
void thread_tls_destroy(Thread& thread) noexcept;
void thread_tls_ended(Thread& thread) noexcept;

// tls_forked() is called in a fork's child: glibc has made the block of who forked its thread's, so
// it is the OS thread's from now on.
void tls_forked() noexcept;

// in_os_thread() calls in the OS thread's own block: for what glibc keeps there for the kernel. It
// may not park.
void in_os_thread(void (*call)(void* context) noexcept, void* context) noexcept;

// of_os_thread() is the OS thread's one of our own thread_locals, which a green thread has as well
// as all others: what belongs to a hub. From any thread, and in handlers of signals.
std::ptrdiff_t to_os_thread() noexcept;
template <class T>
T& of_os_thread(T& here) noexcept {
  return *reinterpret_cast<T*>(reinterpret_cast<char*>(&here) + to_os_thread());
}

}  // namespace fern::monkey
