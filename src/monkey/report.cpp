// What the monkey has done to this process, for people.

#include "monkey/objects.hpp"
#include "monkey/state.hpp"
#include "monkey/symbols.hpp"

#include <fern/monkey.hpp>

#include <gnu/libc-version.h>
#include <sys/utsname.h>

#include <map>
#include <ostream>
#include <set>
#include <string>

namespace fern::monkey {
namespace {

constexpr struct {
  Part part;
  const char* name;
} parts[] = {
    {Part::Time, "Time"},   {Part::Sockets, "Sockets"}, {Part::Select, "Select"},
    {Part::Dns, "Dns"},     {Part::Os, "Os"},           {Part::Files, "Files"},
    {Part::Stdio, "Stdio"}, {Part::Signals, "Signals"}, {Part::Threads, "Threads"},
};

using Names = std::set<std::string>;

// "a, b and 3 more": all of them up to a limit; "none" for none.
std::string listed(const Names& names, std::size_t most) {
  if (names.empty()) return "none";
  std::string text;
  std::size_t count = 0;
  for (const std::string& name : names) {
    if (count++ == most) return text + " and " + std::to_string(names.size() - most) + " more";
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

std::string short_name(const std::string& object) {
  return object.empty() ? "the program" : object.substr(object.rfind('/') + 1);
}

void write_parts(std::ostream& out) {
  Names on;
  Names off;
  for (const auto& [part, name] : parts) (is_patched(part) ? on : off).insert(name);
  out << "  patched: " << listed(on, on.size()) << "; native: " << listed(off, off.size()) << '\n';
}

void write_objects(std::ostream& out) {
  const Loaded all = loaded();
  Names callers;
  Names unbound;
  std::map<std::string, Names> past;     // object: names
  std::map<std::string, Names> targets;  // object: files that they lead to
  for (const Import& import : all.imports) {
    if (import.reached == nullptr) {
      unbound.insert(short_name(import.object));
      continue;
    }
    callers.insert(import.object);
    if (reaches(import.name.c_str(), import.reached)) continue;
    past[import.object].insert(import.name);
    targets[import.object].insert(file_of(import.reached));
  }
  out << "  loaded objects: " << all.objects.size() << ", of which " << callers.size()
      << " have bound wrapped names, and " << past.size() << " go past the wrappers\n";
  for (const auto& [object, names] : past) {
    out << "    " << (object.empty() ? "the program" : object) << ": " << listed(names, 8)
        << "\n      lead to " << listed(targets[object], 4)
        << " (loaded with RTLD_DEEPBIND or dlmopen?)\n";
  }
  if (!unbound.empty()) {
    out << "  objects with names that are bound at their first call, and have not been: "
        << listed(unbound, 12) << '\n';
  }
}

}  // namespace

void report(std::ostream& out) {
  utsname system{};
  ::uname(&system);
  out << "fern::monkey " << version() << ", glibc " << gnu_get_libc_version() << ", "
      << system.sysname << ' ' << system.release << '\n'
      << "  wrapped names: " << symbols().size() << ", by " << file_of(wrapper_of("recv")) << '\n';
  write_parts(out);
  out << "  name look-ups by: "
      << (resolver.load(std::memory_order_relaxed) == Resolver::CAres ? "c-ares" : "threads")
      << '\n'
      << "  calls made green: " << green_calls.load(std::memory_order_relaxed) << '\n';
  write_objects(out);
}

}  // namespace fern::monkey
