#pragma once

// A web site on loopback to crawl: pages in a tree, each with links to at most 20 new ones and to
// the one above, and each answered only after the given latency, as a server far away would.
//
// It runs in a process of its own, at the other end of a socket from the crawler's: first it
// tells its port, and when the crawler shuts its end down, how many pages it has served.

#include <fern/socket.hpp>

#include <chrono>
#include <cstddef>

namespace crawler {

struct SitePlan {
  std::size_t pages = 2000;
  std::chrono::milliseconds latency{50};
};

// serve_site() serves until the other end of `control` is shut down or gone.
void serve_site(const SitePlan& plan, fern::Socket control);

}  // namespace crawler
