#pragma once

// The exceptions face of io: what its errnos mean to a user.

#include <string>

namespace fern::net {

// fail() throws for an errno that a call of io has left: TimeoutError for the Deadline, what is
// pending in this greenlet when interrupted, BlockingInHub, else std::system_error. `what` is the
// function as the user knows it, and more.
[[noreturn]] void fail(int error, const std::string& what);

}  // namespace fern::net
