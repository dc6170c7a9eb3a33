#include "core/hub.hpp"
#include "debug/frames.hpp"

#include <fern/debug.hpp>

#include <execinfo.h>

#include <ostream>

namespace fern {
namespace {

void write_stack(std::ostream& out, core::Hub& hub, core::Greenlet& greenlet) {
  void* frames[debug::most_frames];
  int count = 0;
  core::Greenlet& running = hub.running();
  if (&greenlet == &running) {
    count = backtrace(frames, debug::most_frames);
  } else if (greenlet.state != core::State::Unstarted) {
    count = core::context_backtrace(running.context, running.tools, greenlet.context,
                                    greenlet.tools, hub.live_eh(), frames, debug::most_frames);
  }
  for (int i = 0; i < count; ++i) debug::write_frame(out, frames[i]);
}

}  // namespace

void dump(std::ostream& out) {
  core::Hub& hub = core::Hub::current();
  out << "fern: hub " << static_cast<const void*>(&hub) << ", " << hub.greenlets()
      << " greenlet(s)\n";
  hub.for_each([&](core::Greenlet& greenlet) {
    out << "  " << core::describe(greenlet) << '\n';
    write_stack(out, hub, greenlet);
  });
}

Stats stats() {
  core::Hub& hub = core::Hub::current();
  core::StackStats stacks = hub.stacks().stats();
  Stats stats;
  stats.greenlets = hub.greenlets();
  hub.stacks().for_each([&](const core::Greenlet& greenlet) {
    if (greenlet.state == core::State::Dead) ++stats.kept;
  });
  stats.stacks = stacks.made;
  stats.free_stacks = stacks.free;
  stats.given_back = stacks.given_back;
  stats.unguarded = stacks.unguarded;
  stats.address_space = stacks.mapped;
  stats.switches = hub.switches();
  stats.polls = hub.polls();
  return stats;
}

}  // namespace fern
