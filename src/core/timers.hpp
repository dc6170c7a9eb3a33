#pragma once

// Timers: every deadline of a hub, in one hierarchical wheel of intrusive lists.
//
// Starting and cancelling are O(1), touch only neighbours and allocate nothing: the Timer lives
// with whoever waits, and a million of them on a million cold stacks are never walked but when
// they come due (a heap would touch twenty of them each time). Six levels of 256 slots; a slot of
// level 0 is one tick of 65.5 us, a slot of level n is 256^n ticks. A timer stands in the level of
// the highest digit in which its tick differs from now's, and moves down when its slot is reached,
// in order, so that equal deadlines keep their start order. Within its tick a slot is sorted.
//
// Timers stand on waiting stacks, a page each, so a long list is a miss of the caches and of the
// page tables at each step. So each knows one that the walk reaches some steps later, to fetch it,
// and a list is walked in the direction in which that is true: the last started first, and the
// other way round once the walk has turned it.
//
// Never early: a timer fires when the clock has reached its nanosecond, not its tick.

#include <cstddef>
#include <cstdint>
#include <limits>

namespace fern::core {

struct Timer {
  Timer* next = nullptr;  // null when not started
  Timer* previous = nullptr;
  std::int64_t deadline = 0;
  Timer* ahead = nullptr;                   // came to its slot some before it; may be gone
  const void* near = nullptr;               // what fire() touches first, to be fetched
  void (*fire)(Timer*) noexcept = nullptr;  // on the hub's stack; may start and cancel timers
  std::uint16_t slot = 0;                   // level * 256 + slot
  std::uint32_t era = 0;                    // which forget() it comes after

  bool started() const noexcept { return next != nullptr; }
};

class Timers {
 public:
  Timers() noexcept;
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // start() asks for timer.fire(&timer) once the clock reaches `deadline`.
  void start(Timer& timer, std::int64_t deadline) noexcept;

  // cancel() is idempotent.
  void cancel(Timer& timer) noexcept;

  // forget() drops all timers without touching them; cancel() of one is nothing from now on.
  void forget() noexcept;

  // expire() fires all that are due at `now`, in order of deadline, ties in order of start.
  // A timer that is started meanwhile and is due already fires in the next call. So do others once
  // `enough` have: what has been fetched for them shall still be near when the woken run.
  void expire(std::int64_t now,
              std::size_t enough = std::numeric_limits<std::size_t>::max()) noexcept;

  // earliest() is when expire() has to be called next: at most a deadline, sometimes before it.
  // The largest value when there is no timer.
  std::int64_t earliest() const noexcept;

  bool empty() const noexcept { return count_ == 0; }
  std::uint64_t count() const noexcept { return count_; }

 private:
  static constexpr int levels = 6;
  static constexpr int slots = 256;
  static constexpr int tick_bits = 16;

  struct List {
    static constexpr unsigned distance = 8;  // of a timer from the one ahead

    Timer head;  // a ring: head.next is first, head.previous last
    Timer* latest[distance] = {};
    unsigned inserted = 0;
    bool turned = false;  // filled from the end to the beginning
  };

  void insert(Timer& timer, bool at_front = false) noexcept;
  void unlink(Timer& timer) noexcept;
  int next_slot(int level, int from) const noexcept;
  void cascade(int level, int slot) noexcept;
  static void sort(List& list) noexcept;
  std::size_t fire_slot(List& due, std::int64_t now) noexcept;
  void advance(std::uint64_t tick) noexcept;

  List wheel_[levels][slots];
  std::uint64_t filled_[levels][slots / 64] = {};  // which slots are not empty
  List firing_;
  std::uint64_t tick_ = 0;  // every slot before this one has been emptied
  std::uint64_t count_ = 0;
  bool behind_ = false;  // the last expire() had enough before all that was due
  std::uint32_t era_ = 0;
};

}  // namespace fern::core
