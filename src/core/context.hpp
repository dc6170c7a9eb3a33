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
EhGlobals* eh_globals() noexcept;

struct Context : detail::Saved {  // sp is valid while it is not running
  EhGlobals eh;                   // and so is this
};

// eh_exchange() is a switch's part of it. As one piece of 16 bytes each, padding and all: half as
// many instructions.
__attribute__((always_inline)) inline void eh_exchange(Context& from, const Context& to,
                                                       EhGlobals& live) noexcept {
#if defined(__SSE2__)
  using Piece [[gnu::vector_size(16), gnu::aligned(8), gnu::may_alias]] = long long;
  static_assert(sizeof(Piece) == sizeof(EhGlobals));
  const Piece next = *reinterpret_cast<const Piece*>(&to.eh);
  *reinterpret_cast<Piece*>(&from.eh) = *reinterpret_cast<Piece*>(&live);
  *reinterpret_cast<Piece*>(&live) = next;
#else
  from.eh = live;
  live = to.eh;
#endif
}

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

// Departure is a switch away from a stack that has ended.
struct Departure {
  Context* from;
  ToolContext* from_tools;
  Context* to;
  ToolContext* to_tools;
  EhGlobals* live;
};

// stack_entry() is where every fresh stack begins; hub.cpp defines it, since only the hub knows
// whose stack it is. Returns where to go when the stack has ended.
Departure stack_entry();

// context_make() sets `context` to call stack_entry() below `top` when first switched to.
void context_make(Context& context, ToolContext& tools, const Stack& stack, char* top) noexcept;

// context_adopt() describes the thread's own stack, which is running. It also sets all six
// exception flags of MXCSR, which new stacks inherit: they are sticky and the ABI leaves them to
// the caller, but where two stacks differ in them each switch costs 65 ns more on an Intel Xeon,
// and one rounding is enough to differ.
void context_adopt(ToolContext& tools) noexcept;

// context_switch() stops `from`, which is running, and continues `to`. Returns when somebody
// switches back. `dying` says that nobody will and that the stack may be reused at once.
#ifdef FERN_INLINE_SWITCH
__attribute__((always_inline)) inline void context_switch(Context& from, ToolContext&, Context& to,
                                                          ToolContext&, EhGlobals& live,
                                                          bool = false) noexcept {
  eh_exchange(from, to, live);
  detail::jump({to.sp, &from});
}
#else
void context_switch(Context& from, ToolContext& from_tools, Context& to, ToolContext& to_tools,
                    EhGlobals& live, bool dying = false) noexcept;
#endif

// stack_registered() and stack_unregistered() tell Valgrind; stack_reused() cleans what a dead
// user left in ASan's shadow; tools_destroyed() frees what the tools keep for a stack.
// blocks_registered() lets the leak check find what control blocks own.
unsigned stack_registered(const Stack& stack) noexcept;
void stack_unregistered(unsigned id) noexcept;
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
