#pragma once

// A SharedMutex is held by one writer, or by any number of readers:
//
//   fern::SharedMutex mutex;
//   std::map<std::string, Address> table;
//
//   Address find(const std::string& name) {
//     std::shared_lock reading(mutex);      // beside all who read
//     return table.at(name);
//   }
//   void learn(const std::string& name, Address address) {
//     std::unique_lock writing(mutex);      // alone
//     table[name] = address;
//   }
//
// std SharedLockable and SharedTimedLockable, and Lockable and TimedLockable for the writers. Any
// greenlet of any hub and any plain thread may use it; what nobody else wants is one atomic
// operation.
//
// First come, first served: whoever finds somebody waiting waits behind them, reader or writer,
// and readers next to each other in that line get in together. So neither kind starves. For the
// same reason a greenlet that reads already must not lock_shared() once more: a writer may stand
// between. A waiter that is killed, or late, leaves the line, and those behind it move up at once.
//
// It does not know who holds it: one greenlet may lock it and another unlock.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/wait_queue.hpp>

namespace fern {

class FERN_API SharedMutex {
 public:
  SharedMutex() = default;
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  // lock() waits until it has the mutex alone. Throws BlockingInHub where it would have to park on
  // the hub's own stack. A kill or a Timeout that ends it leaves nothing held.
  void lock() {
    if (!take_alone()) wait_for_turn(false, Deadline::never());
  }

  // try_lock() takes it if it is free and nobody waits; never switches.
  bool try_lock() { return take_alone() || wait_for_turn(false, Deadline::past()); }

  // try_lock_for() and try_lock_until() are false when the time passes first.
  bool try_lock_for(Deadline timeout) { return try_lock_until(timeout); }
  bool try_lock_until(Deadline deadline) { return take_alone() || wait_for_turn(false, deadline); }

  // unlock() ends the writing and wakes whose turn it is; never switches. Throws std::logic_error,
  // and changes nothing, when nobody writes.
  void unlock() {
    if (!lock_.change(alone, 0)) unlock_slow();
  }

  // lock_shared() and the others do the same for readers.
  void lock_shared() {
    if (!take_shared()) wait_for_turn(true, Deadline::never());
  }
  bool try_lock_shared() { return take_shared() || wait_for_turn(true, Deadline::past()); }
  bool try_lock_shared_for(Deadline timeout) { return try_lock_shared_until(timeout); }
  bool try_lock_shared_until(Deadline deadline) {
    return take_shared() || wait_for_turn(true, deadline);
  }
  void unlock_shared() {
    detail::SpinLock::Word word = lock_.value();
    if (word < one || (word & waiters) != 0 || !lock_.change(word, word - one)) {
      unlock_shared_slow();
    }
  }

 private:
  struct Turn;

  // The word: the spin lock's bit, whether somebody writes, whether somebody may be waiting, and
  // the number of readers above.
  static constexpr detail::SpinLock::Word alone = 2;
  static constexpr detail::SpinLock::Word waiters = 4;
  static constexpr detail::SpinLock::Word one = 8;

  bool take_alone() noexcept { return lock_.change(0, alone); }
  bool take_shared() noexcept {
    detail::SpinLock::Word word = lock_.value();
    return (word & (alone | waiters)) == 0 && lock_.change(word, word + one);
  }
  bool wait_for_turn(bool shared, Deadline deadline);
  void unlock_slow();
  void unlock_shared_slow();
  void let_in() noexcept;

  detail::SpinLock lock_;
  detail::WaitQueue queue_;
  Turn* first_ = nullptr;  // who waits, first come first
  Turn* last_ = nullptr;
  Turn* outside_ = nullptr;  // the first who may not take it yet; nobody behind it may
};

}  // namespace fern
