#pragma once

namespace fern::net {

// end_signal_handlers() ends what on_signal() has begun in this thread, whoever holds the handlers:
// the signals have their default effect. For a child of fork.
void end_signal_handlers() noexcept;

}  // namespace fern::net
