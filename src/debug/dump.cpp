#include "core/hub.hpp"

#include <fern/debug.hpp>

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <ostream>
#include <string>

namespace fern {
namespace {

constexpr int most_frames = 64;

std::string demangled(const char* symbol) {
  int status = 0;
  std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(symbol, nullptr, nullptr, &status), &std::free);
  return text != nullptr ? text.get() : symbol;
}

void write_frame(std::ostream& out, void* address) {
  // A return address is one past the call, which may be the next function's first byte.
  const void* call = static_cast<const char*>(address) - 1;
  Dl_info info;
  out << "      ";
  if (dladdr(call, &info) == 0 || info.dli_fname == nullptr) {
    out << address << '\n';
    return;
  }
  std::string module = info.dli_fname;
  module.erase(0, module.rfind('/') + 1);
  const void* base = info.dli_fbase;
  if (info.dli_sname != nullptr) {
    out << demangled(info.dli_sname) << "  ";
    base = info.dli_fbase;
  }
  auto offset = static_cast<std::uintptr_t>(static_cast<const char*>(address) -
                                            static_cast<const char*>(base));
  out << '(' << module << "+0x" << std::hex << offset << std::dec << ")\n";
}

void write_stack(std::ostream& out, core::Hub& hub, core::Greenlet& greenlet) {
  void* frames[most_frames];
  int count = 0;
  core::Greenlet& running = hub.running();
  if (&greenlet == &running) {
    count = backtrace(frames, most_frames);
  } else if (greenlet.state != core::State::Unstarted) {
    count = core::context_backtrace(running.context, running.tools, greenlet.context,
                                    greenlet.tools, hub.live_eh(), frames, most_frames);
  }
  for (int i = 0; i < count; ++i) write_frame(out, frames[i]);
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
