#include "core/registry.hpp"

#include "base/proc.hpp"
#include "core/fault.hpp"

#include <pthread.h>

#include <atomic>
#include <new>
#include <vector>

namespace fern::core {
namespace {

// Never destroyed: threads may end, and post, after the statics are gone.
struct Lists {
  std::recursive_mutex mutex;
  std::vector<Hub*> live;
  std::vector<Hub*> spare;
};

Lists& lists() noexcept {
  static Lists* lists = new Lists;
  return *lists;
}

constinit std::atomic<int> idle_service_threads{0};

#ifdef FERN_TSAN
constexpr std::size_t tool_threads = 1;  // the runtime's own
#else
constexpr std::size_t tool_threads = 0;
#endif

void install_once() {
  static const bool installed = [] {
    fault_handler_install();
    // The mutex may not be held by a thread that the child does not have.
    pthread_atfork([] { lists().mutex.lock(); }, [] { lists().mutex.unlock(); },
                   [] {
                     // Recursive mutexes know their owner by a number that the child has lost.
                     ::new (&lists().mutex) std::recursive_mutex;
                     Registry::forked(Hub::left());
                   });
    return true;
  }();
  static_cast<void>(installed);
}

}  // namespace

std::recursive_mutex& Registry::mutex() noexcept { return lists().mutex; }

const std::vector<Hub*>& Registry::live() noexcept { return lists().live; }

Hub* Registry::take() {
  install_once();
  std::lock_guard lock(mutex());
  if (lists().spare.empty()) {
    lists().spare.reserve(lists().live.size() + 1);
    lists().live.reserve(lists().live.size() + 1);
    return new Hub;
  }
  Hub* hub = lists().spare.back();
  lists().spare.pop_back();
  return hub;
}

void Registry::put_back(Hub& hub) noexcept {
  std::lock_guard lock(mutex());
  lists().spare.push_back(&hub);
}

void Registry::opened(Hub& hub) noexcept {
  std::lock_guard lock(mutex());
  lists().live.push_back(&hub);
  hub.closed_.store(false, std::memory_order_seq_cst);
}

void Registry::closed(Hub& hub) noexcept {
  std::lock_guard lock(mutex());
  hub.closed_.store(true, std::memory_order_seq_cst);
  hub.waits_stuck_ = false;
  std::erase(lists().live, &hub);
}

void service_thread_idle(int change) noexcept {
  idle_service_threads.fetch_add(change, std::memory_order_seq_cst);
}

bool Registry::others_alive() noexcept {
  std::lock_guard lock(mutex());
  std::size_t known =
      lists().live.size() + tool_threads +
      static_cast<std::size_t>(idle_service_threads.load(std::memory_order_seq_cst));
  std::size_t threads = base::thread_count();
  return threads == 0 || threads > known;
}

bool Registry::all_stuck(Hub& hub) noexcept {
  std::lock_guard lock(mutex());
  hub.waits_stuck_ = true;
  for (Hub* other : lists().live) {
    if (!other->waits_stuck_ || other->mailbox_.load(std::memory_order_seq_cst) != nullptr) {
      return false;
    }
  }
  return true;
}

bool Registry::declare(Hub& hub) noexcept {
  std::lock_guard lock(mutex());
  // In this order: a thread that has ended may have posted just before.
  if (others_alive() || !all_stuck(hub)) return false;
  for (Hub* other : lists().live) {
    other->waits_stuck_ = false;
    if (other == &hub) continue;
    other->deadlocked_.store(true, std::memory_order_seq_cst);
    other->loop_->wake_up();
  }
  return true;
}

void Registry::unstuck(Hub& hub) noexcept {
  std::lock_guard lock(mutex());
  hub.waits_stuck_ = false;
}

void Registry::forked(Hub* here) noexcept {
  // A thread that the child does not have may hold it.
  for (Hub* each : lists().live) each->strangers_lock.unlock();
  lists().live.clear();
  idle_service_threads.store(0, std::memory_order_relaxed);
  if (here == nullptr) return;
  lists().live.push_back(here);
  here->waits_stuck_ = false;
  here->mark_forked();
}

}  // namespace fern::core
