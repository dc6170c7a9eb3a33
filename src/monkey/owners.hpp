#pragma once

// Which thread has a lock whose owner matters and that glibc's word cannot tell: for glibc all
// green threads of a hub are one. Robust locks, and those that processes share and that know their
// owner.

#include <cstdint>

namespace fern::monkey {

class Owners {
 public:
  enum Whose { Nobodys, Mine, Others };
  enum Kind { Foreign, Robust };

  Whose whose(const void* lock, std::uint32_t me) noexcept;

  // take() notes that the thread has it, or has it once more. Without memory nothing is noted, and
  // glibc's word alone counts.
  void take(void* lock, std::uint32_t me, Kind kind = Foreign) noexcept;

  // release() is true when that was the last time, or nothing had been noted.
  bool release(const void* lock) noexcept;

  // left_by() forgets what a thread has that ends, until it comes to a robust one, which it
  // returns; null when it has no more. Of others the memory may be gone.
  void* left_by(std::uint32_t me) noexcept;

  // forked() is called in a fork's child.
  void forked() noexcept;
};

// Everybody's.
extern constinit Owners owners;

}  // namespace fern::monkey
