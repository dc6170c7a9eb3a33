#pragma once

// StackSample is where another thread is: taken in that thread, by a signal.

#include "core/hub.hpp"
#include "debug/frames.hpp"

#include <cstdint>

namespace fern::debug {

struct StackSample {
  bool taken = false;   // false: the thread has not answered
  bool in_hub = false;  // on the hub's own stack
  char name[64] = {};   // the greenlet's
  std::uint64_t id = 0;
  int count = 0;
  void* frames[most_frames];  // innermost first
};

// listen_for_samples() sets the handler, once per process. Throws std::system_error when no
// real-time signal is free.
void listen_for_samples();

// take_sample() has the hub's thread fill the sample, if it is still where `pulse` says; false if
// not. Waits for the answer for a second at most. From threads without a hub.
bool take_sample(StackSample& sample, core::Hub& hub, const core::Hub::Pulse& pulse);

}  // namespace fern::debug
