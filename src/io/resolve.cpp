#include "io/resolve.hpp"

#include "base/real.hpp"
#include "core/hub.hpp"
#include "io/fd_table.hpp"
#include "io/workers.hpp"

#include <cerrno>
#include <memory>
#include <new>
#include <utility>

namespace fern::io {
namespace {

int ask(const std::string& host, const std::string& service, const addrinfo& hints,
        addrinfo** result) noexcept {
  return real::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                           service.empty() ? nullptr : service.c_str(), &hints, result);
}

// One question, on the heap: who asked may have gone when the answer comes.
struct Lookup : Job, detail::Remote {
  Lookup(const std::string& host, const std::string& service, const addrinfo& hints)
      : host(host), service(service), hints(hints) {}
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  ~Lookup() {
    if (list != nullptr) freeaddrinfo(list);
  }

  std::string host;
  std::string service;
  addrinfo hints;
  addrinfo* list = nullptr;
  int error = 0;
  int saved_errno = 0;
  core::Hub* hub = nullptr;
  core::Greenlet* asker = nullptr;  // the hub's thread only; null once it has stopped waiting
  bool done = false;                // likewise
};

void look_up(Job& job) noexcept {
  auto& lookup = static_cast<Lookup&>(job);
  lookup.error = ask(lookup.host, lookup.service, lookup.hints, &lookup.list);
  lookup.saved_errno = errno;
}

void send_back(Job& job) noexcept {
  auto& lookup = static_cast<Lookup&>(job);
  lookup.hub->post(static_cast<detail::Remote&>(lookup));
}

void arrive(detail::Remote* remote) noexcept {
  auto* lookup = static_cast<Lookup*>(remote);
  if (lookup->asker == nullptr) {
    delete lookup;
    return;
  }
  lookup->done = true;
  core::Hub::wake(*lookup->asker, core::Wake::Notified);
}

int not_waited(int error) noexcept {
  errno = error;
  return EAI_SYSTEM;
}

// Waits for a Lookup that is under way, and takes it over again if the answer comes in time.
int wait_for(std::unique_ptr<Lookup> lookup, core::Hub& hub, Deadline deadline,
             addrinfo** result) noexcept {
  core::Hub::External external(hub);
  core::Wake why = core::Wake::Notified;
  while (!lookup->done && why == core::Wake::Notified) {
    why = hub.try_park("resolve()", -1, deadline);
  }
  if (!lookup->done) {
    lookup.release()->asker = nullptr;  // it comes back, to be deleted
    return not_waited(why == core::Wake::TimedOut ? error_deadline : error_interrupted);
  }
  *result = std::exchange(lookup->list, nullptr);
  errno = lookup->saved_errno;
  return lookup->error;
}

}  // namespace

int resolve(const std::string& host, const std::string& service, const addrinfo& hints,
            addrinfo** result, Deadline deadline) noexcept {
  addrinfo numeric = hints;
  numeric.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
  int error = ask(host, service, numeric, result);
  if (error != EAI_NONAME || (hints.ai_flags & AI_NUMERICHOST) != 0) return error;
  if (deadline == Deadline::past()) return not_waited(error_deadline);
  try {
    core::Hub& hub = core::Hub::current();
    if (hub.on_own_stack()) return not_waited(error_in_hub);
    hub.loop();  // a forked child begins anew first
    auto lookup = std::make_unique<Lookup>(host, service, hints);
    lookup->work = look_up;
    lookup->finish = send_back;
    static_cast<detail::Remote&>(*lookup).run = arrive;
    lookup->hub = &hub;
    lookup->asker = &hub.running();
    if (int refused = resolver_workers().submit(*lookup); refused != 0) return not_waited(refused);
    return wait_for(std::move(lookup), hub, deadline, result);
  } catch (...) {
    return EAI_MEMORY;
  }
}

}  // namespace fern::io
