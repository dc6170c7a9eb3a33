#pragma once

// The one protocol under every meeting point (Event, Semaphore, Queue, ...): greenlets of any hub
// wait in a queue that the object's own spin lock guards; whoever changes the object notifies.
//
// Invariants:
//   - A Waiter lives on the waiting stack, is linked from wait() until it leaves, and is touched
//     only under the lock. Notifying marks it and wakes its greenlet; it never runs anything.
//   - A notified waiter takes what it came for by itself, under the lock. If somebody was faster
//     it parks again and keeps its place (FIFO, gevent's order; a running greenlet may barge in).
//   - A waiter that leaves notified but without having taken anything (killed, say) hands the
//     notification to the next: no permit, item or wake-up is lost.
//   - Who waits in several queues at once has a waiter in each and one Sleeper for all: only the
//     first notification rouses it. Roused, it looks everywhere, so the others need not reach it.
//   - Where two have to meet (a rendezvous), one claims the other's waiter, does both sides' part
//     under the lock and unlinks it: served, it has nothing left to do.

#include <fern/config.hpp>
#include <fern/deadline.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define FERN_KNOWS_ALONE 1
#endif

namespace fern::core {
struct Greenlet;
class Hub;
enum class Wake : std::uint8_t;
}  // namespace fern::core

namespace fern::detail {

// SpinLock guards a few instructions, never a wait; a loser yields its thread's time slice so that
// two threads on one core make progress.
//
// It is the lowest bit of a word. The other bits are a value of the object's own, which anybody may
// change() while the lock is free, so that what is uncontended takes one atomic operation and no
// lock. The holder's unlock(value) publishes a new value and the freedom in one store, its last
// touch: whoever sees the value may destroy the object.
//
// As long as the process has one thread, plain stores do: that halves what a hand-off costs.
class SpinLock {
 public:
  using Word = std::uint64_t;  // bit 0 of a value is always 0

  explicit constexpr SpinLock(Word value = 0) noexcept : word_(value) {}

  void lock() noexcept {
    if (!try_lock()) [[unlikely]]
      lock_slow();
  }
  bool try_lock() noexcept {
    Word free = value();
    return exchange<std::memory_order_acquire>(free, free | held);
  }
  void unlock() noexcept { unlock(value()); }
  void unlock(Word value) noexcept { word_.store(value, std::memory_order_release); }

  Word value() const noexcept { return word_.load(std::memory_order_acquire) & ~held; }

  // change() replaces the value if the lock is free and the value is `from`.
  bool change(Word from, Word to) noexcept { return exchange<std::memory_order_acq_rel>(from, to); }

  // set() replaces the value of a lock that the caller holds.
  void set(Word value) noexcept { word_.store(value | held, std::memory_order_relaxed); }

 private:
  static constexpr Word held = 1;

  template <std::memory_order order>
  bool exchange(Word from, Word to) noexcept {
#ifdef FERN_KNOWS_ALONE
    if (__libc_single_threaded != 0) {
      if (word_.load(std::memory_order_relaxed) != from) return false;
      word_.store(to, std::memory_order_relaxed);
      return true;
    }
#endif
    return word_.compare_exchange_strong(from, to, order, std::memory_order_relaxed);
  }

  FERN_API void lock_slow() noexcept;

  std::atomic<Word> word_;
};

// Remote is what another thread puts into a hub's lock-free mailbox: run() is called once, on
// that hub's own stack, and may not park.
struct Remote {
  Remote* next_remote = nullptr;
  void (*run)(Remote*) noexcept = nullptr;
};

// Sleeper is the one word of a greenlet that waits in several queues, whose locks differ.
class Sleeper {
 public:
  // sleep() is called with all the locks held, before it parks.
  void sleep() noexcept { asleep_.store(true, std::memory_order_relaxed); }

  // rouse() is true for one caller after each sleep().
  bool rouse() noexcept {
    return asleep_.load(std::memory_order_relaxed) &&
           asleep_.exchange(false, std::memory_order_relaxed);
  }

 private:
  std::atomic<bool> asleep_{false};
};

struct Waiter {
  Waiter* next = nullptr;
  Waiter* previous = nullptr;
  core::Greenlet* greenlet = nullptr;         // who waits
  core::Hub* hub = nullptr;                   // and in which hub
  std::uint64_t ticket = 0;                   // its place: grows along the queue
  Sleeper* sleeper = nullptr;                 // of a wait in several queues
  void (*watch)(Waiter&) noexcept = nullptr;  // called in its hub instead of waking the greenlet
  void* item = nullptr;   // of a rendezvous: what is offered, or the place for it
  bool notified = false;  // woken by notify, and has not taken anything yet
  bool hands_on = false;  // by notify_one: if it takes nothing, the next is woken
  bool posted = false;    // remote stands, or stood, in the hub's mailbox
  bool served = false;    // it has met somebody, and is not linked any more
  bool arrived = false;   // what told it has reached its hub; only touched there
  Remote remote;
};

class FERN_API WaitQueue {
 public:
  WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;
  ~WaitQueue();  // asserts that nobody waits any more

  // wait() parks the calling greenlet until `take(notified)` is true or the deadline passes; true
  // when it was taken. `notified` tells take whether a notify has reached this very waiter. The
  // lock is held on entry, on return, on a throw, and whenever take is called; take may not
  // throw. `what` names the wait in dumps. Throws BlockingInHub and what Hub::park throws.
  template <class Take>
  bool wait(SpinLock& lock, Deadline deadline, const char* what, Take&& take) {
    if (take(false)) return true;
    if (deadline == Deadline::past()) return false;
    Waiting waiting(*this, lock, deadline, what);
    bool in_time = true;
    while (!take(waiting.notified())) {
      if (!in_time) return false;
      in_time = waiting.park();
    }
    waiting.taken();
    return true;
  }

  // notify_one() wakes the first waiter that nobody has notified yet, and tells the watchers before
  // it; false when there is none.
  bool notify_one() noexcept;

  // notify_all() wakes every waiter, first come, first woken.
  void notify_all() noexcept;

  bool empty() const noexcept { return head_ == nullptr; }
  std::size_t size() const noexcept;

  // What waits of other shapes than wait() are made of; the lock is held.
  //
  // link() puts a waiter at the end; unlink() takes it away, handing on what it has not taken;
  // renew() is for one that was told in vain: it may be notified again.
  void link(Waiter& waiter) noexcept;
  void unlink(Waiter& waiter) noexcept;
  void renew(Waiter& waiter) noexcept;

  // claim() gives the first waiter that nobody has claimed and that is parked; null if there is
  // none. The caller has to serve() it, or else to notify() it, in vain. serve() tells a waiter of
  // the hub `here`, which must not switch between the two; of another it returns false, and the
  // caller has to post() it, best with the lock free. notify() is false for one that is leaving by
  // itself already.
  Waiter* claim(const core::Hub* here) noexcept;
  bool serve(Waiter& waiter, const core::Hub* here) noexcept;
  static void post(Waiter& waiter) noexcept;
  static bool notify(Waiter& waiter) noexcept;

  // stay() parks until what was posted to an unlinked waiter has arrived: its stack may go then.
  static void stay(Waiter& waiter, const char* what) noexcept;

 private:
  // One wait: links itself, parks as often as asked, unlinks itself however it ends.
  class FERN_API Waiting {
   public:
    Waiting(WaitQueue& queue, SpinLock& lock, Deadline deadline, const char* what);
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting();

    bool park();  // unlocks, parks, locks; false when the deadline has passed
    bool notified() const noexcept { return waiter_.notified; }
    void taken() noexcept { waiter_.notified = waiter_.hands_on = false; }

   private:
    WaitQueue& queue_;
    SpinLock& lock_;
    Deadline deadline_;
    const char* what_;
    Waiter waiter_;
  };

  void remove(Waiter& waiter) noexcept;
  static bool arrive(Waiter& waiter) noexcept;
  static void stay_slow(Waiter& waiter, const char* what) noexcept;

  Waiter* head_ = nullptr;
  Waiter* tail_ = nullptr;
  Waiter* next_ = nullptr;  // whom to notify next; nobody before it can be notified
  std::uint64_t last_ticket_ = 0;
};

}  // namespace fern::detail
