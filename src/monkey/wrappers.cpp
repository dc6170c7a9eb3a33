// libc's names. Each wrapper is a test and a call of either twin. The names are given to the
// assembler alone, so that nothing of what the headers say about them (inline versions, macros,
// noexcept) is in the way.

#include "monkey/file_calls.hpp"
#include "monkey/futex.hpp"
#include "monkey/green.hpp"
#include "monkey/specials.hpp"
#include "monkey/state.hpp"
#include "monkey/stream_locks.hpp"
#include "monkey/symbols.hpp"
#include "monkey/thread.hpp"

#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace fern::monkey::native {
#define FERN_CALL(part, result, name, parameters, arguments) \
  constinit Original<result parameters> name{#name};
#define FERN_CHECKED(result, checked, name, overflow, parameters, all, arguments) \
  constinit Original<result parameters> checked{#checked};
#define FERN_REPLACED(result, name, parameters, arguments) \
  constinit Original<result parameters> name{#name};
#include "monkey/table.hpp"

[[maybe_unused]] static constinit Original<long(long, long, long, long, long, long, long)> syscall{
    "syscall"};
}  // namespace fern::monkey::native

// TSan has its own wrappers of threads and locks, and uses what they wrap before anything can be
// found: there threads stay as they are.
#ifdef FERN_TSAN
#define FERN_WITHOUT_THREADS
#endif

namespace fern::monkey {

#ifndef __clang__
// g++ finds out that some of them do not throw, and misses that at their other name.
#pragma GCC diagnostic ignored "-Wmissing-attributes"
#endif

namespace {

// Calls that return their error, and leave it in errno as well.
constexpr bool returns_error(std::string_view name) {
  return name == "sigwait" || (name.starts_with("gethostby") && name.ends_with("_r"));
}

// A call of the green twin. One that succeeds leaves errno alone, whatever it has tried on its way.
// It is a cancellation point before it begins, and when it has failed: what has come is kept.
template <bool returns_error = false, class Call>
auto green_call(Call call) {
  using Result = decltype(call());
  bool cancellable = threads_green();
  if (cancellable) end_if_cancelled();
  int before = errno;
  if constexpr (std::is_void_v<Result>) {
    call();
    errno = before;
  } else {
    Result result = call();
    bool done = false;
    if constexpr (std::is_pointer_v<Result>) {
      done = result != nullptr;
    } else if constexpr (std::is_signed_v<Result>) {
      done = returns_error ? result == 0 : result >= 0;
    } else if constexpr (std::is_same_v<Result, unsigned>) {
      done = result == 0;
    }
    if (done) {
      errno = before;
    } else if (cancellable) {
      end_if_cancelled();
    }
    return result;
  }
}

}  // namespace

// Each wrapper has two names: its own, which nobody else defines, and libc's.
#define FERN_DEFINE(result, name, parameters)                                         \
  extern "C" __attribute__((visibility("hidden"))) result fern_own_##name parameters; \
  extern "C" FERN_EXPORT decltype(fern_own_##name) fern_wrapped_##name asm(#name)     \
      __attribute__((alias("fern_own_" #name)));                                      \
  extern "C" result fern_own_##name parameters

#define FERN_CALL(part, result, name, parameters, arguments)                        \
  FERN_DEFINE(result, name, parameters) {                                           \
    if (!goes_green(Part::part)) [[likely]]                                         \
      return native::name arguments;                                                \
    green_calls.fetch_add(1, std::memory_order_relaxed);                            \
    if constexpr (Part::part == Part::Stdio) {                                      \
      static constexpr LockedBy lock{#name};                                        \
      if (lock.locks() && threads_green()) await_unlocked(lock.file arguments);     \
    }                                                                               \
    return green_call<returns_error(#name)>([&] { return green::name arguments; }); \
  }
#define FERN_REPLACED(result, name, parameters, arguments) \
  FERN_DEFINE(result, name, parameters) {                  \
    if (!threads_green()) [[likely]]                       \
      return native::name arguments;                       \
    return replaced::name arguments;                       \
  }
#define FERN_ALWAYS(part, result, name, parameters, arguments) \
  extern "C" FERN_BARE result fern_own_##name parameters;      \
  FERN_DEFINE(result, name, parameters) { return green::name arguments; }
#define FERN_VARIADIC(result, name, other, parameters, arguments) \
  FERN_DEFINE(result, name, parameters) {                         \
    va_list list;                                                 \
    va_start(list, format);                                       \
    result done = fern_own_##other arguments;                     \
    va_end(list);                                                 \
    return done;                                                  \
  }
#define FERN_ALIAS(name, other)                                                                    \
  extern "C" __attribute__((visibility("hidden"),                                                  \
                            alias("fern_own_" #name))) decltype(fern_own_##name) fern_own_##other; \
  extern "C" FERN_EXPORT decltype(fern_own_##name) fern_wrapped_##other asm(#other)                \
      __attribute__((alias("fern_own_" #name)));
#define FERN_CHECKED(result, checked, name, overflow, parameters, all, arguments) \
  FERN_DEFINE(result, checked, parameters) {                                      \
    if (overflow) [[unlikely]]                                                    \
      return native::checked all;                                                 \
    return fern_own_##name arguments;                                             \
  }
#include "monkey/table.hpp"

#ifndef FERN_WITHOUT_THREADS
// Six arguments, whether the caller has given them or not: all are registers or stack of its own.
FERN_DEFINE(long, syscall, (long number, long a, long b, long c, long d, long e, long f)) {
  if (!threads_green() || number != SYS_futex || !futex_is_ours(b)) [[likely]]
    return native::syscall(number, a, b, c, d, e, f);
  return green_futex(a, b, c, d, e, f);
}
#endif

namespace {

// Rows of aliases and twins know the name that they stand for, which has its part.
template <class Function>
void* address(Function* function) noexcept {
  return reinterpret_cast<void*>(function);
}

#define FERN_CALL(part, result, name, parameters, arguments) \
  constexpr Part part_of_##name = Part::part;
#define FERN_SPECIAL(part, name) constexpr Part part_of_##name = Part::part;
#define FERN_REPLACED(result, name, parameters, arguments) \
  constexpr Part part_of_##name = Part::Threads;
#include "monkey/table.hpp"

}  // namespace

std::span<const Symbol> symbols() noexcept {
#define FERN_CALL(part, result, name, parameters, arguments) \
  {#name, Part::part, address(fern_own_##name)},
#define FERN_SPECIAL(part, name) {#name, Part::part, address(fern_wrapped_##name)},
#define FERN_REPLACED(result, name, parameters, arguments) \
  {#name, Part::Threads, address(fern_own_##name)},
#define FERN_ALIAS(name, other) {#other, part_of_##name, address(fern_own_##other)},
#define FERN_VARIADIC(result, name, other, parameters, arguments) \
  {#name, part_of_##other, address(fern_own_##name)},
#define FERN_CHECKED(result, checked, name, overflow, parameters, all, arguments) \
  {#checked, part_of_##name, address(fern_own_##checked)},
  static const Symbol all[] = {
#include "monkey/table.hpp"
  };
  return all;
}

void* wrapper_of(const char* name) noexcept {
  for (const Symbol& symbol : symbols()) {
    if (std::strcmp(symbol.name, name) == 0) return symbol.wrapper;
  }
  return nullptr;
}

}  // namespace fern::monkey
