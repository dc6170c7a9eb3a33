#include "net/serving.hpp"

#include "core/hub.hpp"
#include "net/fail.hpp"

#include <fern/errors.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <iostream>
#include <stdexcept>

namespace fern::net {

void check_listens(const Socket& socket, const char* what) {
  if (socket.option(SOL_SOCKET, SO_ACCEPTCONN) != 0) return;
  fail(EINVAL, std::string(what) + ": the socket does not listen");
}

Serving::Serving(const char* kind, Socket taken, Use use, std::size_t pool)
    : socket(std::move(taken)),
      address(socket.local_address()),
      places(static_cast<std::ptrdiff_t>(std::max<std::size_t>(pool, 1))),
      kind_(kind),
      use_(use) {}

void Serving::start(detail::Function<void()> take_in) {
  if (stopping_) throw std::logic_error(std::string(kind_) + "::start(): it was stopped");
  if (intake_.valid()) return;
  hub_ = &core::Hub::current();
  intake_ = spawn(SpawnOptions{.name = "server at " + address.to_string()},
                  [this, take_in = std::move(take_in)]() mutable {
                    try {
                      take_in();
                    } catch (const std::exception&) {
                      failed();
                    }
                  });
}

// The socket takes nothing any more, which is no news when stop() has closed it. Without a
// serve_forever() to throw from, the error is printed as that of any greenlet.
void Serving::failed() {
  if (stopping_) return;
  stopping_ = true;
  failure_ = std::current_exception();
  stopped_.set();
  if (waiting_ == 0) throw;
}

void Serving::stop_taking_in() noexcept {
  stopping_ = true;
  if (use_ == Use::Accepts) socket.close();
  if (intake_.valid()) intake_.kill({.block = false});
}

void Serving::wait() {
  struct Waiting {
    explicit Waiting(unsigned& count) noexcept : count(count) { ++count; }
    ~Waiting() { --count; }
    unsigned& count;
  } waiting(waiting_);
  try {
    stopped_.wait();
  } catch (...) {
    stop_taking_in();
    throw;
  }
  if (failure_ != nullptr) std::rethrow_exception(failure_);
}

// What is said of the socket, and not of this moment or of one request.
bool Serving::is_final(const std::system_error& error) noexcept {
  int number = error.code().value();
  return number == EBADF || number == EINVAL || number == ENOTSOCK || number == EOPNOTSUPP;
}

void Serving::tell(const std::system_error& error, const char* what) const {
  std::cerr << "fern: the server at " << address.to_string() << " cannot " << what
            << " for now: " << error.code().message() << '\n';
}

void Serving::check_thread() const {
  if (hub_ != nullptr && hub_ != &core::Hub::current()) {
    throw GreenletError(std::string(kind_) + "::stop(): it serves in another thread");
  }
}

}  // namespace fern::net
