#include "monkey/thread.hpp"

#include "base/real.hpp"
#include "core/greenlet.hpp"
#include "core/hub.hpp"
#include "monkey/green.hpp"
#include "monkey/hubs.hpp"
#include "monkey/keys.hpp"
#include "monkey/masks.hpp"
#include "monkey/state.hpp"
#include "monkey/times.hpp"
#include "monkey/tls.hpp"
#include "monkey/wait.hpp"

#include <fern/greenlet.hpp>

#include <sys/single_threaded.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csetjmp>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

namespace fern::monkey {
namespace {

// Records are used again and never freed: a pthread_t that has ended can still be told from one
// that is glibc's.
struct Records {
  fern::detail::SpinLock lock;
  Thread* free = nullptr;
  Thread* first = nullptr;  // of those that run
  std::uint64_t made = 0;
  std::uint64_t alive = 0;
  std::uint64_t peak = 0;
  lot::Word ended{0};  // changes when a thread ends
};
constinit Records records;

Thread* take_record() noexcept {
  Thread* thread = nullptr;
  {
    std::lock_guard guard(records.lock);
    thread = records.free;
    if (thread != nullptr) records.free = thread->next;
  }
  void* room = thread != nullptr ? thread : std::malloc(sizeof(Thread));
  return room == nullptr ? nullptr : ::new (room) Thread;
}

void give_record(Thread& thread) noexcept {
  std::lock_guard guard(records.lock);
  __atomic_store_n(&thread.magic, Thread::dead_magic, __ATOMIC_RELAXED);
  thread.next = records.free;
  records.free = &thread;
}

void enlist(Thread& thread) noexcept {
  std::lock_guard guard(records.lock);
  thread.id = 0x40000000u | static_cast<std::uint32_t>(++records.made & 0x3fffffff);
  thread.next = records.first;
  thread.previous = nullptr;
  if (records.first != nullptr) records.first->previous = &thread;
  records.first = &thread;
  records.peak = std::max(records.peak, ++records.alive);
}

void strike(Thread& thread) noexcept {
  std::lock_guard guard(records.lock);
  (thread.previous == nullptr ? records.first : thread.previous->next) = thread.next;
  if (thread.next != nullptr) thread.next->previous = thread.previous;
  --records.alive;
}

// What a native thread is called by locks.
std::uint32_t native_id() noexcept {
  static thread_local constinit std::uint32_t id = 0;
  if (id == 0) id = static_cast<std::uint32_t>(gettid());
  return id;
}

}  // namespace

void drop_claim(Thread& thread) noexcept {
  if (thread.claims.fetch_sub(1, std::memory_order_acq_rel) == 1) give_record(thread);
}

core::Hub* hub_of(Thread& thread) noexcept {
  std::lock_guard guard(records.lock);
  return thread.greenlet != nullptr ? thread.hub : nullptr;
}

core::Stack stack_of(Thread& thread) noexcept {
  std::lock_guard guard(records.lock);
  return thread.greenlet != nullptr ? core::stack_of(*thread.greenlet) : core::Stack();
}

Thread* self() noexcept {
  core::Hub* hub = core::Hub::left();  // in a fork's child too
  return hub == nullptr ? nullptr : static_cast<Thread*>(hub->running().timer);
}

Thread* thread_of(pthread_t handle) noexcept {
  auto* thread = reinterpret_cast<Thread*>(handle);
  if (thread == nullptr) return nullptr;
  std::uint64_t magic = __atomic_load_n(&thread->magic, __ATOMIC_RELAXED);
  return magic == Thread::alive_magic ? thread : nullptr;
}

bool gone(pthread_t handle) noexcept {
  auto* thread = reinterpret_cast<Thread*>(handle);
  return thread != nullptr &&
         __atomic_load_n(&thread->magic, __ATOMIC_RELAXED) == Thread::dead_magic;
}

// The main greenlet of a hub is the native thread that it is.
std::uint32_t self_id() noexcept {
  Thread* thread = self();
  return thread != nullptr ? thread->id : native_id();
}

ThreadCounts thread_counts() noexcept {
  std::lock_guard guard(records.lock);
  return {records.made, records.alive, records.peak};
}

void pause_turn() noexcept {
  if (goes_green(Part::Threads)) {
    at_once();
  } else {
    real::sched_yield();
  }
}

void wait_for_threads() noexcept {
  for (;;) {
    std::uint32_t seen = records.ended.load(std::memory_order_acquire);
    if (thread_counts().alive == 0) return;
    lot::wait(records.ended, seen, "pthread_exit()", {}, lot::End::Ignore);
  }
}

// The lock may have been held by a thread that is not here; what it guarded then is left to itself.
void threads_forked() noexcept {
  Thread* me = self();
  records.lock.unlock();
  records.free = nullptr;
  records.first = me;
  records.alive = me == nullptr ? 0 : 1;
  records.peak = records.alive;  // but ids go on: ours is one of them
  if (me != nullptr) me->next = me->previous = nullptr;
}

namespace {

// In glibc's order: thread_locals, then keys.
void end(Thread& thread) noexcept {
  cancel_ended(thread);
  thread_tls_destroy(thread);
  run_key_destructors(thread);
  robust_ended(thread);
  thread_tls_ended(thread);
  core::Greenlet& greenlet = *thread.greenlet;
  greenlet.timer = nullptr;
  {
    std::lock_guard guard(records.lock);  // pthread_cancel looks
    thread.greenlet = nullptr;
  }
  mask_ended(thread);
  strike(thread);
  records.ended.fetch_add(1, std::memory_order_seq_cst);
  lot::wake(&records.ended, INT_MAX);
  lot::Word* word = &thread.ended;
  word->store(1, std::memory_order_seq_cst);
  lot::wake(word, INT_MAX);
  drop_claim(thread);
}

// The outermost frame that unwinds. What is above it in the stack is body's.
__attribute__((noinline)) void run(Thread& thread) {
  thread.frame = static_cast<char*>(__builtin_frame_address(0));
  thread.result = thread.start(thread.argument);
}

// A thread's whole life, on its greenlet's stack. noexcept: an exception that nobody catches ends
// the program, as natively.
void body(Thread* thread) noexcept {
  core::Hub& hub = *core::Hub::here();
  core::Greenlet& greenlet = hub.running();
  greenlet.timer = thread;
  {
    std::lock_guard guard(records.lock);
    thread->hub = &hub;
    thread->greenlet = &greenlet;
  }
  thread_tls_began(*thread);
  cancel_began(*thread);
  if (_setjmp(thread->out) == 0) run(*thread);
  end(*thread);
}

}  // namespace

namespace replaced {
namespace {

struct Attributes {
  explicit Attributes(const pthread_attr_t* given) noexcept {
    pthread_attr_t fresh;
    const pthread_attr_t* from = given;
    if (from == nullptr) {
      pthread_getattr_default_np(&fresh);
      from = &fresh;
    }
    int state = PTHREAD_CREATE_JOINABLE;
    pthread_attr_getdetachstate(from, &state);
    detached = state == PTHREAD_CREATE_DETACHED;
    pthread_attr_getstacksize(from, &stack_size);
    pthread_attr_getguardsize(from, &guard_size);
    if (from == &fresh) pthread_attr_destroy(&fresh);
  }
  bool detached = false;
  std::size_t stack_size = 0;
  std::size_t guard_size = 0;
};

// glibc's own threads may run beside green ones, and statics that are being initialised are told
// from recursion by this.
void no_longer_single_threaded() noexcept { __libc_single_threaded = 0; }

}  // namespace

int pthread_create(pthread_t* handle, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) {
  if (!spawns_green(start)) return native::pthread_create(handle, attributes, start, argument);
  Attributes wanted(attributes);
  Thread* thread = take_record();
  if (thread == nullptr) return EAGAIN;
  thread->start = start;
  thread->argument = argument;
  thread->stack_size = std::max<std::size_t>(wanted.stack_size, 64 * 1024);
  thread->guard_size = wanted.guard_size;
  thread->joinable.store(!wanted.detached, std::memory_order_relaxed);
  if (wanted.detached) thread->claims.store(1, std::memory_order_relaxed);
  if (!thread_tls_make(*thread)) {
    give_record(*thread);
    return EAGAIN;
  }
  no_longer_single_threaded();
  enlist(*thread);
  mask_made(*thread);
  // Whoever starts the thread may need its handle before we return.
  *handle = reinterpret_cast<pthread_t>(thread);
  if (start_somewhere(*thread, body)) return 0;
  mask_ended(*thread);
  strike(*thread);
  thread_tls_free(*thread);
  give_record(*thread);
  return EAGAIN;
}

pthread_t pthread_self() {
  Thread* thread = self();
  return thread != nullptr ? reinterpret_cast<pthread_t>(thread) : native::pthread_self();
}

namespace {

int join(Thread& thread, void** value, Deadline limit) {
  if (&thread == self()) return EDEADLK;
  if (!thread.joinable.load(std::memory_order_acquire)) return EINVAL;
  while (thread.ended.load(std::memory_order_acquire) == 0) {
    // A greenlet of another kind has no way to say that it has not joined.
    auto end = self() != nullptr ? lot::End::Refuse : lot::End::Ignore;
    int error = lot::wait(thread.ended, 0, "pthread_join()", limit, end);
    end_if_cancelled();
    if (error == ETIMEDOUT) return ETIMEDOUT;
  }
  if (!thread.joinable.exchange(false, std::memory_order_acq_rel)) return EINVAL;
  if (value != nullptr) *value = thread.result;
  drop_claim(thread);
  return 0;
}

}  // namespace

int pthread_join(pthread_t handle, void** value) {
  Thread* thread = thread_of(handle);
  if (gone(handle)) return ESRCH;
  if (thread == nullptr) return native::pthread_join(handle, value);
  return join(*thread, value, {});
}

int pthread_tryjoin_np(pthread_t handle, void** value) {
  Thread* thread = thread_of(handle);
  if (gone(handle)) return ESRCH;
  if (thread == nullptr) return native::pthread_tryjoin_np(handle, value);
  if (thread->ended.load(std::memory_order_acquire) == 0) {
    pause_turn();
    if (thread->ended.load(std::memory_order_acquire) == 0) return EBUSY;
  }
  return join(*thread, value, {});
}

int pthread_timedjoin_np(pthread_t handle, void** value, const timespec* time) {
  Thread* thread = thread_of(handle);
  if (gone(handle)) return ESRCH;
  if (thread == nullptr) return native::pthread_timedjoin_np(handle, value, time);
  Deadline limit;
  if (time != nullptr) {
    if (int error = until(CLOCK_REALTIME, *time, limit); error != 0) return error;
  }
  return join(*thread, value, limit);
}

int pthread_clockjoin_np(pthread_t handle, void** value, clockid_t clock, const timespec* time) {
  Thread* thread = thread_of(handle);
  if (gone(handle)) return ESRCH;
  if (thread == nullptr) return native::pthread_clockjoin_np(handle, value, clock, time);
  if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return EINVAL;
  Deadline limit;
  if (time != nullptr) {
    if (int error = until(clock, *time, limit); error != 0) return error;
  }
  return join(*thread, value, limit);
}

int pthread_detach(pthread_t handle) {
  Thread* thread = thread_of(handle);
  if (gone(handle)) return ESRCH;
  if (thread == nullptr) return native::pthread_detach(handle);
  if (!thread->joinable.exchange(false, std::memory_order_acq_rel)) return EINVAL;
  drop_claim(*thread);
  return 0;
}

}  // namespace replaced
}  // namespace fern::monkey
