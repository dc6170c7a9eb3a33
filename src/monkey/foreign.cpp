#include "monkey/foreign.hpp"

#include "base/native.hpp"
#include "core/hub.hpp"
#include "io/workers.hpp"
#include "monkey/by_worker.hpp"
#include "monkey/green.hpp"
#include "monkey/lock_words.hpp"
#include "monkey/owners.hpp"
#include "monkey/thread.hpp"
#include "monkey/tls.hpp"

#include <atomic>
#include <cerrno>
#include <new>

namespace fern::monkey {
namespace {

// Robust ones stand in a list of the OS thread's, which the kernel reads when it ends.
int call_native(int (*call)(pthread_mutex_t*), pthread_mutex_t& mutex) noexcept {
  if (!is_robust(mutex)) return call(&mutex);
  struct Context {
    int (*call)(pthread_mutex_t*);
    pthread_mutex_t* mutex;
    int result;
  } context{call, &mutex, 0};
  in_os_thread(
      [](void* self) noexcept {
        auto& here = *static_cast<Context*>(self);
        here.result = here.call(here.mutex);
      },
      &context);
  return context.result;
}

bool knows_owner(const pthread_mutex_t& mutex) noexcept {
  int type = type_of(mutex);
  return type == recursive || type == errorcheck || is_robust(mutex);
}

// As many as are needed: each waits for another process.
io::Workers& threads() {
  constexpr std::size_t any_number = 1'000'000;
  static auto* all = new io::Workers(any_number);
  return *all;
}

// What a thread does for a green one, on whose stack it lives.
struct Stead : io::Job, fern::detail::Remote {
  pthread_cond_t* cond = nullptr;
  clockid_t clock = -1;
  const timespec* time = nullptr;
  pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
  core::Hub* hub = nullptr;
  core::Greenlet* greenlet = nullptr;
  int result = 0;
  std::atomic<bool> begun{false};  // it has `own`, until it waits
  bool done = false;               // the hub's thread only

  void wait() noexcept {
    native::pthread_mutex_lock(&own);
    begun.store(true, std::memory_order_release);
    if (time == nullptr) {
      result = native::pthread_cond_wait(cond, &own);
    } else if (clock < 0) {
      result = native::pthread_cond_timedwait(cond, &own, time);
    } else {
      result = native::pthread_cond_clockwait(cond, &own, clock, time);
    }
    native::pthread_mutex_unlock(&own);
  }
  int try_own() noexcept {
    if (!begun.load(std::memory_order_acquire)) return EBUSY;
    int error = native::pthread_mutex_trylock(&own);
    if (error == 0) native::pthread_mutex_unlock(&own);
    return error;
  }
};

// False when there is no thread.
bool start(Stead& stead) noexcept {
  stead.hub = core::Hub::here();
  stead.greenlet = &stead.hub->running();
  stead.work = [](io::Job& self) noexcept { static_cast<Stead&>(self).wait(); };
  stead.finish = [](io::Job& self) noexcept {
    auto& ended = static_cast<Stead&>(self);
    ended.hub->post(static_cast<fern::detail::Remote&>(ended));
  };
  stead.run = [](fern::detail::Remote* self) noexcept {
    auto& ended = *static_cast<Stead*>(self);
    ended.done = true;
    core::Hub::wake(*ended.greenlet, core::Wake::Notified);
  };
  try {
    return threads().submit(stead) == 0;
  } catch (...) {
    return false;
  }
}

}  // namespace

int try_foreign(pthread_mutex_t& mutex) noexcept {
  if (!knows_owner(mutex)) return native::pthread_mutex_trylock(&mutex);
  std::uint32_t me = self_id();
  Owners::Whose whose = owners.whose(&mutex, me);
  if (whose == Owners::Others) return EBUSY;
  int type = type_of(mutex);
  if (whose == Owners::Mine && type != recursive) return type == errorcheck ? EDEADLK : EBUSY;
  int error = call_native(native::pthread_mutex_trylock.get(), mutex);
  if (error == 0 || error == EOWNERDEAD) owners.take(&mutex, me);
  return error;
}

int unlock_foreign(pthread_mutex_t& mutex) noexcept {
  if (!knows_owner(mutex)) return native::pthread_mutex_unlock(&mutex);
  std::uint32_t me = self_id();
  Owners::Whose whose = owners.whose(&mutex, me);
  if (whose == Owners::Others) return EPERM;
  // Once it is unlocked it may be another's, or gone.
  if (whose == Owners::Mine) owners.release(&mutex);
  int error = call_native(native::pthread_mutex_unlock.get(), mutex);
  if (error != 0 && whose == Owners::Mine) owners.take(&mutex, me);
  return error;
}

int wait_foreign(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock,
                 const timespec* time) {
  if (time != nullptr && (time->tv_nsec < 0 || time->tv_nsec >= 1'000'000'000)) return EINVAL;
  Stead stead;
  stead.cond = cond;
  stead.clock = clock;
  stead.time = time;
  if (!start(stead)) {
    blocks_natively();
    if (time == nullptr) return native::pthread_cond_wait(cond, mutex);
    return clock < 0 ? native::pthread_cond_timedwait(cond, mutex, time)
                     : native::pthread_cond_clockwait(cond, mutex, clock, time);
  }
  core::Hub& hub = *stead.hub;
  core::Hub::External external(hub);
  ask_until("pthread_cond_wait()", {}, [&] { return stead.try_own(); });
  int error = replaced::pthread_mutex_unlock(mutex);
  bool ends = false;
  if (error != 0) native::pthread_cond_broadcast(cond);  // comes back
  while (!stead.done) {
    core::Wake why = hub.try_park("pthread_cond_wait()");
    if (why != core::Wake::Interrupted) continue;
    // Others are woken for nothing, as they have to expect.
    ends = true;
    native::pthread_cond_broadcast(cond);
    ++stead.greenlet->shields;
    while (!stead.done) hub.try_park("pthread_cond_wait()");
    --stead.greenlet->shields;
  }
  if (error != 0) return error;
  if (int locked = replaced::pthread_mutex_lock(mutex); locked != 0) return locked;
  if (ends) {
    core::refuse(*stead.greenlet);
    end_if_cancelled();
  }
  return stead.result;
}

int meet_foreign(pthread_barrier_t* barrier) noexcept {
  return by_worker(threads(), "pthread_barrier_wait()",
                   [barrier] { return native::pthread_barrier_wait(barrier); });
}

}  // namespace fern::monkey
