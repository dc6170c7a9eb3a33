#pragma once

// A Fetcher gets pages over HTTP/1.1, on connections that it keeps open:
//
//   Fetcher fetcher(options);
//   Answer answer;
//   fetcher.get(url, answer, [&](std::string_view piece) { parser.feed(piece); });
//
// get() throws FetchError with the reason when no whole answer came; `answer` then tells how far
// it got. Redirects are answers like others: the caller decides whether to go there.

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "connections.hpp"
#include "options.hpp"
#include "url.hpp"

namespace crawler {

// FetchError says why there is no answer, or no whole one.
class FetchError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// ConnectionError is one that a new connection may cure: nothing was answered on this one.
class ConnectionError : public FetchError {
 public:
  using FetchError::FetchError;
};

struct Answer {
  unsigned status = 0;  // 0 until the head is there
  std::string reason;   // the status in words: the standard's, not the server's
  std::string type;     // the media type in lower case, without parameters
  std::string charset;  // the media type's parameter
  std::string location;
  std::uint64_t bytes = 0;  // of the body, so far
};

class Fetcher {
 public:
  // Takes the pieces of the body; the answer's head is complete by then.
  using Taker = std::function<void(std::string_view)>;

  explicit Fetcher(const Options& options);

  // get() asks for the page, anew after a back-off where the connection failed. It waits as long
  // as options.timeout for each attempt, and before it for a connection to be free.
  void get(const Url& url, Answer& answer, const Taker& take);

 private:
  void attempt(const Url& url, Answer& answer, const Taker& take);

  const Options& options_;
  Connections connections_;
};

}  // namespace crawler
