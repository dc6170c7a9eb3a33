#pragma once

// The wrappers that are written by hand: FERN_SPECIAL in the table.

#include <sys/types.h>

#include <cstdio>

#define FERN_EXPORT __attribute__((visibility("default"), used))

// Thread-local storage of green threads: where the machine has it, and no sanitizer is in the way.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !defined(FERN_TSAN)
#define FERN_WRAPS_DLOPEN
#endif

extern "C" {
FERN_EXPORT int fern_wrapped_close(int fd) asm("close");
FERN_EXPORT int fern_wrapped___close(int fd) asm("__close");
FERN_EXPORT int fern_wrapped_close_range(unsigned first, unsigned last,
                                         int flags) asm("close_range");
FERN_EXPORT void fern_wrapped_closefrom(int first) asm("closefrom");
FERN_EXPORT int fern_wrapped_dup2(int from, int to) asm("dup2");
FERN_EXPORT int fern_wrapped___dup2(int from, int to) asm("__dup2");
FERN_EXPORT int fern_wrapped_dup3(int from, int to, int flags) asm("dup3");
FERN_EXPORT int fern_wrapped_fclose(FILE* stream) asm("fclose");
FERN_EXPORT int fern_wrapped__IO_fclose(FILE* stream) asm("_IO_fclose");
FERN_EXPORT int fern_wrapped_fcntl(int fd, int command, ...) asm("fcntl");
FERN_EXPORT int fern_wrapped_fcntl64(int fd, int command, ...) asm("fcntl64");
FERN_EXPORT int fern_wrapped___fcntl(int fd, int command, ...) asm("__fcntl");
FERN_EXPORT int fern_wrapped_ioctl(int fd, unsigned long request, ...) asm("ioctl");

// Ours in every thread while Os is patched: what they keep for the process (ignored signals, which
// stream has which child) must be in one place.
FERN_EXPORT int fern_wrapped_system(const char* command) asm("system");
FERN_EXPORT int fern_wrapped_pclose(FILE* file) asm("pclose");

// On most machines vfork.cpp writes them in assembler.
pid_t fern_wrapped_vfork() asm("vfork");
pid_t fern_wrapped___vfork() asm("__vfork");

#ifdef FERN_WRAPS_DLOPEN
void* fern_wrapped_dlopen(const char* file, int mode) asm("dlopen");
#endif
}
