#pragma once

// The Frontier is what a crawl has still to visit, and all that it has seen:
//
//   Frontier frontier(options);
//   frontier.add_seed(url);
//   // in each of many workers, until nothing is left:
//   while (auto visit = frontier.next()) {
//     for (const Url& link : fetch(visit->url)) frontier.add_link(link, *visit);
//     frontier.done();
//   }
//   // in one greenlet:
//   frontier.run();
//
// Every address is visited once, level by level: those a link away from the seeds, then those two
// links away, and so on. With a limit of depth a level begins when the one before is over, so that
// each address has its least depth and the limit cuts where it says; without one it begins at
// the latest after a second, so that a slow page holds nobody up.

#include <fern/queue.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "options.hpp"
#include "url.hpp"

namespace crawler {

struct Visit {
  Url url;
  std::size_t depth = 0;      // links from the nearest seed
  std::size_t redirects = 0;  // that led here, one after the other
  bool seed = false;          // asked for, or where what was asked for led to
};

class Frontier {
 public:
  static constexpr std::size_t max_redirects = 10;

  explicit Frontier(const Options& options) : options_(options) {}

  // add_seed() adds an address to begin at; its host is one to stay on.
  void add_seed(const Url& url);

  // add_link() adds a link of the page just visited, unless it was seen or leads too far.
  void add_link(const Url& url, const Visit& from);

  // add_redirect() adds where an address says that it is now; "" or why it is not followed.
  std::string_view add_redirect(const Url& url, const Visit& from);

  // first_sight() is true the first time it is asked about a text: for what is no address.
  bool first_sight(const std::string& text) { return seen_.insert(text).second; }

  // next() waits for something to visit; nothing when all is over.
  std::optional<Visit> next();

  // done() says that the visit that next() gave is over.
  void done() { ready_.task_done(); }

  // run() keeps the visits coming, and returns when all is over.
  void run();

 private:
  bool is_near(const Url& url) const;
  bool loops(const Url& from) const;
  void add(Visit visit);

  const Options& options_;
  fern::Queue<Visit> ready_;
  std::vector<Visit> next_level_;
  std::unordered_set<std::string> seen_;
  std::unordered_set<std::string> hosts_;  // to stay on
  std::unordered_map<std::string, std::string> redirects_;
  std::size_t added_ = 0;
};

}  // namespace crawler
