// What is known of a thread, and told about it: name, stack, where it may run, its clock, signals
// for it. A green thread answers for itself where it can, and as its OS thread does else.

#include "monkey/green.hpp"
#include "monkey/hubs.hpp"
#include "monkey/thread.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fern::monkey::replaced {

int pthread_setname_np(pthread_t handle, const char* name) {
  Thread* thread = thread_of(handle);
  if (gone(handle)) return ESRCH;
  if (thread == nullptr) return native::pthread_setname_np(handle, name);
  if (std::strlen(name) >= sizeof thread->name) return ERANGE;
  std::strcpy(thread->name, name);
  return 0;
}

int pthread_getname_np(pthread_t handle, char* name, size_t size) {
  Thread* thread = thread_of(handle);
  if (gone(handle)) return ESRCH;
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
  if (gone(handle)) return ESRCH;
  if (thread == nullptr) return native::pthread_getattr_np(handle, attributes);
  if (int error = pthread_attr_init(attributes); error != 0) return error;
  pthread_attr_setdetachstate(
      attributes, thread->joinable.load() ? PTHREAD_CREATE_JOINABLE : PTHREAD_CREATE_DETACHED);
  pthread_attr_setguardsize(attributes, thread->guard_size);
  core::Stack stack = stack_of(*thread);
  if (stack.bottom != nullptr) {
    pthread_attr_setstack(attributes, stack.bottom, stack.size());
  } else {
    pthread_attr_setstacksize(attributes, thread->stack_size);
  }
  return 0;
}

// All green threads of a hub run where its OS thread may.
int pthread_setaffinity_np(pthread_t handle, size_t size, const cpu_set_t* set) {
  if (gone(handle)) return ESRCH;
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
  if (gone(handle)) return ESRCH;
  if (thread_of(handle) == nullptr) return native::pthread_getaffinity_np(handle, size, set);
  std::memset(set, 0, size);
  return sched_getaffinity(0, size, set) < 0 ? errno : 0;
}

int pthread_getcpuclockid(pthread_t handle, clockid_t* clock) {
  if (gone(handle)) return ESRCH;
  if (thread_of(handle) == nullptr) return native::pthread_getcpuclockid(handle, clock);
  *clock = CLOCK_THREAD_CPUTIME_ID;  // of the OS thread, whose time all its green threads share
  return 0;
}

int pthread_getschedparam(pthread_t handle, int* policy, sched_param* parameters) {
  if (gone(handle)) return ESRCH;
  if (thread_of(handle) == nullptr)
    return native::pthread_getschedparam(handle, policy, parameters);
  return native::pthread_getschedparam(native::pthread_self(), policy, parameters);
}

int pthread_setschedparam(pthread_t handle, int policy, const sched_param* parameters) {
  if (gone(handle)) return ESRCH;
  if (thread_of(handle) == nullptr)
    return native::pthread_setschedparam(handle, policy, parameters);
  return policy == SCHED_OTHER && parameters->sched_priority == 0 ? 0 : EPERM;
}

int pthread_setschedprio(pthread_t handle, int priority) {
  if (gone(handle)) return ESRCH;
  if (thread_of(handle) == nullptr) return native::pthread_setschedprio(handle, priority);
  return priority == 0 ? 0 : EPERM;
}

// A signal for a green thread is one for the OS thread that takes the signals.
int pthread_kill(pthread_t handle, int signal) {
  Thread* thread = thread_of(handle);
  if (gone(handle)) return ESRCH;
  if (thread == nullptr) return native::pthread_kill(handle, signal);
  if (signal < 0 || signal >= NSIG) return EINVAL;
  if (thread->ended.load(std::memory_order_acquire) != 0 || signal == 0) return 0;
  return native::pthread_kill(main_thread(), signal);
}

int pthread_sigqueue(pthread_t handle, int signal, const sigval value) {
  Thread* thread = thread_of(handle);
  if (gone(handle)) return ESRCH;
  if (thread == nullptr) return native::pthread_sigqueue(handle, signal, value);
  return native::pthread_sigqueue(main_thread(), signal, value);
}

}  // namespace fern::monkey::replaced
