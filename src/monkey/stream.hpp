#pragma once

// A FILE of libc's as the wrapped calls of stdio see it. libc waits inside of its own calls, with
// the FILE locked: so a call is made only when it will find what it needs in the buffer, or a
// descriptor that is ready, and lines and blocks are put together from such calls.
//
//   fgets --a whole line in the buffer--> libc's fgets
//     |
//     +--no--> Turn --> fill: wait, __underflow: one read --> what is in the buffer --+
//                         ^                                                           |
//                         +---------------- no end of line yet -----------------------+
//
// No lock of libc's is held while a greenlet waits, for it belongs to the thread: other greenlets
// would walk through it. Turn is what keeps their lines apart.

#include "monkey/wait.hpp"

#include <cstddef>
#include <cstdio>
#include <cwchar>

namespace fern::core {
struct Greenlet;
}

namespace fern::monkey {

// Turn is a greenlet's place in the queue of those that use a FILE in one direction, in this
// thread, each for more than one call of libc's.
class Turn {
 public:
  Turn(FILE* file, Direction direction) noexcept;
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn();

  // come() waits for it; false, with errno and the FILE's error flag, if the greenlet is to end.
  bool come() noexcept;

  // taken() asks whether anybody stands in that queue.
  static bool taken(const FILE* file, Direction direction) noexcept;

 private:
  bool first() const noexcept;

  FILE* file_;
  Direction direction_;
  core::Greenlet* greenlet_;
  Turn* next_ = nullptr;
};

// window() is how many bytes lie ready in the buffer, at file->_IO_read_ptr; buffered() counts
// those behind what ungetc() put back as well.
std::size_t window(const FILE* file) noexcept;
std::size_t buffered(const FILE* file) noexcept;

// may_wait() asks whether reading from the FILE when its buffer is empty could wait: false for
// files, at the end, and where the call would fail.
bool may_wait(const FILE* file) noexcept;

// fill() waits until a read finds something, or the end, and then reads once. False, and errno, and
// the FILE's flags, say why not. What libc would write before it reads is written.
bool fill(FILE* file, const char* what) noexcept;

// write_out() is fwrite() of bytes. drain() writes what the FILE has in its buffer: false, with
// errno and its error flag, if that fails.
std::size_t write_out(FILE* file, const char* data, std::size_t size, const char* what) noexcept;
bool drain(FILE* file, const char* what) noexcept;

// close_drained() writes what the FILE has in its buffer and calls close: what cannot be written is
// lost, with EOF and its errno, and the FILE goes whatever happens.
int close_drained(FILE* file, int (*close)(FILE*)) noexcept;

// room() is how many bytes the buffer takes without being written.
std::size_t room(const FILE* file) noexcept;

// wait_to_write() waits until libc may write a few words. False, and errno.
bool wait_to_write(FILE* file, const char* what) noexcept;

// --- wide characters

// becomes_wide() makes a FILE that nobody has used yet one of wide characters, as libc's own calls
// do; false when it is one of bytes.
bool becomes_wide(FILE* file) noexcept;

bool may_wait_wide(const FILE* file) noexcept;  // to be read
bool may_wait_to_write_wide(const FILE* file) noexcept;

// wide_buffered() asks whether the next character lies ready.
bool wide_buffered(const FILE* file) noexcept;

// next_wide() reads one, as fgetwc.
wint_t next_wide(FILE* file, const char* what) noexcept;

// wide_room() asks whether so many go into the buffer, which then has no more than `most`.
// flush_wide() writes it.
bool wide_room(const FILE* file, std::size_t count, std::size_t most) noexcept;
bool flush_wide(FILE* file, const char* what) noexcept;

}  // namespace fern::monkey
