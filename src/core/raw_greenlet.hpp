#pragma once

// Switches by hand: the running greenlet becomes Suspended, and the one that was goes on, with no
// queue between. What it shares with the hub: an interrupt (a kill, a Timeout, LoopExit) puts a
// suspended greenlet into the ready queue, and from then on it is the hub's. Only a Suspended
// greenlet can be switched to, so nobody is ever resumed twice, or out of a wait that has not
// ended.

#include "core/greenlet.hpp"

#include <fern/raw_greenlet.hpp>

#include <atomic>
#include <exception>
#include <memory>

namespace fern::core {

// What comes with a switch when it is more than a value; from the jump until the arrival.
struct Crossing {
  Value value;
  std::exception_ptr error;
  RawGreenlet origin;  // if it is traced; or its last handle
};

// A live raw greenlet whose last handle another thread had. At the top of its stack, with the count
// of that handle.
struct Dropped {
  Dropped* next = nullptr;
  Greenlet* greenlet = nullptr;
};

// RawSwitches is what a hub keeps for switches by hand.
struct RawSwitches {
  std::shared_ptr<const TraceCallback> trace;  // null: nobody wants to know
  std::atomic<Dropped*> dropped{nullptr};      // by other threads, newest first
  Crossing crossing;

  struct Nudge : detail::Remote {
    RawSwitches* raw = nullptr;
  };
  Nudge nudge;  // in the mailbox while nudged
  std::atomic<bool> nudged{false};

  RawSwitches() noexcept;
};

inline bool is_raw(const Greenlet& greenlet) noexcept { return (greenlet.flags & flag_raw) != 0; }

inline detail::RawTask& task_of(Greenlet& raw) noexcept {
  return static_cast<detail::RawTask&>(*raw.task);
}

// is_orphan() asks whether nobody but itself holds a live raw greenlet.
inline bool is_orphan(const Greenlet& greenlet) noexcept {
  return (greenlet.life.load(std::memory_order_relaxed) & ~life_watched) == (life_raw | 1);
}

// is_in_line() asks whether `ancestor` is the greenlet or above it.
inline bool is_in_line(const Greenlet& greenlet, const Greenlet& ancestor) noexcept {
  const Greenlet* each = &greenlet;
  while (each != nullptr && each != &ancestor) each = each->parent;
  return each != nullptr;
}

// cross() stops the running greenlet and continues `to`, which is suspended or has not begun, with
// the value or the error. Returns when somebody switches back; what came is in `value`.
void cross(Hub& hub, Greenlet& to, Value& value, std::exception_ptr error) noexcept;

// bequeath() gives what a raw greenlet ended with to the one that goes on now, which it returns;
// null if the hub has to choose.
Greenlet* bequeath(Greenlet& ended) noexcept;

// keep_exit() makes a GreenletExit the result of the raw greenlet that it ended.
void keep_exit(Greenlet& ended, const GreenletExit& exit) noexcept;

// release_raw() lets go of a handle of a live raw greenlet; returns whose handle has to go next.
Greenlet* release_raw(Greenlet& greenlet) noexcept;

// let_go_of_dropped() lets go of the handles that other threads had last.
void let_go_of_dropped(RawSwitches& raw) noexcept;

// give_to_hub() makes a suspended greenlet a parked one, which the caller wakes as interrupted.
void give_to_hub(Greenlet& suspended) noexcept;

}  // namespace fern::core
