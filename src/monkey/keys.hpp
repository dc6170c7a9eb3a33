#pragma once

// Thread-specific data of green threads: a table of values for each, as long as the highest key
// that it has set. The keys themselves are glibc's, so that native threads and main have theirs
// there.

namespace fern::monkey {

struct Thread;

// run_key_destructors() calls the destructors of what the thread has set, over and over, as POSIX
// says, for at most four rounds, and frees the table.
void run_key_destructors(Thread& thread);

}  // namespace fern::monkey
