#pragma once

// The jump between two stacks, inlined where a greenlet stops.
//
// It is Boost.Context's jump_fcontext, entered so that the processor's return predictor stays in
// step. fcontext leaves by an indirect jump, so a call into it would leave one entry too many on
// the predictor's stack, and every return behind the switch would be predicted one frame off: 22 ns
// a yield instead of 7 on an Intel Xeon. Pushing the return address by hand makes no entry, and
// where no call is open between the stop and the user's code (yield) none can be mispredicted.
//
// The enclosing function must call something else too: then the compiler keeps nothing in the red
// zone below rsp, and rsp is aligned as at a call. Unwinders see an ordinary call here.

#include <fern/config.hpp>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FERN_INLINE_SWITCH 1
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef FERN_INLINE_SWITCH
#endif
#endif
#endif

// Straight through the table of addresses; clang has no such attribute.
#if __has_attribute(noplt)
#define FERN_NOPLT __attribute__((noplt))
#else
#define FERN_NOPLT
#endif

namespace fern::detail {

// Saved is where a stack goes on; the first member of core::Context.
struct Saved {
  void* sp;
};

// Passage names both sides of a switch. Null: there is nobody to switch to.
struct Passage {
  void* to;
  Saved* from;
};

// prepare_yield() queues the calling greenlet again and takes the next one; the caller has to jump
// at once. Throws what a wait throws. plain_yield() does both.
FERN_API FERN_NOPLT Passage prepare_yield();
FERN_API void plain_yield();

#ifdef FERN_INLINE_SWITCH
// Where jump_fcontext is.
FERN_API extern void* const jump_code;

__attribute__((always_inline)) inline void jump(Passage passage) noexcept {
  void* arrived_from;
  void* arrived_with;
  asm volatile(
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "jmp *%%rcx\n"
      "1:"
      : "=a"(arrived_from), "=d"(arrived_with), "+D"(passage.to), "+S"(passage.from)
      : "c"(jump_code)
      : "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
        "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  static_cast<Saved*>(arrived_with)->sp = arrived_from;
}
#endif

}  // namespace fern::detail
