#pragma once

// getaddrinfo that parks. Numeric addresses are answered at once; everything else goes to a thread
// of its own, up to 64 at a time, where glibc asks /etc/hosts and whatever nsswitch.conf says.

#include <fern/deadline.hpp>

#include <netdb.h>

#include <string>

namespace fern::io {

// resolve() is getaddrinfo(3): 0 and a list for freeaddrinfo, or an EAI_ error. EAI_SYSTEM with
// one of fd_table.hpp's errnos when it was not waited for: then the answer is thrown away when it
// comes. An empty service is none.
int resolve(const std::string& host, const std::string& service, const addrinfo& hints,
            addrinfo** result, Deadline deadline) noexcept;

}  // namespace fern::io
