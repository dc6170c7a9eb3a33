#pragma once

// Signal masks of green threads. The OS thread of main takes the signals for all of them: it blocks
// what all of them block, so that a signal comes as long as one of them would take it. The other
// hubs' OS threads block everything.

#include <signal.h>

namespace fern::monkey {

struct Thread;

// mask_made() lets a new thread block what its maker blocks; mask_ended() forgets what one blocked.
void mask_made(Thread& thread) noexcept;
void mask_ended(Thread& thread) noexcept;

// masks_forked() leaves the running thread's, in the child of a fork.
void masks_forked() noexcept;

}  // namespace fern::monkey
