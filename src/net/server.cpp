#include <fern/server.hpp>

#include "net/serving.hpp"

namespace fern {

struct StreamServer::State final : net::Serving {
  State(Socket listener, detail::Handler handler, std::size_t pool)
      : Serving("fern::StreamServer", std::move(listener), Use::Accepts, pool),
        handler(std::move(handler)) {}

  detail::Handler handler;

  struct Connection;
  static void accept_all(const std::shared_ptr<State>& state);
};

// What a handler's greenlet runs. In this order: the socket closes before the place is free.
struct StreamServer::State::Connection {
  std::shared_ptr<State> state;
  net::Permit permit;
  Socket socket;
  Address peer;  // seldom looked at, and long: what each call needs stands in the task's first line

  void operator()() { state->handler(socket, peer); }
};

void StreamServer::State::accept_all(const std::shared_ptr<State>& state) {
  for (;;) {
    Connection connection{state, net::Permit(state->places), {}, {}};
    connection.socket =
        state->persist("accept connections", [&] { return state->socket.accept(connection.peer); });
    state->handlers.spawn_raw(std::move(connection));
    state->take_turns();
  }
}

StreamServer::StreamServer(Socket listener, detail::Handler handler, const ServerOptions& options,
                           std::nullptr_t) {
  net::check_listens(listener, "fern::StreamServer::StreamServer()");
  state_ = std::make_shared<State>(std::move(listener), std::move(handler), options.pool);
}

StreamServer::~StreamServer() { state_->abandon(); }

void StreamServer::start() {
  state_->start([state = state_] { State::accept_all(state); });
}

bool StreamServer::stop(Deadline deadline) {
  auto state = state_;  // a handler may end while we wait, and the server with it
  return state->stop(deadline, [&] { state->handlers.kill(); });
}

void StreamServer::serve_forever() {
  start();
  auto state = state_;
  state->wait();
}

Address StreamServer::address() const { return state_->address; }

bool StreamServer::running() const noexcept { return state_->running(); }

std::size_t StreamServer::connections() const noexcept { return state_->handlers.size(); }

}  // namespace fern
