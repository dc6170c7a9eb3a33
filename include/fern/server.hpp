#pragma once

// A StreamServer accepts connections and runs a handler for each, in a greenlet of its own.
//
//   fern::StreamServer server(fern::Address::any(7), [](fern::Socket socket) {
//     for (std::string part; !(part = socket.recv(65536)).empty();) socket.sendall(part);
//   });
//   auto stop = fern::on_signal(SIGTERM, [&] { server.stop(10s); });
//   server.serve_forever();
//
// The handler is called with the Socket, and with the peer's Address if it takes one; it is one
// object that all connections share. The socket is closed when the handler returns, unless it has
// moved it elsewhere. An exception that leaves the handler is printed and ends that connection
// only. While as many handlers run as the options allow, nothing is accepted: the kernel's queue
// holds the rest. When descriptors or memory are out, accepting pauses (10 ms, doubling to 1 s),
// says so once, and goes on.
//
// All of it is in one thread, that of the hub which called start(). ~StreamServer stops accepting;
// handlers under way run on.

#include <fern/address.hpp>
#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/function.hpp>
#include <fern/socket.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace fern {

struct ServerOptions {
  std::size_t pool = 10000;  // connections at a time; at least 1
  int backlog = 1024;        // that the kernel keeps until they are accepted
};

namespace detail {

using Handler = Function<void(Socket&, const Address&)>;

template <class Fn>
concept ConnectionHandler =
    std::invocable<Fn&, Socket, const Address&> || std::invocable<Fn&, Socket&, const Address&> ||
    std::invocable<Fn&, Socket> || std::invocable<Fn&, Socket&>;

// A handler of any of the shapes, as one.
template <class Fn>
Handler handler_of(Fn&& fn) {
  return
      [fn = std::decay_t<Fn>(std::forward<Fn>(fn))](Socket& socket, const Address& peer) mutable {
        using F = std::decay_t<Fn>;
        if constexpr (std::invocable<F&, Socket, const Address&>) {
          fn(std::move(socket), peer);
        } else if constexpr (std::invocable<F&, Socket&, const Address&>) {
          fn(socket, peer);
        } else if constexpr (std::invocable<F&, Socket>) {
          fn(std::move(socket));
        } else {
          fn(socket);
        }
      };
}

}  // namespace detail

class FERN_API StreamServer {
 public:
  // Binds and listens at once, at an address (see create_server) or with a socket that listens;
  // throws std::system_error when that fails (EINVAL for a socket that does not). Nothing is
  // accepted before start().
  template <detail::ConnectionHandler Fn>
  StreamServer(const Address& address, Fn&& handler, const ServerOptions& options = {})
      : StreamServer(create_server(address, options.backlog), std::forward<Fn>(handler), options) {}
  template <detail::ConnectionHandler Fn>
  StreamServer(Socket listener, Fn&& handler, const ServerOptions& options = {})
      : StreamServer(std::move(listener), detail::handler_of(std::forward<Fn>(handler)), options,
                     nullptr) {}
  StreamServer(const StreamServer&) = delete;
  StreamServer& operator=(const StreamServer&) = delete;
  ~StreamServer();

  // start() begins to accept, in a greenlet, and returns at once. Idempotent; std::logic_error
  // once stopped.
  void start();

  // stop() closes the listening socket, waits until the handlers under way have ended, and kills
  // those that have not by the deadline. True when none had to be killed. Called by a handler it
  // only stops accepting. Killed while it waits, it leaves the handlers as they are.
  bool stop(Deadline deadline = {});

  // serve_forever() starts and waits until stop() has ended. When it is killed, or a Timeout scope
  // expires, it stops accepting.
  void serve_forever();

  Address address() const;                   // where it listens, or did
  bool running() const noexcept;             // started, not stopped
  std::size_t connections() const noexcept;  // handlers under way

 private:
  struct State;
  StreamServer(Socket listener, detail::Handler handler, const ServerOptions& options,
               std::nullptr_t);

  std::shared_ptr<State> state_;  // the acceptor and the handlers have it, too
};

}  // namespace fern
