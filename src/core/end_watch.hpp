#pragma once

// EndWatch tells its owner, in the owner's hub, when a greenlet of whatever hub has ended.

#include "core/greenlet.hpp"

namespace fern::core {

class EndWatch {
 public:
  using Told = void (*)(void* context) noexcept;  // queues, never runs user code or parks

  // The greenlet must not be dead, or `told` may have been called before this returns. Made and
  // destroyed in the same hub's thread; allocates only for a greenlet of another hub.
  EndWatch(Greenlet& watched, Told told, void* context);
  EndWatch(const EndWatch&) = delete;
  EndWatch& operator=(const EndWatch&) = delete;
  ~EndWatch();  // told is not called any more

 private:
  struct LocalLink : Link {
    Told told = nullptr;
    void* context = nullptr;
  };
  struct RemoteLink;

  Greenlet& watched_;
  LocalLink local_;
  bool linked_ = false;
  RemoteLink* remote_ = nullptr;
};

}  // namespace fern::core
