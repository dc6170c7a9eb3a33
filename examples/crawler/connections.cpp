#include "connections.hpp"

#include <fern/semaphore.hpp>
#include <fern/socket.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "url.hpp"

namespace crawler {

Connections::Lease Connections::lease(const Url& url) { return {*this, url}; }

std::unique_ptr<Connection> Connections::take(const std::string& origin) {
  auto found = std::ranges::find(idle_, origin, &Idle::origin);
  if (found == idle_.end()) return nullptr;
  auto connection = std::move(found->connection);
  idle_.erase(found);
  return connection;
}

void Connections::give(const std::string& origin, std::unique_ptr<Connection> connection) {
  idle_.push_front({origin, std::move(connection)});
  if (idle_.size() > max_idle_) idle_.pop_back();
}

Connections::Lease::Lease(Connections& connections, const Url& url)
    : connections_(connections),
      url_(url),
      origin_(url.origin()),
      slot_(connections.slots_.try_emplace(origin_, connections.per_host_).first->second) {
  slot_.acquire();
}

bool Connections::Lease::reuse() {
  connection_ = connections_.take(origin_);
  return connection_ != nullptr;
}

void Connections::Lease::connect() {
  connection_ = std::make_unique<Connection>(fern::create_connection(url_.host(), url_.port()));
}

void Connections::Lease::keep() { connections_.give(origin_, std::move(connection_)); }

}  // namespace crawler
