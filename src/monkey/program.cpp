// A whole program under `fern run`: this library is preloaded, finds what it is asked for in the
// environment, and patches everything before main.

#include "base/proc.hpp"
#include "base/real.hpp"
#include "monkey/hubs.hpp"
#include "monkey/state.hpp"
#include "monkey/thread.hpp"

#include <fern/monkey.hpp>

#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace fern::monkey {
namespace {

constexpr const char* request = "FERN_RUN";

bool asks_for(const std::string& text, const std::string& what) {
  return ("," + text + ",").find("," + what + ",") != std::string::npos;
}

unsigned hubs_in(const std::string& text) {
  auto at = text.find("hubs=");
  return at == std::string::npos ? 1 : static_cast<unsigned>(std::atoi(text.c_str() + at + 5));
}

// Children are to be as they always were.
void forget_request() {
  unsetenv(request);
  const char* preload = std::getenv("FERN_RUN_PRELOAD");
  if (preload != nullptr && *preload != '\0') {
    setenv("LD_PRELOAD", preload, 1);
  } else {
    unsetenv("LD_PRELOAD");
  }
  unsetenv("FERN_RUN_PRELOAD");
}

// --- what cannot be right ---------------------------------------------------------------------

bool has_one_of(const std::string& name, std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    if (name.find(part) != std::string::npos) return true;
  }
  return false;
}

// Objects with thread_locals that are not known to be right when greenlets share them.
std::vector<std::string> with_thread_locals() {
  std::vector<std::string> found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* names) {
        std::string name = info->dlpi_name;
        if (has_one_of(name, {"/libc.so", "/libstdc++.so", "/ld-linux", "/libfern"})) return 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type != PT_TLS) continue;
          if (name.empty()) name = program_invocation_name;
          static_cast<std::vector<std::string>*>(names)->push_back(name);
        }
        return 0;
      },
      &found);
  return found;
}

// Told at the start, and again of what has been loaded when the first thread is made.
void warn_of_thread_locals() {
  static auto& told = *new std::set<std::string>;
  std::string text;
  for (const std::string& object : with_thread_locals()) {
    if (told.insert(object).second) text += " " + object;
  }
  if (text.empty()) return;
  text = "fern run: green threads share the thread_local variables of" + text +
         "; --tls gives each its own\n";
  real::write_all(2, text.data(), text.size());
}

// Fern marks what it is linked into by an ELF note; so does the linker of Go.
bool has_note_of(const std::string& owner) {
  struct Search {
    const std::string& owner;
    bool found = false;
  } search{owner};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* context) {
        auto& search = *static_cast<Search*>(context);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& header = info->dlpi_phdr[i];
          if (header.p_type != PT_NOTE) continue;
          auto* at = reinterpret_cast<const char*>(info->dlpi_addr + header.p_vaddr);
          const char* end = at + header.p_memsz;
          while (at + sizeof(ElfW(Nhdr)) <= end) {
            auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
            const char* name = at + sizeof *note;
            if (std::string(name, ::strnlen(name, note->n_namesz)) == search.owner) {
              search.found = true;
            }
            at = name + ((note->n_namesz + 3) & ~3u) + ((note->n_descsz + 3) & ~3u);
          }
        }
        return 1;  // the program is the first
      },
      &search);
  return search.found;
}

// Programs close their stderr before they exit, and may have opened something else by that number.
int report_to = -1;
struct stat report_file{};
pid_t began_as = 0;

void keep_stderr() noexcept {
  constexpr int out_of_the_way = 200;
  report_to = real::fcntl(2, F_DUPFD_CLOEXEC, out_of_the_way);
  if (report_to < 0) report_to = 2;
  ::fstat(report_to, &report_file);
  began_as = ::getpid();
}

void say_at_exit() {
  ThreadCounts threads = thread_counts();
  if (threads.made == 0 && ::getpid() != began_as) return;  // a child that has none
  struct stat now{};
  if (::fstat(report_to, &now) != 0 || now.st_dev != report_file.st_dev ||
      now.st_ino != report_file.st_ino)
    return;
  std::string text = "fern: " + std::to_string(threads.made) + " green threads, at most " +
                     std::to_string(threads.peak) + " at once, in " +
                     std::to_string(base::thread_count()) + " OS threads; " +
                     std::to_string(all_switches()) + " switches; " +
                     std::to_string(green_calls.load()) + " calls that could wait, " +
                     std::to_string(native_blocks.load()) + " that had to block natively\n";
  real::write_all(report_to, text.data(), text.size());
}

__attribute__((constructor)) void begin() {
  const char* asked = std::getenv(request);
  if (asked == nullptr) return;
  std::string text = asked;
  forget_request();
  if (has_note_of("Go")) {
    std::fprintf(stderr,
                 "fern run: %s is a Go program, whose threads wait past libc: it runs natively\n",
                 program_invocation_name);
    return;
  }
  try {
    Options options = Options::everything();
    options.hubs = hubs_in(text);
    options.tls = asks_for(text, "tls");
    if (has_note_of("Fern")) {
      throw std::logic_error("the program carries a static Fern of its own, which has hubs apart");
    }
    patch_all(options);
    if (!options.tls) {
      warn_of_thread_locals();
      before_first_thread = warn_of_thread_locals;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fern run: %s\n", error.what());
    _exit(125);
  }
  if (asks_for(text, "report")) {
    keep_stderr();
    std::atexit(say_at_exit);
  }
}

}  // namespace
}  // namespace fern::monkey
