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
// A DatagramServer does the same for datagrams, which have a sender instead of a connection:
//
//   fern::DatagramServer clock(fern::Address::any(13), [&](std::string, const fern::Address& who) {
//     clock.sendto(now(), who);
//   });
//
// All of a server is in one thread, that of the hub which called start(). Its destructor stops
// taking in; handlers under way run on.

#include <fern/address.hpp>
#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/detail/function.hpp>
#include <fern/socket.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace fern {

struct ServerOptions {
  std::size_t pool = 10000;  // handlers at a time; at least 1
  int backlog = 1024;        // connections that the kernel keeps until they are accepted
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

using DatagramHandler = Function<void(std::string&, const Address&, Socket&)>;

template <class Fn>
concept AnswersDatagrams = std::invocable<Fn&, std::string, const Address&, Socket&> ||
                           std::invocable<Fn&, std::string, const Address&>;

template <class Fn>
DatagramHandler datagram_handler_of(Fn&& fn) {
  return [fn = std::decay_t<Fn>(std::forward<Fn>(fn))](std::string& data, const Address& peer,
                                                       Socket& socket) mutable {
    if constexpr (std::invocable<std::decay_t<Fn>&, std::string, const Address&, Socket&>) {
      fn(std::move(data), peer, socket);
    } else {
      fn(std::move(data), peer);
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

// DatagramServer receives datagrams at an address and runs a handler for each, in a greenlet of its
// own. The handler is called with the datagram and its sender, and with the server's Socket if it
// takes a third, which it may send from. An exception that leaves it, of sending too much, say, is
// printed and ends that handler only; so does a client that is gone not trouble the others. While
// as many handlers run as the options allow, nothing is received: the kernel's buffer holds the
// rest, and drops what it has no room for.
class FERN_API DatagramServer {
 public:
  // Binds at once, without SO_REUSEADDR, by which two servers could have one address; throws
  // std::system_error when that fails. A socket that is given is bound already, or connected.
  // Nothing is received before start().
  template <detail::AnswersDatagrams Fn>
  DatagramServer(const Address& address, Fn&& handler, const ServerOptions& options = {})
      : DatagramServer(bound(address), std::forward<Fn>(handler), options) {}
  template <detail::AnswersDatagrams Fn>
  DatagramServer(Socket socket, Fn&& handler, const ServerOptions& options = {})
      : DatagramServer(std::move(socket), detail::datagram_handler_of(std::forward<Fn>(handler)),
                       options, nullptr) {}
  DatagramServer(const DatagramServer&) = delete;
  DatagramServer& operator=(const DatagramServer&) = delete;
  ~DatagramServer();

  // sendto() is the Socket's, from the server's address. EBADF once it is stopped.
  std::size_t sendto(detail::ConstBytes data, const Address& to, Deadline deadline = {});

  // As of StreamServer, but that the socket is open until the handlers have ended.
  void start();
  bool stop(Deadline deadline = {});
  void serve_forever();

  Address address() const;                // where it receives, or did
  bool running() const noexcept;          // started, not stopped
  std::size_t handlers() const noexcept;  // under way

 private:
  struct State;
  static Socket bound(const Address& address);
  DatagramServer(Socket socket, detail::DatagramHandler handler, const ServerOptions& options,
                 std::nullptr_t);

  std::shared_ptr<State> state_;
};

}  // namespace fern
