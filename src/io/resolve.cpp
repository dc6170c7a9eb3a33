#include "io/resolve.hpp"

#include "base/real.hpp"
#include "core/hub.hpp"
#include "io/fd_table.hpp"
#include "io/question.hpp"
#include "io/workers.hpp"

#include <cerrno>
#include <memory>
#include <utility>

namespace fern::io {
namespace {

int look_up(const std::string& host, const std::string& service, const addrinfo& hints,
            addrinfo** result) noexcept {
  return real::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                           service.empty() ? nullptr : service.c_str(), &hints, result);
}

struct Lookup : Question {
  Lookup(const std::string& host, const std::string& service, const addrinfo& hints)
      : host(host), service(service), hints(hints) {}
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  ~Lookup() {
    if (list != nullptr) freeaddrinfo(list);
  }

  void answer() noexcept {
    error = look_up(host, service, hints, &list);
    saved_errno = errno;
  }

  std::string host;
  std::string service;
  addrinfo hints;
  addrinfo* list = nullptr;
  int error = 0;
  int saved_errno = 0;
};

int not_waited(int error) noexcept {
  errno = error;
  return EAI_SYSTEM;
}

}  // namespace

int resolve(const std::string& host, const std::string& service, const addrinfo& hints,
            addrinfo** result, Deadline deadline) noexcept {
  if ((hints.ai_flags & AI_NUMERICHOST) != 0) return look_up(host, service, hints, result);
  addrinfo numeric = hints;
  numeric.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
  int error = look_up(host, service, numeric, result);
  if (error != EAI_NONAME) return error;
  if (deadline == Deadline::past()) return not_waited(error_deadline);
  try {
    core::Hub::current();
    auto lookup = std::make_unique<Lookup>(host, service, hints);
    error = ask(lookup, resolver_workers(), "resolve()", deadline);
    if (error != 0) return not_waited(error);
    *result = std::exchange(lookup->list, nullptr);
    errno = lookup->saved_errno;
    return lookup->error;
  } catch (...) {
    return EAI_MEMORY;
  }
}

}  // namespace fern::io
