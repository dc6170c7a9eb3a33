#include <fern/server.hpp>

#include "net/serving.hpp"

#include <cerrno>

namespace fern {
namespace {

constexpr std::size_t largest_datagram = 65536;

// What the network says of an answer to a client that is gone.
bool is_about_a_client(const std::system_error& error) noexcept {
  int number = error.code().value();
  return number == ECONNREFUSED || number == ECONNRESET || number == EHOSTUNREACH ||
         number == ENETUNREACH || number == EHOSTDOWN || number == EMSGSIZE;
}

}  // namespace

struct DatagramServer::State final : net::Serving {
  State(Socket socket, detail::DatagramHandler handler, std::size_t pool)
      : Serving("fern::DatagramServer", std::move(socket), Use::Answers, pool),
        handler(std::move(handler)) {}

  detail::DatagramHandler handler;

  struct Request;
  void receive(std::string& room, Request& request);
  static void receive_all(const std::shared_ptr<State>& state);
};

// What a handler's greenlet runs.
struct DatagramServer::State::Request {
  std::shared_ptr<State> state;
  net::Permit permit;
  Address peer;
  std::string data;

  void operator()() { state->handler(data, peer, state->socket); }
};

void DatagramServer::State::receive(std::string& room, Request& request) {
  for (;; take_turns()) {
    try {
      request.data.assign(room, 0, socket.recvfrom(room, request.peer));
      return;
    } catch (const std::system_error& error) {
      if (!is_about_a_client(error)) throw;
    }
  }
}

void DatagramServer::State::receive_all(const std::shared_ptr<State>& state) {
  std::string room(largest_datagram, '\0');
  for (;;) {
    Request request{state, net::Permit(state->places), {}, {}};
    state->persist("receive", [&] { state->receive(room, request); });
    state->handlers.spawn_raw(std::move(request));
    state->take_turns();
  }
}

Socket DatagramServer::bound(const Address& address) {
  Socket socket = Socket::udp(address.family());
  socket.bind(address);
  return socket;
}

DatagramServer::DatagramServer(Socket socket, detail::DatagramHandler handler,
                               const ServerOptions& options, std::nullptr_t)
    : state_(std::make_shared<State>(std::move(socket), std::move(handler), options.pool)) {}

DatagramServer::~DatagramServer() { state_->abandon(); }

std::size_t DatagramServer::sendto(detail::ConstBytes data, const Address& to, Deadline deadline) {
  auto state = state_;
  return state->socket.sendto(data, to, deadline);
}

void DatagramServer::start() {
  state_->start([state = state_] { State::receive_all(state); });
}

bool DatagramServer::stop(Deadline deadline) {
  auto state = state_;
  return state->stop(deadline, [&] { state->handlers.kill(); });
}

void DatagramServer::serve_forever() {
  start();
  auto state = state_;
  state->wait();
}

Address DatagramServer::address() const { return state_->address; }

bool DatagramServer::running() const noexcept { return state_->running(); }

std::size_t DatagramServer::handlers() const noexcept { return state_->handlers.size(); }

}  // namespace fern
