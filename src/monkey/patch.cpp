// What is patched, and whether it can be.

#include <fern/monkey.hpp>

#include "base/proc.hpp"
#include "base/real.hpp"
#include "monkey/cares.hpp"
#include "monkey/hubs.hpp"
#include "monkey/objects.hpp"
#include "monkey/original.hpp"
#include "monkey/state.hpp"
#include "monkey/symbols.hpp"
#include "monkey/tls.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <string>

namespace fern::monkey {

constinit std::atomic<unsigned> patched{0};
constinit std::atomic<Resolver> resolver{Resolver::Threads};
constinit std::atomic<std::uint64_t> green_calls{0};
constinit std::atomic<std::uint64_t> native_blocks{0};

void* find_original(const char* name) noexcept {
  int saved = errno;
  void* found = dlsym(RTLD_NEXT, name);
  errno = saved;
  return found;
}

namespace {

// What everybody else's call of the name reaches must be ours. One name stands for all: they come
// in one piece. Objects that go another way, whose own business that is, are in report().
void check_reach() {
  if (dlsym(RTLD_DEFAULT, "gnu_get_libc_version") == nullptr) {
    throw std::logic_error(
        "fern::monkey: this program is linked statically with libc, whose calls are its own");
  }
  void* reached = dlsym(RTLD_DEFAULT, "recv");
  if (reaches("recv", reached)) return;
  throw std::logic_error("fern::monkey: the program's recv is that of " + file_of(reached) +
                         ": libfern_monkey has to come before it (link it before libc, as "
                         "pkg-config fern_monkey does, or preload it)");
}

// Locks that somebody holds or waits for would change their nature under him.
void check_threads() {
  if (threads_green()) return;
  if (wrapper_of("pthread_create") == nullptr) {
    throw std::logic_error("fern::monkey: with ThreadSanitizer threads cannot become green");
  }
  std::size_t threads = base::thread_count();
  if (gettid() == getpid() && threads <= 1) return;
  throw std::logic_error(
      "fern::monkey: threads can become green only in main, before there is a "
      "second thread");
}

void make_threads_green(const Options& options) {
  check_threads();
  if (options.tls) {
    if (const char* reason = use_tls()) {
      throw std::logic_error(std::string("fern::monkey: thread-local storage: ") + reason);
    }
  }
  use_hubs(options.hubs);
}

bool with_threads(Part parts) { return (parts & Part::Threads) == Part::Threads; }

}  // namespace

void patch_all(const Options& options) {
  check_reach();
  if (options.resolver == Resolver::CAres && !has_cares())
    throw std::logic_error("fern::monkey: this libfern_monkey was built without c-ares");
  if (with_threads(options.parts)) make_threads_green(options);
  resolver.store(options.resolver, std::memory_order_relaxed);
  patched.fetch_or(static_cast<unsigned>(options.parts), std::memory_order_relaxed);
}

void patch(Part parts) {
  check_reach();
  if (with_threads(parts)) make_threads_green({});
  patched.fetch_or(static_cast<unsigned>(parts), std::memory_order_relaxed);
}

void unpatch(Part parts) noexcept {
  patched.fetch_and(~static_cast<unsigned>(parts) | static_cast<unsigned>(Part::Threads),
                    std::memory_order_relaxed);
}

bool is_patched(Part parts) noexcept {
  auto bits = static_cast<unsigned>(parts);
  return (patched.load(std::memory_order_relaxed) & bits) == bits;
}

native_scope::native_scope() noexcept { ++base::native_depth; }

native_scope::~native_scope() { --base::native_depth; }

namespace detail {

// A wrapper may have more than one address: see reaches().
void* original_of(void* function) {
  for (const Symbol& symbol : symbols()) {
    if (symbol.wrapper == function || dlsym(RTLD_DEFAULT, symbol.name) == function) {
      return find_original(symbol.name);
    }
  }
  throw std::logic_error("fern::monkey::original(): not a wrapped function, but one of " +
                         file_of(function));
}

}  // namespace detail
}  // namespace fern::monkey
