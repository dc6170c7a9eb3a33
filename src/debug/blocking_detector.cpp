#include "debug/stack_sample.hpp"

#include "base/real.hpp"
#include "base/signals_blocked.hpp"
#include "core/fault.hpp"
#include "core/hub.hpp"
#include "core/registry.hpp"
#include "debug/frames.hpp"

#include <fern/blocking_detector.hpp>

#include <execinfo.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace fern::debug {
namespace {

using Clock = std::chrono::steady_clock;

void to_stderr(const std::string& text) { real::write_all(2, text.data(), text.size()); }

std::string text_of(const StackSample& sample, std::chrono::nanoseconds blocked) {
  std::ostringstream out;
  out << "fern: ";
  if (!sample.taken) {
    out << "a greenlet";
  } else if (sample.in_hub) {
    out << "a callback on the hub's own stack";
  } else {
    out << "greenlet " << sample.name << " (id " << sample.id << ")";
  }
  out << " has blocked its thread for "
      << std::chrono::duration_cast<std::chrono::milliseconds>(blocked).count() << " ms";
  for (int i = 0; i < sample.count; ++i) {
    std::string function = function_at(sample.frames[i]);
    if (function.empty()) continue;
    out << ", in " << function;
    break;
  }
  out << '\n';
  if (!sample.taken) out << "      (the thread has not answered the signal)\n";
  for (int i = 0; i < sample.count; ++i) write_frame(out, sample.frames[i]);
  return out.str();
}

}  // namespace

struct BlockingDetector::State {
  // What is known of a hub: since when it is as it was.
  struct Seen {
    std::uint32_t era = 0;
    core::Hub::Pulse pulse{};
    Clock::time_point since;
    bool reported = false;
  };

  State(std::chrono::nanoseconds limit, Report report)
      : limit(limit),
        period(std::clamp<std::chrono::nanoseconds>(limit / 8, std::chrono::milliseconds(1),
                                                    std::chrono::milliseconds(100))),
        report(report ? std::move(report) : to_stderr) {}

  void run() noexcept;
  void look(Clock::time_point now, bool late);
  bool stuck(core::Hub& hub, Clock::time_point now, bool late);
  void tell(const std::string& text) noexcept;
  void start();
  void stop() noexcept;
  bool forked() const noexcept { return getpid() != process; }
  static void refused(const core::Greenlet& greenlet) noexcept;

  // All detectors, for those who are refused. Never destroyed.
  struct All {
    std::mutex mutex;
    std::vector<State*> states;
  };
  static All& all();

  const std::chrono::nanoseconds limit;
  const std::chrono::nanoseconds period;
  const Report report;
  const pid_t process = getpid();
  std::map<core::Hub*, Seen> hubs;  // hubs are never freed
  std::mutex mutex;
  std::condition_variable changed;
  bool ending = false;
  std::vector<std::string> texts;  // of other threads, to be told
  std::thread thread;
};

BlockingDetector::State::All& BlockingDetector::State::all() {
  static All* all = [] {
    auto* made = new All;
    // In the child there is no thread of a detector's.
    pthread_atfork([] { State::all().mutex.lock(); }, [] { State::all().mutex.unlock(); },
                   [] {
                     State::all().states.clear();
                     core::told_of_refusals.store(nullptr, std::memory_order_release);
                     State::all().mutex.unlock();
                   });
    return made;
  }();
  return *all;
}

void BlockingDetector::State::start() {
  {
    std::lock_guard lock(all().mutex);
    all().states.push_back(this);
    core::told_of_refusals.store(refused, std::memory_order_release);
  }
  try {
    base::SignalsBlocked blocked;
    thread = std::thread([this] { run(); });
  } catch (...) {
    stop();
    throw;
  }
}

void BlockingDetector::State::stop() noexcept {
  {
    std::lock_guard lock(all().mutex);
    std::erase(all().states, this);
    if (all().states.empty()) {
      core::told_of_refusals.store(nullptr, std::memory_order_release);
    }
  }
  if (!thread.joinable() || forked()) return;
  {
    std::lock_guard lock(mutex);
    ending = true;
  }
  changed.notify_one();
  thread.join();
}

void BlockingDetector::State::run() noexcept {
  core::service_thread_idle(1);
  Clock::time_point last = Clock::now();
  std::unique_lock lock(mutex);
  for (bool last_round = false; !last_round;) {
    changed.wait_for(lock, period, [this] { return ending || !texts.empty(); });
    last_round = ending;
    std::vector<std::string> others = std::exchange(texts, {});
    lock.unlock();
    for (const std::string& text : others) tell(text);
    Clock::time_point now = Clock::now();
    // Where this thread did not run for long, maybe nobody did.
    bool late = now - last > 4 * period;
    try {
      if (!last_round) look(now, late);
    } catch (...) {
      core::report_current("fern::debug::BlockingDetector");
    }
    last = Clock::now();
    lock.lock();
  }
  core::service_thread_idle(-1);
}

void BlockingDetector::State::look(Clock::time_point now, bool late) {
  std::vector<core::Hub*> blocked;
  core::Registry::for_each_live([&](core::Hub& hub) {
    if (stuck(hub, now, late)) blocked.push_back(&hub);
  });
  for (core::Hub* hub : blocked) {
    Seen& seen = hubs[hub];
    StackSample sample;
    if (!take_sample(sample, *hub, seen.pulse)) continue;  // it goes on
    seen.reported = true;
    tell(text_of(sample, Clock::now() - seen.since));
  }
}

bool BlockingDetector::State::stuck(core::Hub& hub, Clock::time_point now, bool late) {
  Seen& seen = hubs[&hub];
  core::Hub::Pulse pulse = hub.pulse();
  if (late || pulse != seen.pulse || hub.era() != seen.era || hub.asleep() ||
      hub.greenlets_seen() == 0) {
    bool same = pulse == seen.pulse && hub.era() == seen.era;
    seen = {hub.era(), pulse, now, same && seen.reported};
    return false;
  }
  return !seen.reported && now - seen.since >= limit;
}

void BlockingDetector::State::tell(const std::string& text) noexcept {
  try {
    report(text);
  } catch (...) {
    core::report_current("a report of fern::debug::BlockingDetector");
  }
}

// In the thread of the greenlet, on its stack.
void BlockingDetector::State::refused(const core::Greenlet& greenlet) noexcept {
  try {
    void* frames[most_frames];
    int count = backtrace(frames, most_frames);
    std::ostringstream out;
    out << "fern: greenlet " << core::name_of(greenlet) << " (id " << core::id_of(greenlet)
        << ") is to end, and the code in it has ignored that " << greenlet.refusals << " times\n";
    for (int i = 0; i < count; ++i) write_frame(out, frames[i]);
    std::lock_guard lock(all().mutex);
    for (State* state : all().states) {
      {
        std::lock_guard theirs(state->mutex);
        state->texts.push_back(out.str());
      }
      state->changed.notify_one();
    }
  } catch (...) {
    core::report_current("fern::debug::BlockingDetector");
  }
}

BlockingDetector::BlockingDetector(std::chrono::nanoseconds limit, Report report) {
  if (limit <= std::chrono::nanoseconds(0)) {
    throw std::invalid_argument("fern::debug::BlockingDetector: the limit is not above 0");
  }
  listen_for_samples();
  state_ = std::make_unique<State>(limit, std::move(report));
  state_->start();
}

BlockingDetector::~BlockingDetector() {
  state_->stop();
  if (state_->forked()) static_cast<void>(state_.release());  // with a thread that does not exist
}

}  // namespace fern::debug
