#pragma once

// Connections keeps connections open and gives them out again: so many to one host at a time, and
// so many unused ones in all.
//
//   auto lease = connections.lease(url);   // waits while the host has as many as it may
//   if (!lease.reuse()) lease.connect();
//   use(lease->socket);
//   lease.keep();                          // else it is closed when the lease ends

#include <boost/beast/core/flat_buffer.hpp>
#include <fern/semaphore.hpp>
#include <fern/socket.hpp>

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "url.hpp"

namespace crawler {

struct Connection {
  static constexpr std::size_t max_buffer = std::size_t{256} * 1024;
  // Beast reads as much as the buffer has room for: 512 bytes at a time if it has none yet.
  static constexpr std::size_t read_size = std::size_t{16} * 1024;

  explicit Connection(fern::Socket made) : socket(std::move(made)) { buffer.reserve(read_size); }

  fern::Socket socket;
  boost::beast::flat_buffer buffer{max_buffer};  // received, not read yet
};

class Connections {
 public:
  class Lease;

  Connections(std::size_t per_host, std::size_t max_idle)
      : per_host_(per_host), max_idle_(max_idle) {}

  Lease lease(const Url& url);

 private:
  struct Idle {
    std::string origin;
    std::unique_ptr<Connection> connection;
  };

  std::unique_ptr<Connection> take(const std::string& origin);
  void give(const std::string& origin, std::unique_ptr<Connection> connection);

  std::size_t per_host_;
  std::size_t max_idle_;
  std::unordered_map<std::string, fern::Semaphore> slots_;  // by origin
  std::list<Idle> idle_;                                    // the one used last first
};

class Connections::Lease {
 public:
  Lease(Connections& connections, const Url& url);
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() { slot_.release(); }

  // reuse() takes a connection that was kept; false if there is none.
  bool reuse();

  // connect() opens one. Throws std::system_error.
  void connect();

  // keep() gives it back to be used again; it is this lease's no longer.
  void keep();

  Connection& operator*() const noexcept { return *connection_; }
  Connection* operator->() const noexcept { return connection_.get(); }

 private:
  Connections& connections_;
  const Url& url_;
  std::string origin_;
  fern::Semaphore& slot_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace crawler
