// The fern command: what this build of Fern is, what this machine offers it, and programs run
// green.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <thread>

#include "cli/run.hpp"
#include "core/stack.hpp"
#include "fern/config.hpp"

namespace {

std::string kernel() {
  utsname name{};
  ::uname(&name);
  return fmt::format("{} {} on {}", name.sysname, name.release, name.machine);
}

std::string guards() {
  switch (fern::core::guard_kind()) {
    case fern::core::Guard::Install:
      return "every stack, by MADV_GUARD_INSTALL: no mapping spent";
    case fern::core::Guard::Protect:
      return fmt::format("about {} stacks, by mprotect: half of vm.max_map_count is spent on them",
                         fern::core::max_map_count() / 4);
    case fern::core::Guard::None:
      break;
  }
  return "none: this system refuses them";
}

std::string limit(int resource) {
  rlimit value{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &value) != 0) {
    return "unknown";
  }
  const auto show = [](rlim_t n) { return n == RLIM_INFINITY ? "unlimited" : fmt::to_string(n); };
  return fmt::format("{} (at most {})", show(value.rlim_cur), show(value.rlim_max));
}

void info() {
  const auto row = [](const char* name, const std::string& value) {
    fmt::print("{:<18}{}\n", name, value);
  };
  row("fern", fern::version());
  row("kernel", kernel());
  row("processors", fmt::to_string(std::thread::hardware_concurrency()));
  row("page", fmt::format("{} bytes", fern::core::page_size()));
  row("stack", fmt::format("{} KiB of address space each, unless asked otherwise",
                           fern::core::StackPool::default_size / 1024));
  row("stack guards", guards());
  row("vm.max_map_count", fmt::to_string(fern::core::max_map_count()));
  row("open files", limit(RLIMIT_NOFILE));
  row("address space", limit(RLIMIT_AS));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Fern: green threads for C++20", "fern"};
  app.set_version_flag("--version", fmt::format("fern {}", fern::version()));
  app.require_subcommand(1);
  app.add_subcommand("info", "What this machine offers: kernel features and limits")
      ->callback(info);
  fern::cli::RunOptions options;
  int code = 0;
  CLI::App* run = app.add_subcommand("run", "Run a program with its threads as green threads");
  run->add_option("--hubs", options.hubs, "OS threads to run them in")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  run->add_flag("--tls", options.tls, "Give each green thread thread-local storage of its own");
  run->add_flag("--report", options.report, "Say at exit what the green threads have done");
  run->add_option("PROGRAM", options.command, "The program and its arguments")->required();
  run->prefix_command();
  run->positionals_at_end();
  run->callback([&] {
    for (const std::string& argument : run->remaining()) options.command.push_back(argument);
    code = fern::cli::run(options);
  });
  CLI11_PARSE(app, argc, argv);
  return code;
}
