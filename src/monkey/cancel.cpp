// How a thread ends before its function returns: pthread_exit, and pthread_cancel at the next wait.
// Either unwinds the stack, C++ frames and those of C, up to thread.cpp's run().

#include "core/greenlet.hpp"
#include "core/hub.hpp"
#include "monkey/green.hpp"
#include "monkey/hubs.hpp"
#include "monkey/state.hpp"
#include "monkey/thread.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace fern::monkey {
namespace {

// Calls of pthread_cancel for green threads that have not ended.
std::atomic<std::uint32_t> cancels{0};

}  // namespace

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

// What a cancel has left pending is done: nothing that follows is a cancellation point.
void act(Thread& thread) noexcept {
  thread.cancel_acted = true;
  core::Greenlet& greenlet = *thread.greenlet;
  greenlet.pending &= static_cast<std::uint8_t>(~core::pending_kill);
  greenlet.told &= static_cast<std::uint8_t>(~core::pending_kill);
  greenlet.kill_exception = nullptr;
}

}  // namespace

void cancel_began(Thread& thread) noexcept {
  if (thread.cancelled.load(std::memory_order_acquire)) core::kill(*thread.greenlet, nullptr);
}

void cancel_ended(Thread& thread) noexcept {
  if (thread.cancelled.exchange(true, std::memory_order_acq_rel)) {
    cancels.fetch_sub(1, std::memory_order_relaxed);
  }
  act(thread);
  if (std::exchange(thread.cancel_disabled, false)) --thread.greenlet->shields;
}

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

void pthread_exit(void* value) {
  if (Thread* thread = self()) {
    thread->result = value;
    act(*thread);
    unwind(*thread);
  }
  core::Hub* hub = core::Hub::left();
  if (goes_green(Part::Threads) && hub == first_hub() && &hub->running() == &hub->main()) {
    main_exits();
  }
  native::pthread_exit(value);
  __builtin_unreachable();
}

namespace {

// In the thread's hub.
void deliver(Thread& thread) noexcept {
  if (thread.greenlet != nullptr && !thread.cancel_acted) core::kill(*thread.greenlet, nullptr);
}

}  // namespace

int pthread_cancel(pthread_t handle) {
  Thread* thread = thread_of(handle);
  if (gone(handle)) return ESRCH;
  if (thread == nullptr) return native::pthread_cancel(handle);
  if (thread->ended.load(std::memory_order_acquire) != 0) return 0;
  if (thread->cancelled.exchange(true, std::memory_order_acq_rel)) return 0;
  cancels.fetch_add(1, std::memory_order_relaxed);
  core::Hub* hub = hub_of(*thread);
  if (hub == nullptr) return 0;  // it has not begun, and will see
  if (hub == core::Hub::here()) {
    deliver(*thread);
    if (thread == self() && thread->cancel_type == PTHREAD_CANCEL_ASYNCHRONOUS) end_if_cancelled();
    return 0;
  }
  thread->claims.fetch_add(1, std::memory_order_relaxed);
  thread->cancelling.thread = thread;
  thread->cancelling.run = [](fern::detail::Remote* remote) noexcept {
    Thread& thread = *static_cast<Thread::Cancelling*>(remote)->thread;
    deliver(thread);
    drop_claim(thread);
  };
  hub->post(thread->cancelling);
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

}  // namespace replaced
}  // namespace fern::monkey
