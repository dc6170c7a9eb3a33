#include "io/workers.hpp"

#include "base/proc.hpp"
#include "base/signals_blocked.hpp"
#include "core/hub.hpp"

#include <fern/errors.hpp>

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <string>
#include <system_error>

namespace fern::io {
namespace {

constexpr std::chrono::seconds idle_limit(10);
constexpr std::size_t common_threads = 32;
constexpr std::size_t resolver_threads = 64;

// Whose job this thread is doing: a Workers::State, by address; null in other threads.
thread_local const void* serving = nullptr;

// An OS thread, also where the program's own threads are green.
int start_thread(void* (*body)(void*), void* argument) noexcept {
  base::SignalsBlocked blocked;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  int error = pthread_create(&thread, &attributes, body, argument);
  pthread_attr_destroy(&attributes);
  return error;
}

}  // namespace

// Shared by the Workers and their threads; the last one frees it.
struct Workers::State {
  State(std::size_t most, unsigned fork) noexcept : most(most), fork(fork) {}

  const std::size_t most;
  const unsigned fork;  // in which process
  std::mutex mutex;
  std::condition_variable work;
  Job* first = nullptr;  // queued
  Job* last = nullptr;
  std::size_t queued = 0;
  std::size_t idle = 0;    // threads that wait in `work`
  std::size_t alive = 0;   // threads
  std::size_t owners = 1;  // the Workers and each thread
  bool closed = false;     // the Workers are gone

  Job* take() noexcept {
    Job* job = first;
    first = job->next;
    --queued;
    return job;
  }

  // One thread more, with the mutex held; 0 or an errno.
  int start() noexcept {
    ++alive;
    ++owners;
    int error = start_thread(thread, this);
    if (error == 0) return 0;
    --alive;
    --owners;
    return error;
  }

  static void* thread(void* self) noexcept;
  void serve() noexcept;
  static void drop(State* state, std::unique_lock<std::mutex> lock) noexcept {
    bool unused = --state->owners == 0;
    lock.unlock();
    if (unused) delete state;
  }
};

// A thread that is about to tell is idle already: whoever is told finds nobody else at work.
void Workers::State::serve() noexcept {
  std::unique_lock lock(mutex);
  bool counted = false;  // in core's idle ones
  for (;;) {
    auto limit = std::chrono::steady_clock::now() + idle_limit;
    ++idle;
    if (queued == 0 && !counted) {
      core::service_thread_idle(1);  // made for a job that another has taken
      counted = true;
    }
    while (queued == 0 && !closed) {
      if (work.wait_until(lock, limit) == std::cv_status::timeout) break;
    }
    --idle;
    if (queued == 0) break;
    Job& job = *take();
    lock.unlock();
    if (counted) core::service_thread_idle(-1);
    job.work(job);
    core::service_thread_idle(1);
    counted = true;
    job.finish(job);
    lock.lock();
    // A job that used Fern has left a hub, which ends with its thread: no idle one keeps it.
    if (core::Hub::here() != nullptr && (queued <= idle || start() == 0)) break;
  }
  --alive;
  if (counted) core::service_thread_idle(-1);
  drop(this, std::move(lock));
}

void* Workers::State::thread(void* self) noexcept {
  pthread_setname_np(pthread_self(), "fern-worker");
  serving = self;
  static_cast<State*>(self)->serve();
  return nullptr;
}

Workers::Workers(std::size_t most) : most_(most), state_(new State(most, base::forks())) {}

Workers::~Workers() {
  State* last = state_.load(std::memory_order_acquire);
  if (last->fork != base::forks()) return;  // the parent's
  std::unique_lock lock(last->mutex);
  last->closed = true;
  last->work.notify_all();
  State::drop(last, std::move(lock));
}

Workers::State& Workers::state() {
  State* now = state_.load(std::memory_order_acquire);
  unsigned fork = base::forks();
  if (now->fork == fork) [[likely]]
    return *now;
  // The parent's, its mutex in whatever state: leave it.
  auto* fresh = new State(most_, fork);
  if (state_.compare_exchange_strong(now, fresh, std::memory_order_acq_rel)) return *fresh;
  delete fresh;
  return *now;
}

int Workers::submit(Job& job) noexcept {
  State* state = nullptr;
  try {
    state = &this->state();
  } catch (...) {
    return ENOMEM;
  }
  std::unique_lock lock(state->mutex);
  if (state->idle <= state->queued && state->alive < state->most) {
    int error = state->start();
    if (error != 0 && state->alive == 0) return error;
  }
  job.next = nullptr;
  (state->queued == 0 ? state->first : state->last->next) = &job;
  state->last = &job;
  ++state->queued;
  if (state->idle > 0) state->work.notify_one();
  return 0;
}

bool Workers::here() const noexcept {
  return serving != nullptr && serving == state_.load(std::memory_order_acquire);
}

std::size_t Workers::threads() const noexcept {
  State* state = state_.load(std::memory_order_acquire);
  std::lock_guard lock(state->mutex);
  return state->alive;
}

namespace {

std::exception_ptr failure_of(void (*call)(void*), void* context) noexcept {
  try {
    call(context);
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

// run()'s, on the waiting stack.
struct Awaited : Job, detail::Remote {
  core::Hub* hub = nullptr;
  core::Greenlet* greenlet = nullptr;
  void (*call)(void*) = nullptr;
  void* context = nullptr;
  std::exception_ptr error;
  bool done = false;  // the hub's thread only
};

}  // namespace

std::exception_ptr Workers::run(void (*call)(void*), void* context, const char* what) {
  if (here()) {
    // The job itself, and no greenlet that it has spawned: that one may wait while others run.
    core::Hub* its_own = core::Hub::here();
    if (its_own == nullptr || &its_own->running() == &its_own->main()) {
      return failure_of(call, context);
    }
  }
  core::Hub& hub = core::Hub::current();
  if (hub.on_own_stack()) {
    throw BlockingInHub(std::string(what) + " was called on the hub's own stack");
  }
  hub.loop();  // a forked child begins anew first
  Awaited job;
  job.hub = &hub;
  job.greenlet = &hub.running();
  job.call = call;
  job.context = context;
  job.work = [](Job& self) noexcept {
    auto& awaited = static_cast<Awaited&>(self);
    awaited.error = failure_of(awaited.call, awaited.context);
  };
  job.finish = [](Job& self) noexcept {
    auto& awaited = static_cast<Awaited&>(self);
    awaited.hub->post(static_cast<detail::Remote&>(awaited));
  };
  static_cast<detail::Remote&>(job).run = [](detail::Remote* self) noexcept {
    auto& awaited = *static_cast<Awaited*>(self);
    awaited.done = true;
    core::Hub::wake(*awaited.greenlet, core::Wake::Notified);
  };
  if (int error = submit(job); error != 0) {
    throw std::system_error(error, std::system_category(), std::string(what) + ": no thread");
  }
  core::Hub::External external(hub);
  ++job.greenlet->shields;
  while (!job.done) hub.try_park(what);
  --job.greenlet->shields;
  return job.error;
}

namespace {

// In static room and never destroyed: their threads may outlive every static object.
template <std::size_t most>
Workers& endless() {
  alignas(Workers) static unsigned char room[sizeof(Workers)];
  static auto* workers = ::new (static_cast<void*>(room)) Workers(most);
  return *workers;
}

}  // namespace

Workers& common_workers() { return endless<common_threads>(); }

Workers& resolver_workers() { return endless<resolver_threads>(); }

}  // namespace fern::io
