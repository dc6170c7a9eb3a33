#include "monkey/thread.hpp"

#include "base/real.hpp"
#include "core/greenlet.hpp"
#include "core/hub.hpp"
#include "monkey/green.hpp"
#include "monkey/hubs.hpp"
#include "monkey/keys.hpp"
#include "monkey/masks.hpp"
#include "monkey/state.hpp"
#include "monkey/tls.hpp"
#include "monkey/until.hpp"
#include "monkey/wait.hpp"

#include <fern/greenlet.hpp>

#include <sys/single_threaded.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

constexpr std::uint64_t dead_magic = 0;

std::atomic<std::uint32_t> cancels{
    0};  // pthread_cancel calls for green threads that have not ended

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
  __atomic_store_n(&thread.magic, dead_magic, __ATOMIC_RELAXED);
  thread.next = records.free;
  records.free = &thread;
}

void drop_claim(Thread& thread) noexcept {
  if (thread.claims.fetch_sub(1, std::memory_order_acq_rel) == 1) give_record(thread);
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
  records.made = records.peak = records.alive;
  if (me != nullptr) me->next = me->previous = nullptr;
}

// --- unwinding --------------------------------------------------------------------------------

struct CleanupBuffer {
  std::jmp_buf* jump() noexcept { return reinterpret_cast<std::jmp_buf*>(this); }
  // As <pthread.h> has it: the registers and a flag, then four pointers for the library.
  long registers[8];
  int mask_was_saved;
  CleanupBuffer* outer;
  void* room[3];
};
static_assert(sizeof(CleanupBuffer) == sizeof(__pthread_unwind_buf_t));

namespace {

// Asked at each frame, from the innermost, with the stack pointer that the frame has there. A
// function with a cleanup buffer has been passed when that is above the buffer.
_Unwind_Reason_Code stop(int, _Unwind_Action actions, _Unwind_Exception_Class, _Unwind_Exception*,
                         _Unwind_Context* context, void* argument) {
  auto& thread = *static_cast<Thread*>(argument);
  auto* frame = reinterpret_cast<char*>(_Unwind_GetCFA(context));
  bool end = (actions & _UA_END_OF_STACK) != 0 || frame > thread.frame;
  CleanupBuffer* cleanup = thread.cleanup;
  if (cleanup != nullptr && (end || reinterpret_cast<char*>(cleanup) < frame)) {
    _longjmp(*cleanup->jump(), 1);
  }
  if (end) _longjmp(thread.out, 1);
  return _URC_NO_REASON;
}

[[noreturn]] void unwind(Thread& thread) {
  std::memset(&thread.unwinding, 0, sizeof thread.unwinding);
  thread.unwinding.exception_cleanup = [](_Unwind_Reason_Code, _Unwind_Exception*) {
    std::fputs("fern: the end of a thread was caught and not thrown on\n", stderr);
    std::abort();
  };
  _Unwind_ForcedUnwind(&thread.unwinding, stop, &thread);
  // Nothing to unwind by: a frame without tables.
  _longjmp(thread.out, 1);
}

// What a cancelled wait has left pending is done now.
void act(Thread& thread) noexcept {
  thread.cancel_acted = true;
  core::Greenlet& greenlet = *thread.greenlet;
  greenlet.pending &= static_cast<std::uint8_t>(~core::pending_kill);
  greenlet.told &= static_cast<std::uint8_t>(~core::pending_kill);
  greenlet.kill_exception = nullptr;
}

void end(Thread& thread) noexcept {
  thread.cancel_acted = true;  // no cancellation point in what follows is one
  run_key_destructors(thread);
  thread_tls_ended(thread);
  core::Greenlet& greenlet = *thread.greenlet;
  if (thread.cancelled.load(std::memory_order_relaxed)) {
    act(thread);
    cancels.fetch_sub(1, std::memory_order_relaxed);
  }
  if (std::exchange(thread.cancel_disabled, false)) --greenlet.shields;
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
  if (_setjmp(thread->out) == 0) run(*thread);
  end(*thread);
}

}  // namespace

void end_if_cancelled() {
  if (cancels.load(std::memory_order_relaxed) == 0) [[likely]]
    return;
  Thread* thread = self();
  if (thread == nullptr || thread->cancel_acted || thread->cancel_disabled) return;
  if (!thread->cancelled.load(std::memory_order_acquire)) return;
  act(*thread);
  thread->result = PTHREAD_CANCELED;
  unwind(*thread);
}

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
  if (!spawns_green()) return native::pthread_create(handle, attributes, start, argument);
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

void pthread_exit(void* value) {
  if (Thread* thread = self()) {
    thread->result = value;
    thread->cancel_acted = true;
    unwind(*thread);
  }
  if (goes_green(Part::Threads)) main_exits();
  native::pthread_exit(value);
  __builtin_unreachable();
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
    int error = lot::wait(thread.ended, 0, "pthread_join()", limit);
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
  return thread == nullptr ? native::pthread_join(handle, value) : join(*thread, value, {});
}

int pthread_tryjoin_np(pthread_t handle, void** value) {
  Thread* thread = thread_of(handle);
  if (thread == nullptr) return native::pthread_tryjoin_np(handle, value);
  if (thread->ended.load(std::memory_order_acquire) == 0) {
    pause_turn();
    if (thread->ended.load(std::memory_order_acquire) == 0) return EBUSY;
  }
  return join(*thread, value, {});
}

int pthread_timedjoin_np(pthread_t handle, void** value, const timespec* time) {
  Thread* thread = thread_of(handle);
  if (thread == nullptr) return native::pthread_timedjoin_np(handle, value, time);
  Deadline limit;
  if (time != nullptr) {
    if (int error = until(CLOCK_REALTIME, *time, limit); error != 0) return error;
  }
  return join(*thread, value, limit);
}

int pthread_clockjoin_np(pthread_t handle, void** value, clockid_t clock, const timespec* time) {
  Thread* thread = thread_of(handle);
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
  if (thread == nullptr) return native::pthread_detach(handle);
  if (!thread->joinable.exchange(false, std::memory_order_acq_rel)) return EINVAL;
  drop_claim(*thread);
  return 0;
}

// --- cancelling -------------------------------------------------------------------------------

namespace {

struct CancelMessage : fern::detail::Remote {
  Thread* thread = nullptr;
};

// In the thread's hub.
void deliver(Thread& thread) noexcept {
  if (thread.greenlet != nullptr) core::kill(*thread.greenlet, nullptr);
}

}  // namespace

int pthread_cancel(pthread_t handle) {
  Thread* thread = thread_of(handle);
  if (thread == nullptr) return native::pthread_cancel(handle);
  if (thread->ended.load(std::memory_order_acquire) != 0) return 0;
  if (thread->cancelled.exchange(true, std::memory_order_acq_rel)) return 0;
  cancels.fetch_add(1, std::memory_order_relaxed);
  core::Hub* hub = nullptr;
  {
    std::lock_guard guard(records.lock);
    if (thread->greenlet != nullptr) hub = thread->hub;
  }
  if (hub == nullptr) return 0;  // it has not begun, and will see
  if (hub == core::Hub::here()) {
    deliver(*thread);
    if (thread == self() && thread->cancel_type == PTHREAD_CANCEL_ASYNCHRONOUS) end_if_cancelled();
    return 0;
  }
  auto* message = new (std::nothrow) CancelMessage;
  if (message == nullptr) return 0;  // at its next wait
  message->thread = thread;
  thread->claims.fetch_add(1, std::memory_order_relaxed);
  message->run = [](fern::detail::Remote* remote) noexcept {
    auto* arrived = static_cast<CancelMessage*>(remote);
    deliver(*arrived->thread);
    drop_claim(*arrived->thread);
    delete arrived;
  };
  hub->post(*message);
  return 0;
}

void pthread_testcancel() {
  if (self() == nullptr) return native::pthread_testcancel();
  end_if_cancelled();
}

int pthread_setcancelstate(int state, int* before) {
  Thread* thread = self();
  if (thread == nullptr) return native::pthread_setcancelstate(state, before);
  if (state != PTHREAD_CANCEL_ENABLE && state != PTHREAD_CANCEL_DISABLE) return EINVAL;
  bool disable = state == PTHREAD_CANCEL_DISABLE;
  if (before != nullptr) {
    *before = thread->cancel_disabled ? PTHREAD_CANCEL_DISABLE : PTHREAD_CANCEL_ENABLE;
  }
  if (disable != thread->cancel_disabled) {
    core::Greenlet& greenlet = *thread->greenlet;
    greenlet.shields = static_cast<std::uint16_t>(greenlet.shields + (disable ? 1 : -1));
    thread->cancel_disabled = disable;
  }
  return 0;
}

int pthread_setcanceltype(int type, int* before) {
  Thread* thread = self();
  if (thread == nullptr) return native::pthread_setcanceltype(type, before);
  if (type != PTHREAD_CANCEL_DEFERRED && type != PTHREAD_CANCEL_ASYNCHRONOUS) return EINVAL;
  if (before != nullptr) *before = thread->cancel_type;
  thread->cancel_type = type;
  if (type == PTHREAD_CANCEL_ASYNCHRONOUS) end_if_cancelled();
  return 0;
}

// What pthread_cleanup_push makes of code that was compiled without exceptions.
void __pthread_register_cancel(__pthread_unwind_buf_t* buffer) {
  Thread* thread = self();
  if (thread == nullptr) return native::__pthread_register_cancel(buffer);
  auto* cleanup = reinterpret_cast<CleanupBuffer*>(buffer);
  cleanup->outer = thread->cleanup;
  thread->cleanup = cleanup;
}

void __pthread_unregister_cancel(__pthread_unwind_buf_t* buffer) {
  Thread* thread = self();
  if (thread == nullptr) return native::__pthread_unregister_cancel(buffer);
  thread->cleanup = reinterpret_cast<CleanupBuffer*>(buffer)->outer;
}

void __pthread_unwind_next(__pthread_unwind_buf_t* buffer) {
  Thread* thread = self();
  if (thread == nullptr) return native::__pthread_unwind_next(buffer);
  thread->cleanup = reinterpret_cast<CleanupBuffer*>(buffer)->outer;
  unwind(*thread);
}

// --- what is known of a thread ----------------------------------------------------------------

int pthread_setname_np(pthread_t handle, const char* name) {
  Thread* thread = thread_of(handle);
  if (thread == nullptr) return native::pthread_setname_np(handle, name);
  if (std::strlen(name) >= sizeof thread->name) return ERANGE;
  std::strcpy(thread->name, name);
  return 0;
}

int pthread_getname_np(pthread_t handle, char* name, size_t size) {
  Thread* thread = thread_of(handle);
  if (thread == nullptr) return native::pthread_getname_np(handle, name, size);
  if (size < sizeof thread->name) return ERANGE;
  if (thread->name[0] != '\0') {
    std::strcpy(name, thread->name);
    return 0;
  }
  return native::pthread_getname_np(native::pthread_self(), name, size);
}

int pthread_getattr_np(pthread_t handle, pthread_attr_t* attributes) {
  Thread* thread = thread_of(handle);
  if (thread == nullptr) return native::pthread_getattr_np(handle, attributes);
  if (int error = pthread_attr_init(attributes); error != 0) return error;
  pthread_attr_setdetachstate(
      attributes, thread->joinable.load() ? PTHREAD_CREATE_JOINABLE : PTHREAD_CREATE_DETACHED);
  pthread_attr_setguardsize(attributes, thread->guard_size);
  std::lock_guard guard(records.lock);
  if (thread->greenlet != nullptr) {
    core::Stack stack = core::stack_of(*thread->greenlet);
    pthread_attr_setstack(attributes, stack.bottom, stack.size());
  } else {
    pthread_attr_setstacksize(attributes, thread->stack_size);
  }
  return 0;
}

// All green threads of a hub run where its OS thread may.
int pthread_setaffinity_np(pthread_t handle, size_t size, const cpu_set_t* set) {
  if (thread_of(handle) == nullptr) return native::pthread_setaffinity_np(handle, size, set);
  cpu_set_t possible;
  CPU_ZERO(&possible);
  if (sched_getaffinity(0, sizeof possible, &possible) != 0) return errno;
  for (std::size_t cpu = 0; cpu < std::min(size, sizeof possible) * 8; ++cpu) {
    if (CPU_ISSET_S(cpu, size, set) && CPU_ISSET(cpu, &possible)) return 0;
  }
  return EINVAL;
}

int pthread_getaffinity_np(pthread_t handle, size_t size, cpu_set_t* set) {
  if (thread_of(handle) == nullptr) return native::pthread_getaffinity_np(handle, size, set);
  std::memset(set, 0, size);
  return sched_getaffinity(0, size, set) < 0 ? errno : 0;
}

int pthread_getcpuclockid(pthread_t handle, clockid_t* clock) {
  if (thread_of(handle) == nullptr) return native::pthread_getcpuclockid(handle, clock);
  *clock = CLOCK_THREAD_CPUTIME_ID;  // of the OS thread, whose time all its green threads share
  return 0;
}

int pthread_getschedparam(pthread_t handle, int* policy, sched_param* parameters) {
  if (thread_of(handle) == nullptr)
    return native::pthread_getschedparam(handle, policy, parameters);
  return native::pthread_getschedparam(native::pthread_self(), policy, parameters);
}

int pthread_setschedparam(pthread_t handle, int policy, const sched_param* parameters) {
  if (thread_of(handle) == nullptr)
    return native::pthread_setschedparam(handle, policy, parameters);
  return policy == SCHED_OTHER && parameters->sched_priority == 0 ? 0 : EPERM;
}

int pthread_setschedprio(pthread_t handle, int priority) {
  if (thread_of(handle) == nullptr) return native::pthread_setschedprio(handle, priority);
  return priority == 0 ? 0 : EPERM;
}

// A signal for a green thread is one for the OS thread that takes the signals.
int pthread_kill(pthread_t handle, int signal) {
  Thread* thread = thread_of(handle);
  if (thread == nullptr) return native::pthread_kill(handle, signal);
  if (signal < 0 || signal >= NSIG) return EINVAL;
  if (thread->ended.load(std::memory_order_acquire) != 0 || signal == 0) return 0;
  return native::pthread_kill(main_thread(), signal);
}

int pthread_sigqueue(pthread_t handle, int signal, const sigval value) {
  Thread* thread = thread_of(handle);
  if (thread == nullptr) return native::pthread_sigqueue(handle, signal, value);
  return native::pthread_sigqueue(main_thread(), signal, value);
}

}  // namespace replaced
}  // namespace fern::monkey
