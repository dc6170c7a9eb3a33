#pragma once

// SwitchWatch measures how long the greenlet that makes it runs from one switch to the next. As
// long as a hub has one, each of its switches goes by its own stack, which notes the time; a switch
// by hand of the measured greenlet is a slow one and does so itself. Without one, switches know
// nothing of it.

#include <cstdint>

namespace fern::core {

struct Greenlet;
class Hub;

class SwitchWatch {
 public:
  SwitchWatch();  // of the running greenlet, which destroys it as well
  SwitchWatch(const SwitchWatch&) = delete;
  SwitchWatch& operator=(const SwitchWatch&) = delete;
  ~SwitchWatch();

  std::uint64_t switches() const noexcept { return switches_; }  // since it was made
  std::int64_t longest() noexcept;                               // in nanoseconds, up to now

  // Everybody has stopped, one goes on, some have gone in a fork.
  static void stopped(SwitchWatch* first) noexcept;
  static void resumed(SwitchWatch* first, const Greenlet& greenlet) noexcept;
  static void forked(SwitchWatch*& first) noexcept;

 private:
  Hub& hub_;
  Greenlet& greenlet_;
  SwitchWatch* next_;
  std::int64_t since_;  // when it went on; 0 while others run
  std::int64_t longest_ = 0;
  std::uint64_t switches_ = 0;
};

}  // namespace fern::core
