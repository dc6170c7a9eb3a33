#pragma once

// Naps are the sleeps between the tries of a call of which nothing tells when it can succeed: 1 ms,
// 2 ms and so on, up to 50.

#include "monkey/wait.hpp"

#include <fern/deadline.hpp>

#include <chrono>

namespace fern::monkey {

class Naps {
 public:
  explicit Naps(const char* what, Deadline limit = {},
                Interrupts::By by = Interrupts::unless_restarted) noexcept
      : what_(what), limit_(limit), ending_(by) {}

  // again() sleeps. False, and errno says why, when the call is not to be tried again: EAGAIN when
  // the limit has passed (after one more try), EINTR, ECANCELED, ETIMEDOUT.
  bool again() noexcept;

 private:
  static constexpr std::chrono::milliseconds longest{50};

  const char* what_;
  Deadline limit_;
  Ending ending_;
  std::chrono::milliseconds next_{1};
};

}  // namespace fern::monkey
