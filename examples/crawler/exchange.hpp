#pragma once

// One request and its answer on a connection: the only part of the crawler that speaks HTTP.

#include "connections.hpp"
#include "fetch.hpp"
#include "options.hpp"
#include "url.hpp"

namespace crawler {

// exchange() asks for the page and reads the answer; true if the connection can be used again.
// Throws ConnectionError when the connection ends before the answer begins, FetchError when the
// answer is none, is broken or too long, and what Fern throws.
bool exchange(Connection& connection, const Url& url, const Options& options, Answer& answer,
              const Fetcher::Taker& take);

}  // namespace crawler
