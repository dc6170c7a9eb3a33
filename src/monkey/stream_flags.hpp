#pragma once

// What is known of a FILE.

#include "monkey/green.hpp"
#include "monkey/stream.hpp"

#include <cstdio>

namespace fern::monkey {

// FILE's flags, which are libc's binary interface: old programs test them inline.
enum Flag : int {
  unbuffered = 0x2,
  no_reads = 0x4,
  no_writes = 0x8,
  at_end = 0x10,
  failed = 0x20,
  in_backup = 0x100,
  line_buffered = 0x200,
  putting = 0x800,
  has_descriptor = 0x2000
};

inline bool is(const FILE* file, int flags) noexcept { return (file->_flags & flags) != 0; }

inline bool fail(FILE* file) noexcept {
  file->_flags |= failed;
  return false;
}

// without_failure() makes the FILE one that has not failed yet, and returns what it was: to be
// joined with its flags again.
inline int without_failure(FILE* file) noexcept {
  int before = file->_flags & failed;
  file->_flags &= ~failed;
  return before;
}

// Locked holds libc's lock, and nobody waits meanwhile.
struct Locked {
  explicit Locked(FILE* file) noexcept : file(file) { native::flockfile(file); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  ~Locked() { native::funlockfile(file); }
  FILE* file;
};

// no_file_on_disk() asks whether the FILE has a descriptor, which may have to be waited for.
bool no_file_on_disk(const FILE* file) noexcept;

// wait_ready() waits for the descriptor; at once if its owner has made it non-blocking. Others may
// use it as well: when it says true, nobody has since. False with errno.
bool wait_ready(int fd, Direction direction, const char* what) noexcept;

// The same for a FILE that is to be used then, until no other green thread has it locked.
bool wait_ready(FILE* file, Direction direction, const char* what) noexcept;

// write_prompt() does what libc does before it reads from what is not fully buffered: it writes
// stdout.
bool write_prompt(const FILE* file, const char* what) noexcept;

}  // namespace fern::monkey
