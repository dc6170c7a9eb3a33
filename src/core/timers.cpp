#include "core/timers.hpp"

#include <bit>
#include <limits>

namespace fern::core {
namespace {

void make_empty(Timer& head) noexcept { head.next = head.previous = &head; }

bool is_empty(const Timer& head) noexcept { return head.next == &head; }

void append(Timer& head, Timer& timer) noexcept {
  timer.next = &head;
  timer.previous = head.previous;
  head.previous->next = &timer;
  head.previous = &timer;
}

void prepend(Timer& head, Timer& timer) noexcept {
  timer.previous = &head;
  timer.next = head.next;
  head.next->previous = &timer;
  head.next = &timer;
}

void take_out(Timer& timer) noexcept {
  timer.previous->next = timer.next;
  timer.next->previous = timer.previous;
  timer.next = timer.previous = nullptr;
}

// Moves a whole ring to an empty head.
void move_all(Timer& from, Timer& to) noexcept {
  if (is_empty(from)) {
    make_empty(to);
    return;
  }
  to.next = from.next;
  to.previous = from.previous;
  to.next->previous = &to;
  to.previous->next = &to;
  make_empty(from);
}

// Stable merge of `count` timers from the front of two null-terminated chains.
Timer* merge(Timer* a, Timer* b) noexcept {
  Timer head;
  Timer* tail = &head;
  while (a != nullptr && b != nullptr) {
    Timer*& least = b->deadline < a->deadline ? b : a;
    tail->next = least;
    tail = least;
    least = least->next;
  }
  tail->next = a != nullptr ? a : b;
  return head.next;
}

}  // namespace

Timers::Timers() noexcept { forget(); }

void Timers::forget() noexcept {
  for (auto& level : wheel_) {
    for (auto& slot : level) make_empty(slot.head);
  }
  make_empty(firing_.head);
  for (auto& level : filled_) {
    for (auto& word : level) word = 0;
  }
  count_ = 0;
  behind_ = false;
  ++era_;
}

void Timers::start(Timer& timer, std::int64_t deadline) noexcept {
  timer.deadline = deadline > 0 ? deadline : 0;
  timer.era = era_;
  insert(timer);
  ++count_;
}

void Timers::cancel(Timer& timer) noexcept {
  if (!timer.started() || timer.era != era_) return;
  unlink(timer);
  --count_;
}

void Timers::insert(Timer& timer, bool at_front) noexcept {
  std::uint64_t tick = static_cast<std::uint64_t>(timer.deadline) >> tick_bits;
  if (tick < tick_) tick = tick_;  // overdue: due at once
  std::uint64_t differs = tick ^ tick_;
  int level = differs == 0 ? 0 : (63 - std::countl_zero(differs)) / 8;
  int slot = static_cast<int>((tick >> (8 * level)) & (slots - 1));
  timer.slot = static_cast<std::uint16_t>(level * slots + slot);
  List& list = wheel_[level][slot];
  Timer*& ahead = list.latest[list.inserted++ % List::distance];
  timer.ahead = ahead;
  ahead = &timer;
  list.turned = at_front;
  (at_front ? prepend : append)(list.head, timer);
  filled_[level][slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void Timers::unlink(Timer& timer) noexcept {
  take_out(timer);
  int level = timer.slot / slots;
  int slot = timer.slot % slots;
  if (level < levels && is_empty(wheel_[level][slot].head)) {
    filled_[level][slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  }
}

// The first filled slot of a level at or after `from`; -1 when there is none.
int Timers::next_slot(int level, int from) const noexcept {
  for (int word = from / 64; word < slots / 64; ++word) {
    std::uint64_t bits = filled_[level][word];
    if (word == from / 64) bits &= ~std::uint64_t{0} << (from % 64);
    if (bits != 0) return word * 64 + std::countr_zero(bits);
  }
  return -1;
}

// Empties a slot of a higher level whose time range has been reached into the levels below, whose
// slots in that range are empty.
void Timers::cascade(int level, int slot) noexcept {
  Timer moving;
  const bool turned = wheel_[level][slot].turned;
  move_all(wheel_[level][slot].head, moving);
  filled_[level][slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  while (!is_empty(moving)) {
    Timer& timer = turned ? *moving.next : *moving.previous;
    __builtin_prefetch(timer.ahead, 1);
    take_out(timer);
    insert(timer, !turned);
  }
}

// Sets the current tick; where that enters a new slot of a higher level, that slot comes down,
// highest level first, so that order is kept.
void Timers::advance(std::uint64_t tick) noexcept {
  std::uint64_t differs = tick ^ tick_;
  tick_ = tick;
  if (differs == 0) return;
  for (int level = (63 - std::countl_zero(differs)) / 8; level > 0; --level) {
    if (level >= levels) continue;
    int slot = static_cast<int>((tick >> (8 * level)) & (slots - 1));
    if (!is_empty(wheel_[level][slot].head)) cascade(level, slot);
  }
}

// Sorts a ring by deadline, stably, without memory: bottom-up merging, chain k holds 2^k timers.
void Timers::sort(List& list) noexcept {
  Timer& head = list.head;
  bool sorted = true;
  auto look_at = [&](const Timer& timer) {
    __builtin_prefetch(timer.ahead, 1);
    __builtin_prefetch(timer.near, 1);
    if (timer.next != &head && timer.next->deadline < timer.deadline) sorted = false;
  };
  if (list.turned) {
    for (Timer* timer = head.next; timer != &head; timer = timer->next) look_at(*timer);
  } else {
    for (Timer* timer = head.previous; timer != &head; timer = timer->previous) look_at(*timer);
  }
  if (sorted) return;
  Timer* chains[64] = {};
  head.previous->next = nullptr;
  for (Timer* timer = head.next; timer != nullptr;) {
    Timer* rest = timer->next;
    timer->next = nullptr;
    int k = 0;
    for (; chains[k] != nullptr; ++k) {
      timer = merge(chains[k], timer);
      chains[k] = nullptr;
    }
    chains[k] = timer;
    timer = rest;
  }
  Timer* all = nullptr;
  for (Timer* chain : chains) {
    if (chain != nullptr) all = all == nullptr ? chain : merge(chain, all);
  }
  make_empty(head);
  while (all != nullptr) {
    Timer* rest = all->next;
    append(head, *all);
    all = rest;
  }
}

std::size_t Timers::fire_slot(List& due, std::int64_t now) noexcept {
  std::size_t fired = 0;
  sort(due);
  while (!is_empty(due.head) && due.head.next->deadline <= now) {
    Timer& timer = *due.head.next;
    timer.slot = levels * slots;
    take_out(timer);
    append(firing_.head, timer);
    ++fired;
  }
  return fired;
}

void Timers::expire(std::int64_t now, std::size_t enough) noexcept {
  behind_ = false;
  if (count_ == 0) {
    // Nothing to move, so the wheel may jump.
    tick_ = static_cast<std::uint64_t>(now) >> tick_bits;
    return;
  }
  const std::uint64_t last = static_cast<std::uint64_t>(now) >> tick_bits;
  std::size_t fired = 0;
  for (;;) {
    int slot = static_cast<int>(tick_ & (slots - 1));
    int found = next_slot(0, slot);
    std::uint64_t base = tick_ - static_cast<std::uint64_t>(slot);
    if (found >= 0 && base + static_cast<std::uint64_t>(found) <= last) {
      advance(base + static_cast<std::uint64_t>(found));
      fired += fire_slot(wheel_[0][found], now);
      if (is_empty(wheel_[0][found].head)) {
        filled_[0][found / 64] &= ~(std::uint64_t{1} << (found % 64));
      }
      if (tick_ == last) break;
      advance(tick_ + 1);
      behind_ = fired >= enough;
      if (behind_) break;
    } else if (base + slots <= last) {
      // Nothing left in this round of level 0: on to the next round, or as far as nothing stands.
      std::uint64_t target = base + slots;
      for (int level = 1; level < levels; ++level) {
        int shift = 8 * level;
        int here = static_cast<int>((tick_ >> shift) & (slots - 1));
        int next = next_slot(level, here + 1 < slots ? here + 1 : slots - 1);
        std::uint64_t round = (tick_ >> shift) - static_cast<std::uint64_t>(here);
        if (here + 1 < slots && next > here) {
          target = (round + static_cast<std::uint64_t>(next)) << shift;
          break;
        }
        target = (round + slots) << shift;
      }
      if (target > last) {
        advance(last);
        break;
      }
      advance(target);
    } else {
      advance(last);
      break;
    }
  }
  // What fires may cancel others that are due, so they wait in a ring of their own.
  while (!is_empty(firing_.head)) {
    Timer& timer = *firing_.head.next;
    take_out(timer);
    --count_;
    timer.fire(&timer);
  }
}

std::int64_t Timers::earliest() const noexcept {
  if (count_ == 0) return std::numeric_limits<std::int64_t>::max();
  if (behind_) return static_cast<std::int64_t>(tick_ << tick_bits);
  for (int level = 0; level < levels; ++level) {
    int shift = 8 * level;
    int here = static_cast<int>((tick_ >> shift) & (slots - 1));
    int found = next_slot(level, here);
    if (found < 0) continue;
    std::uint64_t round = (tick_ >> shift) - static_cast<std::uint64_t>(here);
    std::uint64_t tick = (round + static_cast<std::uint64_t>(found)) << shift;
    auto slot_start = static_cast<std::int64_t>(tick << tick_bits);
    if (level > 0) return slot_start;
    // Exact within the nearest slot, unless it is crowded: then its beginning will do.
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    const Timer& head = wheel_[0][found].head;
    int looked_at = 0;
    for (const Timer* timer = head.next; timer != &head; timer = timer->next) {
      if (++looked_at > 64) return slot_start;
      if (timer->deadline < least) least = timer->deadline;
    }
    return least;
  }
  return std::numeric_limits<std::int64_t>::max();
}

}  // namespace fern::core
