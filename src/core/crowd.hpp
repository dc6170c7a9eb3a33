#pragma once

// Crowd is a loop's own epoll set, for the watches that are too many for libuv.
//
// libuv takes 1,024 events at a time, and when it has got as many it asks again at once, up to 48
// times. Watches are level-triggered and no greenlet has a turn meanwhile, so it is told the same
// again and again: an echo server with 2,000 connections took eight times the CPU time. So libuv
// gets no more watches than one batch can hold, and the others stand in here, which is one watch
// among those. One call takes all of them that are ready, so that none is served less often.

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fern::core {

class Crowd {
 public:
  // Told on the hub's own stack what a member is ready for, in epoll's bits. May ask, join, leave.
  using Told = void (*)(void* owner, void* member, std::uint32_t events) noexcept;

  Crowd(void* owner, Told told) noexcept : owner_(owner), told_(told) {}
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  ~Crowd() { close(); }

  // open() makes the set, if there is none; 0 or an errno. The loop watches fd().
  int open() noexcept;
  int fd() const noexcept { return fd_; }

  bool empty() const noexcept { return count_ == 0; }

  // close() forgets all registrations and keeps the members, if there are any. In the child of a
  // fork it closes our copy only: the parent's set goes on.
  void close() noexcept;

  // join() makes the descriptor a member that asks for nothing yet. 0 or an errno: EPERM for what
  // is always ready, EBADF.
  int join(int fd, void* member) noexcept;

  // ask() says what a member is to be told of from now on, in epoll's bits; 0 is nothing. 0 or an
  // errno: EBADF when somebody else has closed the descriptor.
  int ask(int fd, std::uint32_t events) noexcept;

  void leave(int fd) noexcept;

  // collect() tells the members that are ready; never waits.
  void collect() noexcept;

  template <class F>
  void for_each(F&& f) {
    for (void* member : members_) {
      if (member != nullptr) f(member);
    }
  }

 private:
  void take_out(int fd) noexcept;

  void* owner_;
  Told told_;
  int fd_ = -1;
  std::vector<void*> members_;       // at their descriptor's number; null for none
  std::size_t count_ = 0;            // of them
  std::vector<epoll_event> events_;  // room for one of each
};

}  // namespace fern::core
