#include "cli/run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace fern::cli {
namespace {

namespace fs = std::filesystem;

constexpr int cannot_run = 126;
constexpr int not_found = 127;
constexpr int failed = 125;

// Where it is installed, or beside this command in its build folder.
fs::path monkey_library() {
  fs::path self = fs::read_symlink("/proc/self/exe");
  fs::path folder = self.parent_path();
  for (const fs::path& place :
       {folder / "src", folder.parent_path() / FERN_LIBDIR, folder.parent_path() / "lib"}) {
    for (const char* name : {"libfern_monkey.so.0", "libfern_monkey.so"}) {
      if (fs::exists(place / name)) return place / name;
    }
  }
  return {};
}

std::string request(const RunOptions& options) {
  std::string text = fmt::format("hubs={}", options.hubs);
  if (options.tls) text += ",tls";
  if (options.report) text += ",report";
  return text;
}

}  // namespace

int run(const RunOptions& options) {
  fs::path library = monkey_library();
  if (library.empty()) {
    fmt::print(stderr, "fern run: libfern_monkey is not installed beside this command\n");
    return failed;
  }
  const char* before = std::getenv("LD_PRELOAD");
  std::string preloaded = before == nullptr ? "" : before;
  setenv("FERN_RUN_PRELOAD", preloaded.c_str(), 1);
  std::string preload = library.string();
  if (!preloaded.empty()) preload += ":" + preloaded;
  setenv("LD_PRELOAD", preload.c_str(), 1);
  setenv("FERN_RUN", request(options).c_str(), 1);
  std::vector<char*> arguments;
  for (const std::string& argument : options.command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  int error = errno;
  fmt::print(stderr, "fern run: {}: {}\n", options.command[0], std::strerror(error));
  return error == ENOENT ? not_found : cannot_run;
}

}  // namespace fern::cli
