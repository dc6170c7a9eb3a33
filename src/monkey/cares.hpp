#pragma once

// c-ares, the resolver that needs no threads: each look-up has a channel of its own on its stack,
// whose sockets it waits for. So a kill ends it at once, and what is changed in /etc/resolv.conf or
// /etc/hosts counts from the next one.

#include <netdb.h>

namespace fern::monkey {

// has_cares() asks whether Fern was built with it.
bool has_cares() noexcept;

// cares_getaddrinfo() is getaddrinfo for a host that is no numeric address; freeaddrinfo frees the
// list.
int cares_getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                      addrinfo** found) noexcept;

// set_flags() has a list say what it was asked with.
inline void set_flags(addrinfo* list, int flags) noexcept {
  for (; list != nullptr; list = list->ai_next) list->ai_flags = flags;
}

}  // namespace fern::monkey
