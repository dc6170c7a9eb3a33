#include "monkey/hubs.hpp"

#include "base/native.hpp"
#include "base/real.hpp"
#include "core/hub.hpp"
#include "monkey/green.hpp"
#include "monkey/lot.hpp"
#include "monkey/masks.hpp"
#include "monkey/owners.hpp"
#include "monkey/shared_memory.hpp"
#include "monkey/spin_watch.hpp"
#include "monkey/state.hpp"
#include "monkey/stream_locks.hpp"
#include "monkey/thread.hpp"
#include "monkey/tls.hpp"

#include <fern/greenlet.hpp>

#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

namespace fern::monkey {
namespace {

constexpr unsigned most_hubs = 256;

// The first is main's.
struct Place {
  std::atomic<core::Hub*> hub{nullptr};
  pthread_t thread{};
};
constinit Place places[most_hubs];
constinit std::atomic<unsigned> wanted{1};
constinit std::atomic<unsigned> running{0};
constinit std::atomic<unsigned> turn{0};

bool in_main_thread() noexcept { return gettid() == getpid(); }

// A hub's own OS thread: main of it waits for ever, its greenlets run.
void* serve(void* place) {
  auto& mine = *static_cast<Place*>(place);
  core::Hub& hub = core::Hub::current();
  ++hub.main().shields;  // nobody ends it
  mine.hub.store(&hub, std::memory_order_release);
  core::Hub::External external(hub);  // others send it threads
  watch_this_hub();
  for (;;) hub.try_park("green threads");
}

// The child has one thread, whichever it was.
void forked() noexcept {
  lot::forked();
  threads_forked();
  tls_forked();
  masks_forked();
  owners.forked();
  sharing_forked();
  stream_locks_forked();
  places[0].hub.store(core::Hub::left(), std::memory_order_relaxed);
  places[0].thread = native::pthread_self();
  for (unsigned i = 1; i < most_hubs; ++i) places[i].hub.store(nullptr, std::memory_order_relaxed);
  running.store(1, std::memory_order_relaxed);
}

bool open_all() noexcept {
  if (running.load(std::memory_order_acquire) > 0) return true;
  if (core::Hub::here() == nullptr && !in_main_thread()) return false;
  try {
    core::Hub& hub = core::Hub::current();
    ++hub.main().shields;
    core::exit_leaves_greenlets = true;
    places[0].thread = native::pthread_self();
    places[0].hub.store(&hub, std::memory_order_release);
  } catch (...) {
    return false;
  }
  if (before_first_thread != nullptr) before_first_thread();
  pthread_atfork(nullptr, nullptr, forked);
  watch_for_spins();
  unsigned count = 1;
  for (; count < wanted.load(std::memory_order_relaxed); ++count) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    for (int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, spin_signal})
      sigdelset(&all, own);
    native::pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = native::pthread_create(&places[count].thread, nullptr, serve, &places[count]);
    native::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0) break;
    while (places[count].hub.load(std::memory_order_acquire) == nullptr) real::sched_yield();
  }
  running.store(count, std::memory_order_release);
  return true;
}

// Sent to another hub.
struct Start : fern::detail::Remote {
  Thread* thread = nullptr;
  void (*body)(Thread*) noexcept = nullptr;
};

bool spawn_here(Thread& thread, void (*body)(Thread*) noexcept) noexcept {
  try {
    SpawnOptions options;
    options.stack_size = thread.stack_size;
    spawn(options, body, &thread);
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

void (*before_first_thread)() = nullptr;

void use_hubs(unsigned count) noexcept {
  wanted.store(count == 0 ? 1 : count > most_hubs ? most_hubs : count, std::memory_order_relaxed);
}

namespace {

// libgomp's threads wait by system calls that it makes itself, which would block all of a hub.
bool waits_past_us(void* (*start)(void*)) noexcept {
  dl_find_object found{};
  if (_dl_find_object(reinterpret_cast<void*>(start), &found) != 0) return false;
  const char* name = found.dlfo_link_map->l_name;
  if (name == nullptr || std::strstr(name, "/libgomp.so") == nullptr) return false;
  static constinit std::atomic<bool> told{false};
  if (!told.exchange(true, std::memory_order_relaxed)) {
    std::string text = std::string("fern: the threads of ") + name +
                       " stay OS threads: they wait by system calls of its own\n";
    real::write_all(2, text.data(), text.size());
  }
  return true;
}

}  // namespace

bool spawns_green(void* (*start)(void*)) noexcept {
  if (base::native_depth != 0) return false;
  core::Hub* hub = core::Hub::here();
  bool ours = hub != nullptr ? !hub->on_own_stack() : in_main_thread();
  return ours && !waits_past_us(start);
}

bool start_somewhere(Thread& thread, void (*body)(Thread*) noexcept) {
  if (!open_all()) return false;
  unsigned count = running.load(std::memory_order_relaxed);
  unsigned place = count == 1 ? 0 : turn.fetch_add(1, std::memory_order_relaxed) % count;
  core::Hub* hub = places[place].hub.load(std::memory_order_acquire);
  if (hub == core::Hub::mine()) return spawn_here(thread, body);
  auto* start = new (std::nothrow) Start;
  if (start == nullptr) return false;
  start->thread = &thread;
  start->body = body;
  start->run = [](fern::detail::Remote* remote) noexcept {
    auto* arrived = static_cast<Start*>(remote);
    // What pthread_create has promised cannot be taken back.
    if (!spawn_here(*arrived->thread, arrived->body)) {
      std::fputs("fern: no memory for a thread that pthread_create has promised\n", stderr);
      std::abort();
    }
    delete arrived;
  };
  hub->post(*start);
  return true;
}

bool several_hubs() noexcept { return running.load(std::memory_order_relaxed) > 1; }

core::Hub* first_hub() noexcept { return places[0].hub.load(std::memory_order_acquire); }

pthread_t main_thread() noexcept { return places[0].thread; }

void main_exits() {
  wait_for_threads();
  std::exit(0);
}

std::uint64_t all_switches() noexcept {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < running.load(std::memory_order_acquire); ++i) {
    core::Hub* hub = places[i].hub.load(std::memory_order_relaxed);
    if (hub != nullptr) sum += hub->switches();
  }
  return sum;
}

}  // namespace fern::monkey
