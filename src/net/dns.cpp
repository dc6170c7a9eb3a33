#include <fern/dns.hpp>

#include "io/resolve.hpp"
#include "net/fail.hpp"

#include <algorithm>
#include <memory>
#include <string>

namespace fern {
namespace {

class ResolverCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "resolver"; }
  std::string message(int error) const override { return gai_strerror(error); }
};

struct Free {
  void operator()(addrinfo* list) const noexcept { freeaddrinfo(list); }
};

}  // namespace

const std::error_category& resolver_category() noexcept {
  static const ResolverCategory category;
  return category;
}

std::vector<Address> resolve(std::string_view host, std::string_view service, Deadline deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;  // else each address comes once for each type
  addrinfo* found = nullptr;
  // Without either getaddrinfo refuses.
  std::string port(service.empty() ? "0" : service);
  int error = io::resolve(std::string(host), port, hints, &found, deadline);
  std::unique_ptr<addrinfo, Free> list(found);
  std::string what = "fern::resolve(\"" + std::string(host) + "\", \"" + port + "\")";
  if (error == EAI_SYSTEM) net::fail(errno, what);
  if (error != 0) throw std::system_error(error, resolver_category(), what);
  std::vector<Address> addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    Address address = Address::from_raw(each->ai_addr, each->ai_addrlen);
    bool known = std::ranges::find(addresses, address) != addresses.end();
    if (!known && address.family() != Address::Family::None) addresses.push_back(address);
  }
  if (addresses.empty()) throw std::system_error(EAI_NONAME, resolver_category(), what);
  return addresses;
}

std::vector<Address> resolve(std::string_view host, std::uint16_t port, Deadline deadline) {
  return resolve(host, std::string_view(std::to_string(port)), deadline);
}

}  // namespace fern
