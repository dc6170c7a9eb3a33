#pragma once

// Registry knows all hubs: those that serve a thread, and those that wait for one. It decides
// when nobody is left who could wake anybody. Everything here takes its mutex.

#include "core/hub.hpp"

#include <cstddef>
#include <mutex>
#include <vector>

namespace fern::core {

struct Registry {
  // take() gives a hub that no thread uses, made if there is none; put_back() is its end.
  static Hub* take();
  static void put_back(Hub& hub) noexcept;

  // opened() and closed() say that a hub serves a thread, or does not any more.
  static void opened(Hub& hub) noexcept;
  static void closed(Hub& hub) noexcept;

  // all_stuck() says that this hub is idle with nothing pending; true when so are all hubs.
  static bool all_stuck(Hub& hub) noexcept;
  static void unstuck(Hub& hub) noexcept;

  // declare() is true when all hubs are still stuck and the process has no other thread: then
  // nobody can ever wake anybody, and the other hubs have been told so.
  static bool declare(Hub& hub) noexcept;

  // others_alive() asks whether some thread exists that is no stuck hub's nor idle worker's.
  static bool others_alive() noexcept;

  // with_closed() calls f() alone with a hub that serves no thread; not at all if it does.
  template <class F>
  static void with_closed(Hub& hub, F&& f) noexcept {
    std::lock_guard lock(mutex());
    if (hub.closed_.load(std::memory_order_seq_cst)) f();
  }

  // for_each_live() calls f for every hub that serves a thread.
  template <class F>
  static void for_each_live(F&& f) {
    std::lock_guard lock(mutex());
    for (Hub* hub : live()) f(*hub);
  }

  // forked() is called in a child: only the calling thread's hub is left.
  static void forked(Hub* here) noexcept;

 private:
  static std::recursive_mutex& mutex() noexcept;
  static const std::vector<Hub*>& live() noexcept;
};

}  // namespace fern::core
