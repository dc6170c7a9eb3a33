#pragma once

// EndWatch tells its owner, in the owner's hub, when a greenlet of whatever hub has ended.
//
// A greenlet of the same hub has it among its links. A greenlet of another hub has a Stranger in a
// list of its own, which the watching thread changes directly, under the watched hub's lock; the
// greenlet that ends looks there only if life_watched is set, and posts to each. So nothing waits
// for the watched hub's loop, which may be blocked natively long after the end.

#include "core/greenlet.hpp"

namespace fern::core {

// Stranger stands on the watching stack, listed until it is told or leaves. Once it is in its
// hub's mailbox its stack may not go before it has arrived.
struct Stranger : detail::Remote {
  Stranger* next = nullptr;
  Stranger* previous = nullptr;  // of the first: the last
  Hub* home = nullptr;
  bool listed = false;   // under the watched hub's lock
  bool arrived = false;  // home's thread only
};

class EndWatch {
 public:
  using Told = void (*)(void* context) noexcept;  // queues, never runs user code or parks

  // Calls `told` once, in this hub's thread: before it returns if the greenlet is dead. Somebody
  // has to hold a handle for as long. Made and destroyed in the same greenlet; allocates nothing.
  EndWatch(Greenlet& watched, Told told, void* context);
  EndWatch(const EndWatch&) = delete;
  EndWatch& operator=(const EndWatch&) = delete;

  // Told is not called any more afterwards. Parks, shielded, until what is on its way has arrived.
  ~EndWatch();

 private:
  struct Local : Link {
    EndWatch* watch = nullptr;
  };
  struct Remote : Stranger {
    EndWatch* watch = nullptr;
  };

  bool enlist() noexcept;

  Greenlet& watched_;
  Told told_;
  void* context_;
  Local local_;
  Remote remote_;
  bool linked_ = false;    // local_ is, unless the greenlet has ended
  bool enlisted_ = false;  // remote_ was
};

}  // namespace fern::core
