#pragma once

// The exceptions face of io: what its errnos mean to a user.

namespace fern::net {

// fail() throws for the errno that a call of io has left: TimeoutError for the Deadline, what is
// pending in this greenlet when interrupted, BlockingInHub, else std::system_error. `what` is the
// function as the user knows it; `detail`, if not null, stands behind it.
[[noreturn]] void fail(const char* what, const char* detail = nullptr);

}  // namespace fern::net
