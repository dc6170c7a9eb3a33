// C11's threads and locks, which glibc makes of pthreads: inside, so they do not come by our
// wrappers.

#include "monkey/green.hpp"

#include <cerrno>
#include <cstdint>

namespace fern::monkey::replaced {
namespace {

int c11(int error) noexcept {
  switch (error) {
    case 0:
      return thrd_success;
    case EBUSY:
      return thrd_busy;
    case ENOMEM:
      return thrd_nomem;
    case ETIMEDOUT:
      return thrd_timedout;
    default:
      return thrd_error;
  }
}

pthread_mutex_t* inside(mtx_t* mutex) noexcept { return reinterpret_cast<pthread_mutex_t*>(mutex); }
pthread_cond_t* inside(cnd_t* cond) noexcept { return reinterpret_cast<pthread_cond_t*>(cond); }

// An int function is called as one that returns a pointer: on this machine the register is the
// same, and the result is read as an int again.
using Start = void* (*)(void*);

}  // namespace

int thrd_create(thrd_t* handle, thrd_start_t start, void* argument) {
  int error = replaced::pthread_create(
      handle, nullptr, reinterpret_cast<Start>(reinterpret_cast<void*>(start)), argument);
  return error == EAGAIN ? thrd_nomem : c11(error);
}

int thrd_join(thrd_t handle, int* result) {
  void* value = nullptr;
  int error = replaced::pthread_join(handle, &value);
  if (error == 0 && result != nullptr) {
    *result = static_cast<int>(reinterpret_cast<std::intptr_t>(value));
  }
  return c11(error);
}

int thrd_detach(thrd_t handle) { return c11(replaced::pthread_detach(handle)); }

void thrd_exit(int result) {
  replaced::pthread_exit(reinterpret_cast<void*>(static_cast<std::intptr_t>(result)));
}

thrd_t thrd_current() { return replaced::pthread_self(); }

void thrd_yield() { replaced::sched_yield(); }

int mtx_lock(mtx_t* mutex) { return c11(replaced::pthread_mutex_lock(inside(mutex))); }
int mtx_trylock(mtx_t* mutex) { return c11(replaced::pthread_mutex_trylock(inside(mutex))); }
int mtx_unlock(mtx_t* mutex) { return c11(replaced::pthread_mutex_unlock(inside(mutex))); }
int mtx_timedlock(mtx_t* mutex, const timespec* time) {
  return c11(replaced::pthread_mutex_timedlock(inside(mutex), time));
}

int cnd_wait(cnd_t* cond, mtx_t* mutex) {
  return c11(replaced::pthread_cond_wait(inside(cond), inside(mutex)));
}
int cnd_timedwait(cnd_t* cond, mtx_t* mutex, const timespec* time) {
  return c11(replaced::pthread_cond_timedwait(inside(cond), inside(mutex), time));
}
int cnd_signal(cnd_t* cond) { return c11(replaced::pthread_cond_signal(inside(cond))); }
int cnd_broadcast(cnd_t* cond) { return c11(replaced::pthread_cond_broadcast(inside(cond))); }

int tss_create(tss_t* key, tss_dtor_t destructor) {
  return c11(green::pthread_key_create(key, destructor));
}
void tss_delete(tss_t key) { green::pthread_key_delete(key); }
void* tss_get(tss_t key) { return replaced::pthread_getspecific(key); }
int tss_set(tss_t key, void* value) { return c11(replaced::pthread_setspecific(key, value)); }

void call_once(once_flag* flag, void (*routine)()) {
  replaced::pthread_once(reinterpret_cast<pthread_once_t*>(flag), routine);
}

}  // namespace fern::monkey::replaced
