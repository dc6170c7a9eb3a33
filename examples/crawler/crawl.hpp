#pragma once

// A Crawl visits pages and the pages they link to, with many workers at a time, and reports each:
//
//   Report report(options);
//   Crawl crawl(options, report);
//   crawl.run({"http://example.com/"});
//
// Whatever goes wrong with an address is reported as its failure, and the crawl goes on.

#include <fern/async_result.hpp>
#include <fern/greenlet.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fetch.hpp"
#include "frontier.hpp"
#include "options.hpp"
#include "report.hpp"
#include "robots.hpp"
#include "url.hpp"

namespace crawler {

class Page;

class Crawl {
 public:
  Crawl(const Options& options, Report& report)
      : options_(options), report_(report), frontier_(options), fetcher_(options) {}

  // run() begins at `urls` and returns when all that can be reached was visited, or stop() was
  // called.
  void run(const std::vector<std::string>& urls);

  // stop() ends run() soon; what is in flight is given up.
  void stop();

 private:
  struct SiteRules {
    Robots robots;
    std::string trouble;  // why they are not known, "" if they are
  };

  void work();
  void visit(const Visit& visit);
  void fetch(const Visit& visit, Row& row);
  void redirect(const Visit& visit, const Answer& answer, Row& row);
  void take_links(const Visit& visit, const Page& page);
  void report_bad(std::string_view address, std::string_view why, std::size_t depth);

  const SiteRules& rules_of(const Url& url);
  SiteRules fetch_rules(const Url& url);

  const Options& options_;
  Report& report_;
  Frontier frontier_;
  Fetcher fetcher_;
  std::unordered_map<std::string, fern::AsyncResult<SiteRules>> rules_;  // by origin
  std::vector<fern::Greenlet<void>> greenlets_;
};

// run_crawl() crawls and prints the report; false if the user stopped it by Ctrl-C.
bool run_crawl(const Options& options, const std::vector<std::string>& urls, Report& report);

// What a program that was stopped by Ctrl-C exits with.
inline constexpr int interrupted_status = 130;

}  // namespace crawler
