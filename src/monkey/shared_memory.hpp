#pragma once

// Whether memory is shared with other processes: what /proc/self/maps says, which is looked at once
// a second at most.

#include <fern/deadline.hpp>

namespace fern::monkey {

enum class Sharing { Unknown, Private, Shared };

// known_sharing() is what has been seen already: Shared or Unknown. sharing_of() looks again where
// it may; Private says that the memory was not shared at some time after `since`.
Sharing known_sharing(const void* address) noexcept;
Sharing sharing_of(const void* address, Deadline since) noexcept;

void sharing_forked() noexcept;

}  // namespace fern::monkey
