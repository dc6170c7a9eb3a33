// getaddrinfo and getnameinfo. What is numeric is answered at once; everything else is asked in a
// resolver's thread (see ask.hpp), or of c-ares.

#include "base/real.hpp"
#include "core/hub.hpp"
#include "io/workers.hpp"
#include "monkey/ask.hpp"
#include "monkey/cares.hpp"
#include "monkey/green.hpp"
#include "monkey/naps.hpp"
#include "monkey/res_settings.hpp"
#include "monkey/state.hpp"
#include "monkey/times.hpp"

#include <fern/timeout.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace fern::monkey::green {
namespace {

using Text = std::optional<std::string>;

Text text_of(const char* text) { return text == nullptr ? Text() : Text(text); }
const char* pointer(const Text& text) noexcept { return text ? text->c_str() : nullptr; }

// What no hints are to glibc.
constexpr int default_flags = AI_V4MAPPED | AI_ADDRCONFIG;

struct AddressQuestion : io::Question {
  AddressQuestion(const char* host, const char* service, const addrinfo* with)
      : host(text_of(host)), service(text_of(service)), settings(_res) {
    if (with != nullptr) hints = *with;
  }
  AddressQuestion(const AddressQuestion&) = delete;
  AddressQuestion& operator=(const AddressQuestion&) = delete;
  ~AddressQuestion() {
    if (list != nullptr) freeaddrinfo(list);
  }

  void answer() noexcept {
    ResSettings::Applied applied(settings);
    error = real::getaddrinfo(pointer(host), pointer(service), hints ? &*hints : nullptr, &list);
    saved_errno = errno;
    host_error = h_errno;
  }

  Text host;
  Text service;
  std::optional<addrinfo> hints;
  ResSettings settings;
  addrinfo* list = nullptr;
  int error = 0;
  int saved_errno = 0;
  int host_error = 0;
};

struct NameQuestion : io::Question {
  NameQuestion(const sockaddr* from, socklen_t size, socklen_t host_size, socklen_t service_size,
               int flags)
      : address(reinterpret_cast<const char*>(from), size),
        host(host_size, '\0'),
        service(service_size, '\0'),
        settings(_res),
        flags(flags) {}

  void answer() noexcept {
    ResSettings::Applied applied(settings);
    error = native::getnameinfo(
        reinterpret_cast<const sockaddr*>(address.data()), static_cast<socklen_t>(address.size()),
        host.empty() ? nullptr : host.data(), static_cast<socklen_t>(host.size()),
        service.empty() ? nullptr : service.data(), static_cast<socklen_t>(service.size()), flags);
    saved_errno = errno;
    host_error = h_errno;
  }

  std::string address;
  std::string host;
  std::string service;
  ResSettings settings;
  int flags;
  int error = 0;
  int saved_errno = 0;
  int host_error = 0;
};

}  // namespace

int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                addrinfo** found) noexcept {
  if (hints != nullptr && (hints->ai_flags & AI_NUMERICHOST) != 0)
    return natively([&] { return real::getaddrinfo(host, service, hints, found); });
  addrinfo numeric{};
  if (hints == nullptr) {
    numeric.ai_flags = default_flags;
  } else {
    numeric = *hints;
  }
  int flags = numeric.ai_flags;
  numeric.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
  int error = natively([&] { return real::getaddrinfo(host, service, &numeric, found); });
  if (error != EAI_NONAME || (host == nullptr && service == nullptr)) {
    if (error == 0) set_flags(*found, flags);
    fair();
    return error;
  }
  try {
    if (host != nullptr && resolver.load(std::memory_order_relaxed) == Resolver::CAres)
      return cares_getaddrinfo(host, service, hints, found);
    auto question = std::make_unique<AddressQuestion>(host, service, hints);
    if (!ask(question, io::resolver_workers(), "getaddrinfo()")) return EAI_SYSTEM;
    if (question->error == 0) *found = std::exchange(question->list, nullptr);
    h_errno = question->host_error;
    errno = question->saved_errno;
    return question->error;
  } catch (...) {
    return EAI_MEMORY;
  }
}

int getnameinfo(const sockaddr* address, socklen_t size, char* host, socklen_t host_size,
                char* service, socklen_t service_size, int flags) noexcept {
  bool asks = host != nullptr && host_size > 0 && (flags & NI_NUMERICHOST) == 0;
  if (!asks || address == nullptr) {
    return natively([&] {
      return native::getnameinfo(address, size, host, host_size, service, service_size, flags);
    });
  }
  try {
    if (service == nullptr) service_size = 0;
    // No name is longer, whatever the caller's buffer is.
    host_size = std::min<socklen_t>(host_size, NI_MAXHOST);
    service_size = std::min<socklen_t>(service_size, NI_MAXHOST);
    auto question = std::make_unique<NameQuestion>(address, size, host_size, service_size, flags);
    if (!ask(question, io::resolver_workers(), "getnameinfo()")) return EAI_SYSTEM;
    if (question->error == 0) {
      std::strcpy(host, question->host.c_str());
      if (service_size > 0) std::strcpy(service, question->service.c_str());
    }
    h_errno = question->host_error;
    errno = question->saved_errno;
    return question->error;
  } catch (...) {
    return EAI_MEMORY;
  }
}

// glibc answers these requests in threads of its own, which write into the caller's memory. So who
// waits for all of them cannot stop, and who waits for one looks now and then.
int getaddrinfo_a(int mode, gaicb** list, int count, sigevent* event) noexcept {
  bool waits = mode == GAI_WAIT;
  sigevent silent{};
  silent.sigev_notify = SIGEV_NONE;
  int error = natively([&] {
    return native::getaddrinfo_a(waits ? GAI_NOWAIT : mode, list, count, waits ? &silent : event);
  });
  if (!waits || error != 0) return error;
  ShieldKill shield;
  for (int i = 0; i < count; ++i) {
    if (list[i] == nullptr) continue;
    Naps naps("getaddrinfo_a()");
    while (gai_error(list[i]) == EAI_INPROGRESS) naps.again();
  }
  return 0;
}

int gai_suspend(const gaicb* const* list, int count, const timespec* timeout) noexcept {
  std::span<const gaicb* const> requests(list, static_cast<std::size_t>(std::max(count, 0)));
  auto under_way = [&] {
    return std::count_if(requests.begin(), requests.end(), [](const gaicb* request) {
      return request != nullptr && gai_error(const_cast<gaicb*>(request)) == EAI_INPROGRESS;
    });
  };
  auto before = under_way();
  if (before == 0) return EAI_ALLDONE;
  int saved = errno;
  Deadline limit;
  if (timeout != nullptr) limit = to_chrono(*timeout);
  Naps naps("gai_suspend()", limit);
  while (under_way() == before) {
    if (naps.again()) continue;
    if (errno == EAGAIN) {  // the manual says EAI_AGAIN, glibc 2.36 EAI_SYSTEM
      errno = saved;
      timespec now{};
      return native::gai_suspend(list, count, &now);
    }
    return errno == EINTR ? EAI_INTR : EAI_SYSTEM;
  }
  return 0;
}

}  // namespace fern::monkey::green
