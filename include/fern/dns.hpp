#pragma once

// Names to addresses, without blocking the thread.
//
//   for (const fern::Address& address : fern::resolve("example.org", 443, 2s)) try_it(address);
//
// The system's own resolver answers (getaddrinfo: /etc/hosts, nsswitch.conf, DNS) on threads of
// Fern's, up to 64 at a time; a numeric address needs none and never parks. Who stops waiting, by
// the deadline or a kill, leaves the question behind, and its answer is thrown away.

#include <fern/address.hpp>
#include <fern/config.hpp>
#include <fern/deadline.hpp>

#include <cstdint>
#include <string_view>
#include <system_error>
#include <vector>

namespace fern {

// resolve() gives the addresses of a host, best first, each once; never an empty list. The service
// is a name ("https"), a number ("443") or a port. An empty host is this machine's loopback.
// Throws std::system_error of resolver_category() for what the resolver says (no such host),
// TimeoutError when the deadline passes first, and what every wait throws when killed.
FERN_API std::vector<Address> resolve(std::string_view host, std::string_view service,
                                      Deadline deadline = {});
FERN_API std::vector<Address> resolve(std::string_view host, std::uint16_t port,
                                      Deadline deadline = {});

// resolver_category() is that of getaddrinfo's errors (EAI_NONAME, ...).
FERN_API const std::error_category& resolver_category() noexcept;

}  // namespace fern
