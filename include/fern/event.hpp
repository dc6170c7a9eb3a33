#pragma once

// An Event is a flag that greenlets wait for.
//
//   fern::Event ready;
//   auto reader = fern::spawn([&] {
//     if (ready.wait(2s)) use(table);
//   });
//   table = load();
//   ready.set();                 // wakes every waiter, first come first; it does not run them
//
// Any greenlet of any hub, any plain thread and any Hub::post callback may call any of this. An
// Event stays where it was made. It may be destroyed as soon as a wait for it has returned, even
// if the set() that ended the wait has not returned yet; not while somebody still waits.

#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/wait_queue.hpp>

namespace fern {

class Waitable;

class FERN_API Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // is_set() asks whether it is set: one load.
  bool is_set() const noexcept { return (lock_.value() & set_bit) != 0; }

  // set() sets it and wakes all who wait now, in the order in which they came, even if it is
  // cleared before they run. Never switches.
  void set() noexcept;

  // clear() resets it: who waits from now on waits for the next set(). Never switches.
  void clear() noexcept;

  // wait() blocks until it is set; false when the deadline passes first. A set Event costs one
  // load and no switch. Throws BlockingInHub where it would have to park on the hub's own stack.
  // A kill ends the wait.
  bool wait(Deadline deadline = {}) { return is_set() || wait_slow(deadline); }

 private:
  friend class Waitable;
  static constexpr detail::SpinLock::Word set_bit = 2;

  bool wait_slow(Deadline deadline);

  detail::SpinLock lock_;
  detail::WaitQueue waiters_;
};

}  // namespace fern
