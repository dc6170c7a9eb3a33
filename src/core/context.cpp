#include "core/context.hpp"

#include "base/assert.hpp"

#include <boost/context/detail/fcontext.hpp>

#include <cxxabi.h>
#include <execinfo.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(bottom, top) 0
#define VALGRIND_STACK_DEREGISTER(id) static_cast<void>(id)
#endif
#ifdef FERN_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef FERN_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#ifdef FERN_INLINE_SWITCH
void* const fern::detail::jump_code =
    reinterpret_cast<void*>(&boost::context::detail::jump_fcontext);
#endif

namespace fern::core {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::ontop_fcontext;
using boost::context::detail::transfer_t;

// Marks what runs between telling a tool of a switch and the jump. ASan would put locals onto a
// fake stack that a dying greenlet has already lost, and TSan would enter a function on one stack
// and leave it on another.
#if defined(FERN_ASAN)
#define FERN_UNCHECKED __attribute__((no_sanitize("address")))
#elif defined(FERN_TSAN) && defined(__clang__)
#define FERN_UNCHECKED __attribute__((disable_sanitizer_instrumentation))
#elif defined(FERN_TSAN)
#define FERN_UNCHECKED __attribute__((no_sanitize("thread")))
#else
#define FERN_UNCHECKED
#endif

// What the jump carries to the other side: whose stack pointer it has to store.
struct Passage {
  detail::Saved* from;
  ToolContext* from_tools;
};

// First thing on the new stack: keep where the old one stopped.
FERN_UNCHECKED inline void arrived(transfer_t transfer, [[maybe_unused]] ToolContext* here,
                                   bool first) noexcept {
#ifdef FERN_ASAN
  auto* passage = static_cast<Passage*>(transfer.data);
  passage->from->sp = transfer.fctx;
  // The stack just left tells its bounds here; a thread's own are known no other way.
  __sanitizer_finish_switch_fiber(first ? nullptr : here->fake_stack, &passage->from_tools->bottom,
                                  &passage->from_tools->size);
#else
  static_cast<void>(first);
  static_cast<detail::Saved*>(transfer.data)->sp = transfer.fctx;
#endif
}

FERN_UNCHECKED inline void leaving([[maybe_unused]] ToolContext& from,
                                   [[maybe_unused]] ToolContext& to,
                                   [[maybe_unused]] bool dying) noexcept {
#ifdef FERN_ASAN
  __sanitizer_start_switch_fiber(dying ? nullptr : &from.fake_stack, to.bottom, to.size);
#endif
#ifdef FERN_TSAN
  __tsan_switch_to_fiber(to.fiber, 0);
#endif
}

// Entered by a jump and left by one, with no call open between: see fern/detail/switch.hpp.
[[noreturn]] void first_entry(transfer_t transfer) {
#if defined(__x86_64__)
  asm volatile(".cfi_undefined rip");  // backtraces end here
#endif
  arrived(transfer, nullptr, true);
  stack_entry();
}

}  // namespace

__attribute__((noinline)) EhGlobals* eh_globals() noexcept {
  auto* globals = reinterpret_cast<EhGlobals*>(abi::__cxa_get_globals());
  asm volatile("" : "+r"(globals));
  return globals;
}

void context_make(Context& context, [[maybe_unused]] ToolContext& tools, const Stack& stack,
                  char* top, Rounding rounding) noexcept {
  context.sp = make_fcontext(top, static_cast<std::size_t>(top - stack.bottom), first_entry);
  rounding.put(context.sp);  // it has put the maker's there
  eh_clear(context.eh);
#ifdef FERN_ASAN
  tools.bottom = stack.bottom;
  tools.size = stack.size();
  tools.fake_stack = nullptr;
#endif
#ifdef FERN_TSAN
  if (tools.fiber == nullptr) tools.fiber = __tsan_create_fiber(0);
#endif
}

void context_adopt([[maybe_unused]] ToolContext& tools) noexcept {
#if defined(__x86_64__)
  std::uint32_t mxcsr;
  asm volatile("stmxcsr %0" : "=m"(mxcsr));
  mxcsr |= 0x3f;
  asm volatile("ldmxcsr %0" : : "m"(mxcsr));
#endif
#ifdef FERN_TSAN
  tools.fiber = __tsan_get_current_fiber();
#endif
}

#ifndef FERN_INLINE_SWITCH
FERN_UNCHECKED void context_switch(Context& from, ToolContext& from_tools, Context& to,
                                   ToolContext& to_tools, EhGlobals& live) noexcept {
  eh_copy(from.eh, live);
  eh_copy(live, to.eh);
  leaving(from_tools, to_tools, false);
#ifdef FERN_ASAN
  Passage passage{&from, &from_tools};
  transfer_t transfer = jump_fcontext(to.sp, &passage);
#else
  transfer_t transfer = jump_fcontext(to.sp, &from);
#endif
  arrived(transfer, &from_tools, false);
}

FERN_UNCHECKED void context_rest(detail::Saved& from, ToolContext& from_tools, Context& to,
                                 ToolContext& to_tools, EhGlobals& live) noexcept {
  eh_copy(live, to.eh);
#ifdef FERN_ASAN
  static detail::Saved nobody;
  leaving(from_tools, to_tools, true);
  from.sp = nullptr;
  Passage passage{&nobody, &from_tools};
  jump_fcontext(to.sp, &passage);
  __builtin_unreachable();
#else
  leaving(from_tools, to_tools, false);
  arrived(jump_fcontext(to.sp, &from), &from_tools, false);
#endif
}
#endif

void stack_registered([[maybe_unused]] const Stack& stack) noexcept {
  static_cast<void>(VALGRIND_STACK_REGISTER(stack.bottom, stack.top));
}

void blocks_registered([[maybe_unused]] const void* begin,
                       [[maybe_unused]] std::size_t size) noexcept {
#ifdef FERN_ASAN
  __lsan_register_root_region(begin, size);
#endif
}

void stack_reused([[maybe_unused]] const Stack& stack) noexcept {
#ifdef FERN_ASAN
  __asan_unpoison_memory_region(stack.bottom, stack.size());
#endif
}

void tools_destroyed([[maybe_unused]] ToolContext& tools) noexcept {
#ifdef FERN_TSAN
  if (tools.fiber != nullptr) __tsan_destroy_fiber(tools.fiber);
  tools.fiber = nullptr;
#endif
}

bool on_valgrind() noexcept { return RUNNING_ON_VALGRIND != 0; }

namespace {

struct Trace {
  void** frames;
  int capacity;
  int count;
  Context* from;
  ToolContext* from_tools;
  Context* parked;
  ToolContext* parked_tools;
};

// Runs on top of the parked stack as if its switch had just called it, and goes straight back.
// Whoever resumes that stack next lands behind the jump here and returns into the switch, which
// greets the arrival as ever; so nothing here may touch a fake stack.
FERN_UNCHECKED transfer_t trace_on_top(transfer_t transfer) {
  auto* trace = static_cast<Trace*>(transfer.data);
  trace->from->sp = transfer.fctx;
#ifdef FERN_ASAN
  __sanitizer_finish_switch_fiber(trace->parked_tools->fake_stack, &trace->from_tools->bottom,
                                  &trace->from_tools->size);
#endif
  trace->count = backtrace(trace->frames, trace->capacity);
  leaving(*trace->parked_tools, *trace->from_tools, false);
#ifdef FERN_ASAN
  Passage passage{trace->parked, trace->parked_tools};
  return jump_fcontext(trace->from->sp, &passage);
#else
  return jump_fcontext(trace->from->sp, trace->parked);
#endif
}

}  // namespace

int context_backtrace(Context& from, ToolContext& from_tools, Context& parked,
                      ToolContext& parked_tools, EhGlobals& live, void** frames,
                      int capacity) noexcept {
  Trace trace{frames, capacity, 0, &from, &from_tools, &parked, &parked_tools};
  from.eh = live;
  leaving(from_tools, parked_tools, false);
  transfer_t transfer = ontop_fcontext(parked.sp, &trace, trace_on_top);
  arrived(transfer, &from_tools, false);
  live = from.eh;
  return trace.count;
}

}  // namespace fern::core
