#pragma once

// Files: reading and writing, and locks.

#include <fcntl.h>
#include <sys/types.h>
#include <sys/uio.h>

namespace fern::monkey {

// read_file() and write_file() are preadv2 and pwritev2, by default at the file's own position, of
// what is always ready and may take long all the same. What is in the page cache is read at once;
// for everything else a worker's thread waits.
ssize_t read_file(int fd, const iovec* parts, int count, int flags, off_t offset = -1) noexcept;
ssize_t write_file(int fd, const iovec* parts, int count, int flags, off_t offset = -1) noexcept;

// lock_file() is fcntl's F_SETLKW and F_OFD_SETLKW.
int lock_file(int fd, int command, struct flock* lock) noexcept;

}  // namespace fern::monkey
