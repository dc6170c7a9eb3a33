#pragma once

// What look-ups say, as text: everything that there is to compare.

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <sstream>
#include <string>

namespace fern::testing {

inline std::string text_of(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET) {
    const auto* four = reinterpret_cast<const sockaddr_in*>(address);
    inet_ntop(AF_INET, &four->sin_addr, text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(four->sin_port));
  }
  const auto* six = reinterpret_cast<const sockaddr_in6*>(address);
  inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
  return std::string(text) + ":" + std::to_string(ntohs(six->sin6_port)) + "%" +
         std::to_string(six->sin6_scope_id);
}

inline std::string text_of(const addrinfo* list) {
  std::ostringstream out;
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    out << "; " << each->ai_flags << " " << each->ai_family << " " << each->ai_socktype << " "
        << each->ai_protocol << " " << each->ai_addrlen << " " << text_of(each->ai_addr);
    if (each->ai_canonname != nullptr) out << " = " << each->ai_canonname;
  }
  return out.str();
}

inline std::string text_of(const hostent* host) {
  if (host == nullptr) return "nobody, " + std::to_string(h_errno);
  std::ostringstream out;
  out << host->h_name << " " << host->h_addrtype << " " << host->h_length;
  for (char** alias = host->h_aliases; *alias != nullptr; ++alias) out << " = " << *alias;
  for (char** address = host->h_addr_list; *address != nullptr; ++address) {
    char text[INET6_ADDRSTRLEN];
    out << " " << inet_ntop(host->h_addrtype, *address, text, sizeof text);
  }
  return out.str();
}

}  // namespace fern::testing
