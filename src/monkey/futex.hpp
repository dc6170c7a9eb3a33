#pragma once

// futex(2) as the parking lot does it, for syscall(SYS_futex, ...).

namespace fern::monkey {

bool futex_is_ours(long operation) noexcept;

// green_futex() is the system call, with its arguments as they come.
long green_futex(long address, long operation, long value, long time, long address2, long value3);

}  // namespace fern::monkey
