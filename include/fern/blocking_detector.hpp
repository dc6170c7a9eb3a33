#pragma once

// Who keeps a thread's greenlets waiting: one that computes for long, or calls what blocks the
// whole thread.
//
//   fern::debug::BlockingDetector detector(100ms);   // reports on stderr
//   serve();
//
//   fern: greenlet resolver (id 7) has blocked its thread for 100 ms, in clock_nanosleep
//         clock_nanosleep  (libc.so.6+0x...)
//         ...

#include <fern/config.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace fern::debug {

// BlockingDetector watches, while it lives and from a thread of its own, all hubs of the process.
// It reports each hub that has neither switched nor slept for longer than the limit, once until it
// goes on, with the greenlet, the function that it is in, and a backtrace; and each greenlet that C
// code keeps from its end: one whose wrapped waits have ended a thousand times in a row because it
// is killed or timed out. A hub that has no greenlet but main is let alone.
//
// Watching costs the hubs nothing. A backtrace is taken by a real-time signal to the thread, with
// SA_RESTART: as after any handler, a native sleep or poll that it finds there ends early with
// EINTR.
class FERN_API BlockingDetector {
 public:
  // Report gets a report's text, whole lines, in a thread without a hub.
  using Report = std::function<void(const std::string& text)>;

  // BlockingDetector() begins to watch; without a Report it writes to stderr. From any thread, and
  // as many as one likes. Throws std::system_error when there can be no thread, or no real-time
  // signal is free, and std::invalid_argument if the limit is not above 0.
  explicit BlockingDetector(std::chrono::nanoseconds limit, Report report = {});
  BlockingDetector(const BlockingDetector&) = delete;
  BlockingDetector& operator=(const BlockingDetector&) = delete;

  // Ends the watching. A report that is being given is waited for, natively.
  ~BlockingDetector();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fern::debug
