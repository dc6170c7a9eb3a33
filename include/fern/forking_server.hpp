#pragma once

// A ForkingServer accepts connections and runs a handler for each in a process of its own: what
// crashes there, leaks or loads a library that cannot wait takes nobody else with it.
//
//   fern::ForkingServer server(fern::Address::any(7777), [](fern::Socket socket) {
//     socket.sendall(decode(socket.recv(65536)));   // another's code, not to be trusted
//   });
//   auto stop = fern::on_signal(SIGTERM, [&] { server.stop(10s); });
//   server.serve_forever();
//
// The handler is one of StreamServer's. The child is a copy of this process with one greenlet, that
// of the handler: all the others are gone, what they hold stays open in the child as long as it
// runs, the listening socket excepted, and what the child changes the parent does not see. It may
// spawn, wait and use everything of Fern's. Signals that the parent listens to with on_signal()
// have their default effect. The child ends when the handler returns: by _exit, with status 0, or
// with 1 and a message when an exception leaves the handler. Only the standard streams are flushed.
//
// The parent prints a line when a child is ended by a signal. While as many children run as the
// options allow, nothing is accepted. It belongs to one thread, as every server does; a program
// with several threads should keep in mind what fork(2) says of them. ~ForkingServer stops
// accepting; children under way run on, and are reaped as long as the hub is there.

#include <fern/address.hpp>
#include <fern/config.hpp>
#include <fern/deadline.hpp>
#include <fern/server.hpp>
#include <fern/socket.hpp>

#include <cstddef>
#include <memory>
#include <utility>

namespace fern {

struct ForkingOptions {
  std::size_t children = 40;  // at a time; at least 1
  int backlog = 1024;         // connections that the kernel keeps until they are accepted
};

class FERN_API ForkingServer {
 public:
  // As of StreamServer.
  template <detail::ConnectionHandler Fn>
  ForkingServer(const Address& address, Fn&& handler, const ForkingOptions& options = {})
      : ForkingServer(create_server(address, options.backlog), std::forward<Fn>(handler), options) {
  }
  template <detail::ConnectionHandler Fn>
  ForkingServer(Socket listener, Fn&& handler, const ForkingOptions& options = {})
      : ForkingServer(std::move(listener), detail::handler_of(std::forward<Fn>(handler)), options,
                      nullptr) {}
  ForkingServer(const ForkingServer&) = delete;
  ForkingServer& operator=(const ForkingServer&) = delete;
  ~ForkingServer();

  // start(), stop() and serve_forever() are those of StreamServer. Children that have not ended by
  // stop()'s deadline get a SIGTERM, and a second later a SIGKILL; it returns when all have ended.
  // In a child they throw a GreenletError: tell the parent by a signal.
  void start();
  bool stop(Deadline deadline = {});
  void serve_forever();

  Address address() const;                // where it listens, or did
  bool running() const noexcept;          // started, not stopped
  std::size_t children() const noexcept;  // under way

 private:
  struct State;
  ForkingServer(Socket listener, detail::Handler handler, const ForkingOptions& options,
                std::nullptr_t);
  State& checked(const char* what) const;

  std::shared_ptr<State> state_;
};

}  // namespace fern
