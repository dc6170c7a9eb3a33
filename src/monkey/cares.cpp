#include "monkey/cares.hpp"

#ifdef FERN_HAS_CARES

#include "base/native.hpp"
#include "base/real.hpp"
#include "io/fd_table.hpp"
#include "monkey/ask.hpp"
#include "monkey/wait.hpp"

#include <fern/deadline.hpp>

#include <ares.h>
#include <arpa/inet.h>
#include <sys/epoll.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>
#include <utility>

namespace fern::monkey {
namespace {

// Lookup is a channel, its sockets in an epoll set, which can be waited for, and what it said.
// Everything but wait() is native.
class Lookup {
 public:
  Lookup() noexcept {
    set_ = real::epoll_create1(EPOLL_CLOEXEC);
    if (set_ < 0) return;
    ares_options options{};
    options.sock_state_cb = on_socket;
    options.sock_state_cb_data = this;
    began_ = ares_init_options(&channel_, &options, ARES_OPT_SOCK_STATE_CB);
  }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  ~Lookup() {
    base::NativeScope native;
    if (channel_ != nullptr) ares_destroy(channel_);
    if (found_ != nullptr) ares_freeaddrinfo(found_);
    if (set_ >= 0) io::close(set_, false);
  }

  // ask() is 0, or an EAI_ error.
  int ask(const char* host, int family, bool canonical) noexcept {
    if (set_ < 0) return EAI_SYSTEM;
    if (began_ != ARES_SUCCESS) return eai(began_);
    done_ = false;
    if (found_ != nullptr) ares_freeaddrinfo(found_);
    found_ = nullptr;
    ares_addrinfo_hints hints{};
    hints.ai_family = family;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = canonical ? ARES_AI_CANONNAME : 0;
    natively([&] {
      ares_getaddrinfo(channel_, host, nullptr, &hints, on_answer, this);
      return 0;
    });
    while (!done_) {
      if (!wait()) return EAI_SYSTEM;
      natively([&] {
        go_on();
        return 0;
      });
    }
    return eai(status_);
  }

  const ares_addrinfo& found() const noexcept { return *found_; }

 private:
  static void on_socket(void* self, ares_socket_t fd, int readable, int writable) noexcept {
    auto& lookup = *static_cast<Lookup*>(self);
    epoll_event event{};
    event.events = (readable != 0 ? EPOLLIN : 0U) | (writable != 0 ? EPOLLOUT : 0U);
    event.data.fd = fd;
    if (event.events == 0) {
      real::epoll_ctl(lookup.set_, EPOLL_CTL_DEL, fd, &event);
    } else if (real::epoll_ctl(lookup.set_, EPOLL_CTL_MOD, fd, &event) != 0) {
      real::epoll_ctl(lookup.set_, EPOLL_CTL_ADD, fd, &event);
    }
  }

  static void on_answer(void* self, int status, int, ares_addrinfo* found) noexcept {
    auto& lookup = *static_cast<Lookup*>(self);
    lookup.status_ = status;
    lookup.found_ = found;
    lookup.done_ = true;
  }

  // Until a socket is ready or a retry is due; false with errno when it is not to go on.
  bool wait() noexcept {
    timeval left{};
    Deadline limit;
    if (ares_timeout(channel_, nullptr, &left) != nullptr)
      limit = std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec);
    Wait wait(set_, Direction::Read, "getaddrinfo()", limit);
    return wait.again() || errno == EINTR;
  }

  void go_on() noexcept {
    epoll_event events[8];
    int count = real::epoll_wait(set_, events, std::size(events), 0);
    if (count <= 0) ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    for (int i = 0; i < count; ++i) {
      bool in = (events[i].events & ~static_cast<unsigned>(EPOLLOUT)) != 0;
      bool out = (events[i].events & EPOLLOUT) != 0;
      ares_process_fd(channel_, in ? events[i].data.fd : ARES_SOCKET_BAD,
                      out ? events[i].data.fd : ARES_SOCKET_BAD);
    }
  }

  // As glibc names the same failures.
  static int eai(int status) noexcept {
    switch (status) {
      case ARES_SUCCESS:
        return 0;
      case ARES_ENODATA:
        return EAI_NODATA;
      case ARES_ENOTFOUND:
      case ARES_EBADNAME:
        return EAI_NONAME;
      case ARES_ENOMEM:
        return EAI_MEMORY;
      default:
        return EAI_AGAIN;
    }
  }

  int set_ = -1;
  ares_channel channel_ = nullptr;
  ares_addrinfo* found_ = nullptr;
  int began_ = ARES_ENOMEM;
  int status_ = ARES_ENOMEM;
  bool done_ = false;
};

// Answer is a list of glibc's own making: one call for each address, which gives its nodes as it
// would have in a list of several, with sockets' types and the service.
class Answer {
 public:
  Answer(const char* service, const addrinfo* hints) noexcept : service_(service) {
    if (hints != nullptr) {
      hints_ = *hints;
    } else {
      hints_.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG;
    }
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() {
    if (first_ != nullptr) freeaddrinfo(first_);
  }

  // check() finds what is wrong with the question whatever the host's addresses are.
  int check() noexcept {
    addrinfo* list = nullptr;
    int error =
        numeric(hints_.ai_family == AF_INET6 ? "::1" : "127.0.0.1", hints_.ai_family, &list);
    if (error == 0) freeaddrinfo(list);
    return error;
  }

  int add(const ares_addrinfo& found, int family) noexcept {
    for (const ares_addrinfo_node* node = found.nodes; node != nullptr; node = node->ai_next) {
      if (node->ai_family != family && family != AF_UNSPEC) continue;
      char text[INET6_ADDRSTRLEN + 8] = "";
      bool mapped = node->ai_family == AF_INET && hints_.ai_family == AF_INET6;
      if (node->ai_family == AF_INET) {
        if (mapped) std::strcpy(text, "::ffff:");
        const auto* address = reinterpret_cast<const sockaddr_in*>(node->ai_addr);
        ::inet_ntop(AF_INET, &address->sin_addr, text + std::strlen(text), INET_ADDRSTRLEN);
      } else {
        const auto* address = reinterpret_cast<const sockaddr_in6*>(node->ai_addr);
        ::inet_ntop(AF_INET6, &address->sin6_addr, text, INET6_ADDRSTRLEN);
      }
      addrinfo* more = nullptr;
      int error = numeric(text, mapped ? AF_INET6 : node->ai_family, &more);
      if (error == EAI_MEMORY || error == EAI_SYSTEM) return error;
      if (error == 0) append(more);  // else AI_ADDRCONFIG: this machine has no such addresses
    }
    return 0;
  }

  int name_it(const char* canonical) noexcept {
    if ((hints_.ai_flags & AI_CANONNAME) == 0 || first_ == nullptr) return 0;
    first_->ai_canonname = ::strdup(canonical);
    return first_->ai_canonname == nullptr ? EAI_MEMORY : 0;
  }

  const addrinfo& hints() const noexcept { return hints_; }
  bool empty() const noexcept { return first_ == nullptr; }
  addrinfo* take() noexcept { return std::exchange(first_, nullptr); }

 private:
  int numeric(const char* text, int family, addrinfo** list) const noexcept {
    addrinfo with = hints_;
    with.ai_family = family;
    with.ai_flags = (with.ai_flags & ~(AI_CANONNAME | AI_V4MAPPED | AI_ALL)) | AI_NUMERICHOST;
    int error = natively([&] { return real::getaddrinfo(text, service_, &with, list); });
    if (error == 0) set_flags(*list, hints_.ai_flags);
    return error;
  }

  void append(addrinfo* more) noexcept {
    addrinfo** end = &first_;
    while (*end != nullptr) end = &(*end)->ai_next;
    *end = more;
  }

  const char* service_;
  addrinfo hints_{};
  addrinfo* first_ = nullptr;
};

const char* canonical_name(const ares_addrinfo& found, const char* host) noexcept {
  const char* name = host;
  for (const ares_addrinfo_cname* link = found.cnames; link != nullptr; link = link->next) {
    if (link->name != nullptr) name = link->name;
  }
  return name;
}

}  // namespace

bool has_cares() noexcept { return true; }

int cares_getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                      addrinfo** found) noexcept {
  if (refused()) return EAI_SYSTEM;
  Answer answer(service, hints);
  if (int error = answer.check(); error != 0) return error;
  Lookup lookup;
  int family = answer.hints().ai_family;
  bool canonical = (answer.hints().ai_flags & AI_CANONNAME) != 0;
  int error = lookup.ask(host, family, canonical);
  if (error == EAI_SYSTEM) return error;
  if (error == 0) {
    error = answer.add(lookup.found(), family);
    if (error == 0) error = answer.name_it(canonical_name(lookup.found(), host));
    if (error != 0) return error;
  }
  // IPv4 addresses in an IPv6 coat, where they are asked for.
  int flags = answer.hints().ai_flags;
  if (family == AF_INET6 && (flags & AI_V4MAPPED) != 0 &&
      (answer.empty() || (flags & AI_ALL) != 0)) {
    int mapped_error = lookup.ask(host, AF_INET, canonical);
    if (mapped_error == EAI_SYSTEM) return mapped_error;
    if (mapped_error == 0) {
      bool first = answer.empty();
      error = answer.add(lookup.found(), AF_INET);
      if (error == 0 && first) error = answer.name_it(canonical_name(lookup.found(), host));
      if (error != 0) return error;
    }
  }
  if (answer.empty()) return error != 0 ? error : EAI_NONAME;
  *found = answer.take();
  return 0;
}

}  // namespace fern::monkey

#else

namespace fern::monkey {

bool has_cares() noexcept { return false; }

int cares_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) noexcept {
  return EAI_FAIL;  // nobody can have chosen it
}

}  // namespace fern::monkey

#endif
