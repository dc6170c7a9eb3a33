#include "cli/run.hpp"

#include <elf.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

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

// Where execvp will find it; empty if nowhere.
fs::path found_in_path(const std::string& program) {
  if (program.find('/') != std::string::npos) return program;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/bin:/usr/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    fs::path place = fs::path(folder.empty() ? "." : folder) / program;
    if (access(place.c_str(), X_OK) == 0 && !fs::is_directory(place)) return place;
  }
  return {};
}

// An ELF program that no loader prepares, so that nothing can be loaded before it.
bool is_static(const fs::path& program) {
  std::ifstream file(program, std::ios::binary);
  Elf64_Ehdr header{};
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  if (!file || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64) {
    return false;
  }
  file.seekg(static_cast<std::streamoff>(header.e_phoff));
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part{};
    file.read(reinterpret_cast<char*>(&part), sizeof part);
    if (!file || part.p_type == PT_INTERP) return false;
  }
  return true;
}

// One that gets other rights by being run is given no libraries by its user.
bool changes_rights(const fs::path& program) {
  struct stat file{};
  if (stat(program.c_str(), &file) != 0) return false;
  return ((file.st_mode & S_ISUID) != 0 && file.st_uid != geteuid()) ||
         ((file.st_mode & S_ISGID) != 0 && file.st_gid != getegid());
}

void tell_if_native(const std::string& program) {
  fs::path file = found_in_path(program);
  const char* why = is_static(file)        ? "is linked statically"
                    : changes_rights(file) ? "is set-user-ID or set-group-ID"
                                           : nullptr;
  if (why != nullptr) fmt::print(stderr, "fern run: {} {}: it runs natively\n", program, why);
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
  tell_if_native(options.command[0]);
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
