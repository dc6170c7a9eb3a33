#pragma once

// The switch: one stack stops, another goes on. Everything a switch must preserve is a field of
// Context; everything that has to be told about stacks (ASan, TSan, Valgrind) is told here.
//
// Preserved: callee-saved registers, MXCSR and the x87 control word (Boost.Context's fcontext),
// and __cxa_eh_globals, without which two greenlets that switch inside `catch` would rethrow each
// other's exception. Not preserved, because a greenlet never changes thread: errno, thread_locals.

#include <fern/detail/switch.hpp>

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#define FERN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FERN_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FERN_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FERN_TSAN 1
#endif
#endif

namespace fern::core {

// libstdc++'s per-thread exception state, which the C++ ABI fixes at these two fields.
struct EhGlobals {
  void* caught = nullptr;
  unsigned uncaught = 0;
};

// eh_globals() is this thread's. Fetch it once per hub: __cxa_get_globals is declared const, so
// the compiler may hoist a call out of any loop.
FERN_INTERNAL EhGlobals* eh_globals() noexcept;

struct Context : detail::Saved {  // sp is valid while it is not running
  EhGlobals eh;                   // and so is this
};

// eh_copy() and eh_clear() write it as one piece of 16 bytes, padding and all: fewer instructions,
// and all must do so, since what was written in parts cannot be forwarded to a load of the whole.
#if defined(__SSE2__)
using EhPiece [[gnu::vector_size(16), gnu::aligned(8), gnu::may_alias]] = long long;
static_assert(sizeof(EhPiece) == sizeof(EhGlobals));
inline EhPiece& eh_piece(EhGlobals& eh) noexcept { return reinterpret_cast<EhPiece&>(eh); }
inline void eh_copy(EhGlobals& to, EhGlobals& from) noexcept { eh_piece(to) = eh_piece(from); }
inline void eh_clear(EhGlobals& eh) noexcept { eh_piece(eh) = EhPiece{}; }
#else
inline void eh_copy(EhGlobals& to, EhGlobals& from) noexcept { to = from; }
inline void eh_clear(EhGlobals& eh) noexcept { eh = {}; }
#endif

// Rounding is what the processor is told about floating point: fcontext keeps it for each stack.
// here() is the running one's; set() changes that, and put() that of a stack which is not running.
struct Rounding {
#if defined(__x86_64__)
  std::uint16_t sse = 0;  // MXCSR's low half; the other is zero
  std::uint16_t x87 = 0;

  static Rounding here() noexcept {
    std::uint32_t mxcsr;
    Rounding rounding;
    asm volatile("stmxcsr %0" : "=m"(mxcsr));
    asm volatile("fnstcw %0" : "=m"(rounding.x87));
    rounding.sse = static_cast<std::uint16_t>(mxcsr);
    return rounding;
  }
  void set() const noexcept {
    std::uint32_t mxcsr = sse;
    asm volatile("ldmxcsr %0" : : "m"(mxcsr));
    asm volatile("fldcw %0" : : "m"(x87));
  }
  void put(void* sp) const noexcept {
    static_cast<std::uint32_t*>(sp)[0] = sse;
    static_cast<std::uint16_t*>(sp)[2] = x87;
  }
  bool operator==(const Rounding&) const noexcept = default;
#else
  static Rounding here() noexcept { return {}; }
  void set() const noexcept {}
  void put(void*) const noexcept {}
  bool operator==(const Rounding&) const noexcept = default;
#endif
};

// What the sanitizers want to know of a stack; empty without them.
struct ToolContext {
#ifdef FERN_ASAN
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  std::size_t size = 0;
#endif
#ifdef FERN_TSAN
  void* fiber = nullptr;
#endif
};

struct Stack {
  char* bottom = nullptr;  // lowest usable byte, above the guard
  char* top = nullptr;     // one past the highest
  std::size_t size() const noexcept { return static_cast<std::size_t>(top - bottom); }
};

// stack_entry() is where every fresh stack begins; hub.cpp defines it, since only the hub knows
// whose stack it is.
[[noreturn]] void stack_entry();

// context_make() sets `context` to call stack_entry() below `top` when first switched to.
void context_make(Context& context, ToolContext& tools, const Stack& stack, char* top,
                  Rounding rounding = Rounding::here()) noexcept;

// context_take_over() is for one that begins on the stack that is running, whose user has ended.
inline void context_take_over(Rounding rounding, EhGlobals& live) noexcept {
  eh_clear(live);
  if (Rounding::here() != rounding) [[unlikely]]
    rounding.set();
}

// context_adopt() describes the thread's own stack, which is running. It also sets all six
// exception flags of MXCSR, which new stacks inherit: they are sticky and the ABI leaves them to
// the caller, but where two stacks differ in them each switch costs 65 ns more on an Intel Xeon,
// and one rounding is enough to differ.
void context_adopt(ToolContext& tools) noexcept;

// context_begin() lets `context` begin where a stack rests, see below.
inline void context_begin(Context& context, const detail::Saved& resting,
                          [[maybe_unused]] Rounding rounding) noexcept {
  context.sp = resting.sp;
  eh_clear(context.eh);
  rounding.put(resting.sp);
}

// context_switch() stops `from`, which is running, and continues `to`. Returns when somebody
// switches back. context_rest() stops a stack whose user has ended: it returns when somebody
// begins there; not with ASan, for which a stack that has ended is gone, and leaves null in `from`.
#ifdef FERN_INLINE_SWITCH
__attribute__((always_inline)) inline void context_switch(Context& from, ToolContext&, Context& to,
                                                          ToolContext&, EhGlobals& live) noexcept {
  eh_copy(from.eh, live);
  eh_copy(live, to.eh);
  detail::jump({to.sp, &from});
}
__attribute__((always_inline)) inline void context_rest(detail::Saved& from, ToolContext&,
                                                        Context& to, ToolContext&,
                                                        EhGlobals& live) noexcept {
  eh_copy(live, to.eh);
  detail::jump({to.sp, &from});
}
#else
void context_switch(Context& from, ToolContext& from_tools, Context& to, ToolContext& to_tools,
                    EhGlobals& live) noexcept;
void context_rest(detail::Saved& from, ToolContext& from_tools, Context& to, ToolContext& to_tools,
                  EhGlobals& live) noexcept;
#endif

// stack_registered() tells Valgrind, for good; stack_reused() cleans what a dead user left in
// ASan's shadow; tools_destroyed() frees what the tools keep for a stack. blocks_registered() lets
// the leak check find what control blocks own.
void stack_registered(const Stack& stack) noexcept;
void blocks_registered(const void* begin, std::size_t size) noexcept;
void stack_reused(const Stack& stack) noexcept;
void tools_destroyed(ToolContext& tools) noexcept;
bool on_valgrind() noexcept;

// context_backtrace() fills `frames` with the return addresses of a context that is not running;
// returns how many. The context is entered and left for it: only in its own thread.
int context_backtrace(Context& from, ToolContext& from_tools, Context& parked,
                      ToolContext& parked_tools, EhGlobals& live, void** frames,
                      int capacity) noexcept;

}  // namespace fern::core
