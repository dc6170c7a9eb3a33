#pragma once

// The flags of a description (O_NONBLOCK) as its owner set them. Only connect changes them, for the
// instant of the call: nobody is to see that, nor to lose what he sets meanwhile in another thread.

namespace fern::monkey {

// FlagsLock keeps others, in other threads, from the flags of a descriptor while it lives; an
// instant. A signal handler, or a child of a fork, that finds it taken goes on after a while.
class FlagsLock {
 public:
  explicit FlagsLock(int fd) noexcept;
  FlagsLock(const FlagsLock&) = delete;
  FlagsLock& operator=(const FlagsLock&) = delete;
  ~FlagsLock();

 private:
  unsigned place_;
  bool held_ = false;
};

// owners_flags() is F_GETFL.
int owners_flags(int fd) noexcept;

}  // namespace fern::monkey
