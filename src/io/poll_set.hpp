#pragma once

// PollSet is the epoll set of a hub for descriptors that are not Fern's: watched by the loop as
// one descriptor, made at the first use. Every registration is for one event, so that a descriptor
// which its owner closes meanwhile, while a duplicate lives on, fires once at most. It stays in the
// set when it has fired, asleep: the next wait for the number asks for it again, which tells
// whether it is still the same file's. Their flags are never touched: their other users, in this
// process or another, would notice.

#include "core/loop.hpp"

#include <cstdint>

namespace fern::io {

class PollSet {
 public:
  // Told on the hub's own stack what a descriptor is ready for, in epoll's bits.
  using Ready = void (*)(void* owner, int fd, std::uint32_t events) noexcept;

  PollSet(void* owner, Ready ready) noexcept : owner_(owner), ready_(ready) {}
  PollSet(const PollSet&) = delete;
  PollSet& operator=(const PollSet&) = delete;

  // arm() asks for the next of the events; 0, or an errno: EPERM for what is always ready, EBADF.
  // The kernel knows better than we do whether the descriptor is in the set: its owner may have
  // closed it and another have got the number. `known` is what we believe.
  int arm(core::Loop& loop, int fd, std::uint32_t events, bool known) noexcept;

  // remove() forgets a descriptor; nothing if it has been closed already.
  void remove(int fd) noexcept;

  // forked() is called in a child before its loop is made new: the set is the parent's.
  void forked() noexcept { parents_ = fd_ >= 0; }

  // close() is called before the loop goes.
  void close(core::Loop& loop) noexcept;

 private:
  int open(core::Loop& loop) noexcept;
  void collect() noexcept;

  void* owner_;
  Ready ready_;
  core::Loop* loop_ = nullptr;
  struct InLoop : core::Watch {
    PollSet* set = nullptr;
  } watch_;
  int fd_ = -1;
  bool parents_ = false;  // fd_ is the parent's: not to be touched but for closing our copy
};

}  // namespace fern::io
