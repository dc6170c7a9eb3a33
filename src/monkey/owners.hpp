#pragma once

// Which thread has a lock whose owner matters and that glibc cannot tell: for glibc all green
// threads of a hub are one. Robust locks, and those that processes share and that know their owner,
// are in `owners`; FILEs have an instance of their own (stream_locks.cpp).

#include <fern/detail/wait_queue.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace fern::monkey {

class Owners {
 public:
  enum Whose { Nobodys, Mine, Others };
  enum Kind { Foreign, Robust };

  // any() is whether somebody has something.
  bool any() const noexcept { return noted_.load(std::memory_order_relaxed) != 0; }

  Whose whose(const void* lock, std::uint32_t me) noexcept;

  // others() is whether any lock at all is another thread's.
  bool others(std::uint32_t me) noexcept;

  // take() notes that the thread has it, or has it once more. Without memory nothing is noted, and
  // glibc's word alone counts. try_take() is false, and notes nothing, when it is another's.
  void take(void* lock, std::uint32_t me, Kind kind = Foreign) noexcept;
  bool try_take(void* lock, std::uint32_t me) noexcept;

  // release() is true when that was the last time, or nothing had been noted.
  bool release(const void* lock) noexcept;

  // forget() is for what is no longer the lock that it was, whoever had it. True if somebody had.
  bool forget(const void* lock) noexcept;

  // left_by() forgets what a thread has that ends, until it comes to a robust one, which it
  // returns; null when it has no more. Of others the memory may be gone.
  void* left_by(std::uint32_t me) noexcept;

  // forked() is called in a fork's child.
  void forked() noexcept;

 private:
  struct Owned {
    void* lock;
    std::uint32_t owner;
    unsigned count;
    Kind kind;
    Owned* next;
  };

  struct Bucket {
    fern::detail::SpinLock lock;
    Owned* first = nullptr;

    // Where it stands; at the end if it does not. The lock is held.
    Owned** find(const void* what) noexcept;
  };

  static constexpr std::size_t bucket_bits = 6;

  Bucket& bucket_of(const void* lock) noexcept;
  void add(Bucket& bucket, std::unique_ptr<Owned>& fresh) noexcept;
  std::unique_ptr<Owned> unlink(Owned** place) noexcept;

  std::array<Bucket, std::size_t{1} << bucket_bits> buckets_;
  std::atomic<std::size_t> noted_{0};
};

// Everybody's.
extern constinit Owners owners;

}  // namespace fern::monkey
