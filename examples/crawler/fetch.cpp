#include "fetch.hpp"

#include <netdb.h>

#include <fern/dns.hpp>
#include <fern/errors.hpp>
#include <fern/greenlet.hpp>
#include <fern/timeout.hpp>

#include <chrono>
#include <cstddef>
#include <system_error>

#include "connections.hpp"
#include "exchange.hpp"
#include "options.hpp"
#include "url.hpp"

namespace crawler {
namespace {

using namespace std::chrono_literals;

constexpr auto first_back_off = 200ms;  // and twice as long before each further attempt

// Opens a connection; what goes wrong is told as ConnectionError, or as FetchError where another
// attempt would end the same way.
void connect(Connections::Lease& lease) {
  try {
    lease.connect();
  } catch (const std::system_error& error) {
    bool unresolved = error.code().category() == fern::resolver_category();
    if (unresolved && error.code().value() == EAI_NONAME) throw FetchError("no such host");
    throw ConnectionError(error.code().message());
  }
}

}  // namespace

Fetcher::Fetcher(const Options& options)
    : options_(options),
      connections_(options.per_host != 0 ? options.per_host : options.concurrency,
                   options.concurrency) {}

void Fetcher::get(const Url& url, Answer& answer, const Taker& take) {
  auto back_off = std::chrono::milliseconds(first_back_off);
  for (unsigned attempts = 0;; ++attempts) {
    try {
      return attempt(url, answer, take);
    } catch (const ConnectionError&) {
      if (attempts == options_.retries) throw;
    }
    fern::sleep(back_off);
    back_off *= 2;
  }
}

void Fetcher::attempt(const Url& url, Answer& answer, const Taker& take) {
  auto lease = connections_.lease(url);
  fern::Timeout timeout(options_.timeout);
  try {
    bool reused = lease.reuse();
    if (reused) {
      try {
        if (exchange(*lease, url, options_, answer, take)) lease.keep();
        return;
      } catch (const ConnectionError&) {
        // The server had closed it meanwhile: that says nothing about a new one.
      }
    }
    connect(lease);
    if (exchange(*lease, url, options_, answer, take)) lease.keep();
  } catch (const fern::TimeoutError& error) {
    if (!timeout.owns(error)) throw;
    throw FetchError("timed out");
  }
}

}  // namespace crawler
