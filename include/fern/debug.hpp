#pragma once

// Looking inside a program that hangs, or that uses more than it should.
//
//   fern::dump(std::cerr);                     // who waits on what, with backtraces
//   fern::Stats stats = fern::stats();
//   std::cerr << stats.greenlets << " alive, " << stats.kept << " ended but still held\n";

#include <fern/config.hpp>

#include <cstddef>
#include <cstdint>
#include <iosfwd>

namespace fern {

// dump() writes, for every greenlet of the calling thread's hub that has not ended, its name, id,
// state, what it waits on, and the functions on its stack, innermost first. Functions that are not
// exported are a file and an offset in it: `addr2line -Cfe FILE OFFSET` names them. Slow; it does
// not switch in any way that the greenlets could notice. From a greenlet or from Hub::post.
FERN_API void dump(std::ostream& out);

// Stats counts what the calling thread's hub has.
struct Stats {
  std::size_t greenlets = 0;        // started or not, not ended; main not counted
  std::size_t kept = 0;             // ended, but a handle keeps their stack from reuse
  std::size_t stacks = 0;           // ever opened
  std::size_t free_stacks = 0;      // of those, waiting for reuse
  std::size_t given_back = 0;       // of those, with their memory returned to the system
  std::size_t unguarded = 0;        // opened without a guard page
  std::size_t address_space = 0;    // bytes mapped for stacks
  std::uint64_t switches = 0;
  std::uint64_t polls = 0;
};

// stats() reads them; kept costs a walk over all stacks.
FERN_API Stats stats();

}  // namespace fern
