#pragma once

// The wrappers of calls that start processes, which are more than a test and a twin.

#include <sys/types.h>

#include <cstdio>

extern "C" {

// system() and pclose() are ours in every thread while Os is patched: what they keep for the
// process (ignored signals, which stream has which child) must be in one place.
int fern_wrapped_system(const char* command) asm("system");
int fern_wrapped_pclose(FILE* file) asm("pclose");

// vfork() is fork() where it would be green; see vfork.cpp.
pid_t fern_wrapped_vfork() asm("vfork");
pid_t fern_wrapped___vfork() asm("__vfork");

}  // extern "C"
