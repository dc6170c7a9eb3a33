#pragma once

// Thread is what pthread_create makes once threads are green: a greenlet, and what POSIX keeps for
// a thread. A pthread_t of one is its address; others are glibc's and are handed on.
//
//   Thread (heap, until it has been joined, or has ended detached)
//     ^ Greenlet::timer, once it runs
//   greenlet --> body(): start(arg); thread_locals' and keys' destructors; ended = 1, lot::wake
//
// Main and native threads have none: glibc's own serve them.

#include "core/context.hpp"
#include "monkey/lot.hpp"

#include <fern/detail/wait_queue.hpp>

#include <pthread.h>
#include <unwind.h>

#include <atomic>
#include <csetjmp>
#include <cstddef>
#include <cstdint>

namespace fern::core {
struct Greenlet;
class Hub;
}  // namespace fern::core

namespace fern::monkey {

// A function registered by pthread_cleanup_push in code that was compiled without exceptions.
struct CleanupBuffer;

struct KeyValue;

struct Thread {
  static constexpr std::uint64_t alive_magic = 0x6665726e7468'7264;  // "fernthrd"
  static constexpr std::uint64_t dead_magic = 0x6665726e6465'6164;   // "ferndead"

  std::uint64_t magic = alive_magic;
  std::uint32_t id = 0;  // the owner that locks name; never a kernel's thread id
  void* (*start)(void*) = nullptr;
  void* argument = nullptr;
  void* result = nullptr;
  core::Hub* hub = nullptr;
  core::Greenlet* greenlet = nullptr;  // null once it has ended
  lot::Word ended{0};
  std::atomic<std::uint32_t> claims{2};  // its own, and its joiner's; the last one frees it
  std::atomic<bool> joinable{true};
  std::atomic<bool> cancelled{false};
  bool cancel_disabled = false;
  bool cancel_acted = false;
  int cancel_type = PTHREAD_CANCEL_DEFERRED;
  char name[16] = {};
  std::size_t stack_size = 0;
  std::size_t guard_size = 0;
  KeyValue* values = nullptr;  // of keys, keys.cpp
  std::uint32_t value_count = 0;
  CleanupBuffer* cleanup = nullptr;
  std::jmp_buf out;       // where the last frame of its own begins
  char* frame = nullptr;  // the stack pointer there: what is above is ours
  _Unwind_Exception unwinding;
  void* tls = nullptr;     // its thread-local storage, see tls.hpp; null: the OS thread's
  sigset_t blocked;        // by pthread_sigmask
  Thread* next = nullptr;  // in the list of all
  Thread* previous = nullptr;

  // To its hub, from pthread_cancel in another: at most one.
  struct Cancelling : fern::detail::Remote {
    Thread* thread = nullptr;
  } cancelling;
};

// self() is the Thread that runs; null in main and in native threads.
Thread* self() noexcept;

// thread_of() is null for a pthread_t that is glibc's. gone() asks whether it was one of ours,
// which has been joined, or has ended detached.
Thread* thread_of(pthread_t thread) noexcept;
bool gone(pthread_t thread) noexcept;

// self_id() names the running thread, green or native, to locks: never 0, never twice at once.
std::uint32_t self_id() noexcept;

// hub_of() is where the thread runs, null before it does and after. stack_of() is its stack then.
// drop_claim() is called by who will not use the record any more.
core::Hub* hub_of(Thread& thread) noexcept;
core::Stack stack_of(Thread& thread) noexcept;
void drop_claim(Thread& thread) noexcept;

// cancel_began() and cancel_ended() are for the thread itself: at its start, when it may have been
// cancelled already, and when it is too late for that. cancel.cpp.
void cancel_began(Thread& thread) noexcept;
void cancel_ended(Thread& thread) noexcept;

// robust_ended() lets others find out that the thread had a robust mutex when it ended. locks.cpp.
void robust_ended(Thread& thread) noexcept;

// end_if_cancelled() ends the running thread if pthread_cancel was called for it and it has not
// disabled that: at the cancellation points, which waits are. It does not return then, but unwinds.
void end_if_cancelled();

// pause_turn() lets others run, greenlets or threads.
void pause_turn() noexcept;

// What the report counts.
struct ThreadCounts {
  std::uint64_t made = 0;
  std::uint64_t alive = 0;
  std::uint64_t peak = 0;
};
ThreadCounts thread_counts() noexcept;

// threads_forked() leaves only the running thread, in the child of a fork.
void threads_forked() noexcept;

// wait_for_threads() parks until no green thread is left: main has called pthread_exit.
void wait_for_threads() noexcept;

}  // namespace fern::monkey
