// vfork. Its child runs on the memory and the stack of its parent until it calls exec: a greenlet
// that waited there, or a close() that woke who waits for the descriptor, would do so in the
// parent. So where its calls would be green vfork is fork, as POSIX allows. Elsewhere it is libc's:
// jumped to, not called, for the child returns from it first and nothing on the stack may belong to
// us.

#include "monkey/original.hpp"
#include "monkey/specials.hpp"
#include "monkey/state.hpp"

#include <unistd.h>

namespace fern::monkey {
namespace {

constinit Original<pid_t()> libc_vfork{"vfork"};

}  // namespace

constinit thread_local pid_t vforked_by = 0;

bool in_vforked_child() noexcept {
  if (getpid() != vforked_by) return true;
  vforked_by = 0;
  return false;
}

extern "C" __attribute__((visibility("hidden"), used)) void* fern_vfork_target() noexcept {
  if (goes_green(Part::Os)) return reinterpret_cast<void*>(&::fork);
  vforked_by = getpid();
  return reinterpret_cast<void*>(libc_vfork.get());
}

#if defined(__x86_64__)
asm(R"(
  .text
  .globl vfork
  .type vfork, @function
vfork:
  .cfi_startproc
  endbr64
  subq $8, %rsp
  .cfi_adjust_cfa_offset 8
  call fern_vfork_target
  addq $8, %rsp
  .cfi_adjust_cfa_offset -8
  jmp *%rax
  .cfi_endproc
  .size vfork, . - vfork
  .globl __vfork
  .set __vfork, vfork
)");
#elif defined(__aarch64__)
asm(R"(
  .text
  .globl vfork
  .type vfork, %function
vfork:
  .cfi_startproc
  hint #34
  stp x29, x30, [sp, #-16]!
  .cfi_adjust_cfa_offset 16
  bl fern_vfork_target
  ldp x29, x30, [sp], #16
  .cfi_adjust_cfa_offset -16
  mov x16, x0
  br x16
  .cfi_endproc
  .size vfork, . - vfork
  .globl __vfork
  .set __vfork, vfork
)");
#else
extern "C" FERN_EXPORT pid_t fern_wrapped_vfork() { return ::fork(); }
extern "C" FERN_EXPORT pid_t fern_wrapped___vfork() { return ::fork(); }
#endif

}  // namespace fern::monkey
