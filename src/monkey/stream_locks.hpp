#pragma once

// The locks of FILEs: flockfile() and what libc's own calls lock for their duration.
//
// libc's lock belongs to the thread pointer: to the OS thread, or with --tls to the green thread.
// Without it all green threads of a hub would walk through each other's locks; with it one that
// libc makes wait would stop its hub. So flockfile() is noted here, by green thread, and a call
// that libc would make wait waits here first.

#include <cstdio>
#include <string_view>

namespace fern::monkey {

// await_unlocked() parks while another thread has locked the FILE; with null, any FILE. True if it
// had to. For a green thread that is about to call libc; keeps errno.
bool await_unlocked(FILE* file) noexcept;

// forget_lock() is for a FILE that has been closed. stream_locks_forked() is called in a fork's
// child, where libc unlocks all.
void forget_lock(const FILE* file) noexcept;
void stream_locks_forked() noexcept;

// locked_by() is the FILE that a call of libc's locks: one of its arguments, or what its name says.
// `locks` is false for calls that leave that to their callers.
struct LockedBy {
  std::string_view name;

  constexpr bool locks() const noexcept {
    return name.find("unlocked") == name.npos && name.find("dprintf") == name.npos &&
           !name.starts_with("__overflow") && !name.starts_with("__uflow") &&
           !name.starts_with("__underflow");
  }
  FILE* file() const noexcept {
    if (name.starts_with("p") && name.find("put") == name.npos && name.find("printf") == name.npos)
      return stderr;  // perror, psignal, psiginfo
    return name.starts_with("get") || name.find("scanf") != name.npos ? stdin : stdout;
  }
  template <class... Others>
  FILE* file(FILE* first, const Others&...) const noexcept {
    return first;
  }
  template <class First, class... Others>
  FILE* file(const First&, const Others&... others) const noexcept {
    return file(others...);
  }
};

}  // namespace fern::monkey
