#include <fern/server.hpp>

#include "net/socket_access.hpp"

#include <fern/event.hpp>
#include <fern/greenlet.hpp>
#include <fern/group.hpp>
#include <fern/semaphore.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <system_error>

namespace fern {
namespace {

constexpr std::chrono::milliseconds first_pause(10);
constexpr std::chrono::milliseconds longest_pause(1000);
constexpr unsigned accepted_at_once = 16;

// What accept says of the listening socket, and not of this moment or of one connection.
bool is_final(int error) noexcept {
  return error == EBADF || error == EINVAL || error == ENOTSOCK || error == EOPNOTSUPP;
}

// One connection's place in the pool, given back however it ends.
class Permit {
 public:
  explicit Permit(Semaphore& places) : places_(&places) { places.acquire(); }
  Permit(Permit&& other) noexcept : places_(std::exchange(other.places_, nullptr)) {}
  Permit& operator=(Permit&&) = delete;
  ~Permit() {
    if (places_ != nullptr) places_->release();
  }

 private:
  Semaphore* places_;
};

}  // namespace

struct StreamServer::State {
  State(Socket listener, detail::Handler handler, std::size_t pool)
      : listener(std::move(listener)),
        handler(std::move(handler)),
        places(static_cast<std::ptrdiff_t>(std::max<std::size_t>(pool, 1))) {}

  Socket listener;
  Address address;
  detail::Handler handler;
  Semaphore places;
  Group handlers;
  Greenlet<void> acceptor;
  Event stopped;
  bool stopping = false;

  struct Connection;
  Socket accept(Address& peer);
  static void accept_all(const std::shared_ptr<State>& state);
  void stop_accepting();
};

// What a handler's greenlet runs. In this order: the socket closes before the place is free.
struct StreamServer::State::Connection {
  std::shared_ptr<State> state;
  Permit permit;
  Address peer;
  Socket socket;

  void operator()() { state->handler(socket, peer); }
};

// Waits for the next connection, through times when there is nothing to accept it with.
Socket StreamServer::State::accept(Address& peer) {
  auto pause = first_pause;
  for (;;) {
    try {
      return listener.accept(peer);
    } catch (const std::system_error& error) {
      if (is_final(error.code().value())) throw;
      if (pause == first_pause) {
        std::cerr << "fern: the server at " << address.to_string()
                  << " cannot accept connections for now: " << error.code().message() << '\n';
      }
    }
    sleep(pause);
    pause = std::min(pause * 2, longest_pause);
  }
}

void StreamServer::State::accept_all(const std::shared_ptr<State>& state) {
  for (unsigned accepted = 0;;) {
    Connection connection{state, Permit(state->places), {}, {}};
    try {
      connection.socket = state->accept(connection.peer);
    } catch (const std::system_error&) {
      if (state->stopping) return;
      state->stopping = true;
      state->stopped.set();
      throw;
    }
    state->handlers.spawn_raw(std::move(connection));
    // Whoever connects without end must not keep the handlers from running.
    if (++accepted % accepted_at_once == 0) yield();
  }
}

void StreamServer::State::stop_accepting() {
  stopping = true;
  listener.close();
  if (acceptor.valid()) acceptor.kill({.block = false});
}

StreamServer::StreamServer(Socket listener, detail::Handler handler, const ServerOptions& options,
                           std::nullptr_t)
    : state_(std::make_shared<State>(std::move(listener), std::move(handler), options.pool)) {
  state_->address = state_->listener.local_address();
}

StreamServer::~StreamServer() { state_->stop_accepting(); }

void StreamServer::start() {
  if (state_->stopping) throw std::logic_error("fern::StreamServer::start(): it was stopped");
  if (state_->acceptor.valid()) return;
  state_->acceptor = spawn(SpawnOptions{.name = "server at " + state_->address.to_string()},
                           [state = state_] { State::accept_all(state); });
}

bool StreamServer::stop(Deadline deadline) {
  auto state = state_;  // a handler may end while we wait, and the server with it
  state->stop_accepting();
  bool ended = true;
  if (!state->handlers.contains(current_greenlet())) {
    if (state->acceptor.valid()) state->acceptor.join();
    ended = state->handlers.waitall(deadline);
    if (!ended) state->handlers.kill();
  }
  state->stopped.set();
  return ended;
}

void StreamServer::serve_forever() {
  start();
  auto state = state_;
  try {
    state->stopped.wait();
  } catch (...) {
    state->stop_accepting();
    throw;
  }
}

Address StreamServer::address() const { return state_->address; }

bool StreamServer::running() const noexcept {
  return state_->acceptor.valid() && !state_->stopping;
}

std::size_t StreamServer::connections() const noexcept { return state_->handlers.size(); }

}  // namespace fern
