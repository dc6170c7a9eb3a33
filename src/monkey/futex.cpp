// syscall(SYS_futex, ...), which libstdc++ makes for guards of statics, futures, latches and atomic
// waits, and which is inlined into programs. FUTEX_PRIVATE_FLAG or not, those who wait are looked
// for in this process; a wake-up that is not private goes to the kernel as well. Who waits at a
// word that another process may change looks at it again and again: nothing else would tell.

#include "monkey/futex.hpp"

#include "base/real.hpp"
#include "monkey/green.hpp"
#include "monkey/lot.hpp"
#include "monkey/shared_memory.hpp"
#include "monkey/state.hpp"
#include "monkey/thread.hpp"
#include "monkey/times.hpp"

#include <linux/futex.h>

#include <algorithm>
#include <cerrno>

namespace fern::monkey {
namespace {

using lot::Word;

long failed(int error) noexcept {
  errno = error;
  return -1;
}

// As lot::wait, for a word that is not private. Most are private all the same.
int wait_for_others(const Word& word, std::uint32_t expected, Deadline limit, lot::End end,
                    std::uint32_t bits) noexcept {
  using std::chrono::milliseconds;
  Deadline began = std::chrono::steady_clock::now();
  Sharing sharing = known_sharing(&word);
  milliseconds nap(sharing == Sharing::Shared ? 1 : 10);
  for (;;) {
    Deadline soon;
    if (sharing != Sharing::Private) soon = nap;
    int error = lot::wait(word, expected, "futex()", std::min(soon, limit), end, bits);
    if (error != ETIMEDOUT || limit.expired()) return error;
    sharing = sharing_of(&word, began);
    if (word.load(std::memory_order_seq_cst) != expected) return 0;
    nap = sharing == Sharing::Shared ? std::min(nap * 2, milliseconds(20)) : milliseconds(1000);
  }
}

long wait(const Word& word, std::uint32_t expected, Deadline limit, std::uint32_t bits,
          bool is_private) {
  if (bits == 0) return failed(EINVAL);
  // No cancellation point: those who wait here do so in functions that may not be left.
  auto end = self() != nullptr ? lot::End::Ignore : lot::End::Refuse;
  int error = is_private ? lot::wait(word, expected, "futex()", limit, end, bits)
                         : wait_for_others(word, expected, limit, end, bits);
  if (error == 0) return 0;
  return failed(error == ECANCELED ? EINTR : error);
}

// FUTEX_WAIT's time is relative, FUTEX_WAIT_BITSET's a point of the clock.
int limit_of(int operation, bool realtime, const timespec* time, Deadline& limit) noexcept {
  if (time == nullptr) return 0;
  if (operation == FUTEX_WAIT_BITSET) {
    return until(realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, *time, limit);
  }
  if (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= nanoseconds_of_a_second)
    return EINVAL;
  limit = std::chrono::seconds(time->tv_sec) + std::chrono::nanoseconds(time->tv_nsec);
  return 0;
}

// Twelve bits with a sign.
std::int32_t operand(std::uint32_t bits) noexcept {
  return static_cast<std::int32_t>(bits << 20) >> 20;
}

std::uint32_t change_of(std::uint32_t encoded) noexcept {
  std::int32_t value = operand(encoded >> 12);
  bool shift = (encoded >> 28 & FUTEX_OP_OPARG_SHIFT) != 0;
  return shift ? std::uint32_t{1} << (value & 31) : static_cast<std::uint32_t>(value);
}

// FUTEX_WAKE_OP: changes a second word, wakes at the first, and at the second if what it was
// compares so.
long wake_op(Word* first, int most, Word* second, int most_second, std::uint32_t encoded) noexcept {
  std::uint32_t change = change_of(encoded);
  std::uint32_t before = second->load(std::memory_order_relaxed);
  std::uint32_t after = 0;
  do {
    switch (encoded >> 28 & 7) {
      case FUTEX_OP_SET:
        after = change;
        break;
      case FUTEX_OP_ADD:
        after = before + change;
        break;
      case FUTEX_OP_OR:
        after = before | change;
        break;
      case FUTEX_OP_ANDN:
        after = before & ~change;
        break;
      case FUTEX_OP_XOR:
        after = before ^ change;
        break;
      default:
        return failed(ENOSYS);
    }
  } while (!second->compare_exchange_weak(before, after, std::memory_order_seq_cst));
  long woken = lot::wake(first, most);
  auto was = static_cast<std::int32_t>(before);
  std::int32_t with = operand(encoded);
  bool holds = false;
  switch (encoded >> 24 & 15) {
    case FUTEX_OP_CMP_EQ:
      holds = was == with;
      break;
    case FUTEX_OP_CMP_NE:
      holds = was != with;
      break;
    case FUTEX_OP_CMP_LT:
      holds = was < with;
      break;
    case FUTEX_OP_CMP_LE:
      holds = was <= with;
      break;
    case FUTEX_OP_CMP_GT:
      holds = was > with;
      break;
    case FUTEX_OP_CMP_GE:
      holds = was >= with;
      break;
    default:
      return failed(ENOSYS);
  }
  return holds ? woken + lot::wake(second, most_second) : woken;
}

}  // namespace

bool futex_is_ours(long operation) noexcept {
  switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
    case FUTEX_WAKE_OP:
      return true;
    default:
      return false;
  }
}

long green_futex(long address, long operation, long value, long time, long address2, long value3) {
  auto* word = reinterpret_cast<Word*>(address);
  auto* word2 = reinterpret_cast<Word*>(address2);
  int command = static_cast<int>(operation & FUTEX_CMD_MASK);
  bool is_private = (operation & FUTEX_PRIVATE_FLAG) != 0;
  if (address == 0) return failed(EFAULT);
  if (address % 4 != 0) return failed(EINVAL);
  auto most = static_cast<int>(value);
  switch (command) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET: {
      Deadline limit;
      bool realtime = (operation & FUTEX_CLOCK_REALTIME) != 0;
      if (int error = limit_of(command, realtime, reinterpret_cast<const timespec*>(time), limit);
          error != 0)
        return failed(error);
      auto bits = command == FUTEX_WAIT ? lot::any : static_cast<std::uint32_t>(value3);
      return wait(*word, static_cast<std::uint32_t>(value), limit, bits, is_private);
    }
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET: {
      auto bits = command == FUTEX_WAKE ? lot::any : static_cast<std::uint32_t>(value3);
      if (bits == 0) return failed(EINVAL);
      int woken = lot::wake(word, std::max(most, 1), bits);
      if (!is_private && woken < most) {
        int more =
            real::futex(word, command, static_cast<std::uint32_t>(most - woken), nullptr, bits);
        if (more > 0) woken += more;
      }
      return woken;
    }
    case FUTEX_CMP_REQUEUE:
    case FUTEX_REQUEUE: {
      auto moved = static_cast<int>(time);
      if (address2 == 0) return failed(EFAULT);
      if (address2 % 4 != 0 || most < 0 || moved < 0) return failed(EINVAL);
      if (command == FUTEX_REQUEUE) return lot::requeue(word, most, word2, moved);
      int count = lot::requeue_if(*word, static_cast<std::uint32_t>(value3), most, word2, moved);
      return count < 0 ? failed(-count) : count;
    }
    default:
      return wake_op(word, most, word2, static_cast<int>(time), static_cast<std::uint32_t>(value3));
  }
}

}  // namespace fern::monkey
