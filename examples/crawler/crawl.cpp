#include "crawl.hpp"

#include <fern/async_result.hpp>
#include <fern/greenlet.hpp>
#include <fern/signal.hpp>
#include <fern/wait.hpp>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fetch.hpp"
#include "frontier.hpp"
#include "options.hpp"
#include "page.hpp"
#include "report.hpp"
#include "robots.hpp"
#include "url.hpp"

namespace crawler {
namespace {

// A page whose server does not say what it is is read as HTML: the parser reads anything.
bool is_html(const Answer& answer) {
  return answer.type.empty() || answer.type == "text/html" ||
         answer.type == "application/xhtml+xml";
}

bool is_redirect(unsigned status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

void Crawl::run(const std::vector<std::string>& urls) {
  for (const std::string& url : urls) {
    try {
      frontier_.add_seed(Url::parse(url));
    } catch (const BadUrl& error) {
      report_bad(url, error.what(), 0);
    }
  }
  greenlets_.push_back(
      fern::spawn(fern::SpawnOptions{.name = "frontier"}, [this] { frontier_.run(); }));
  for (std::size_t i = 0; i < options_.concurrency; ++i) {
    greenlets_.push_back(fern::spawn(fern::SpawnOptions{.name = "worker"}, [this] { work(); }));
  }
  fern::joinall(greenlets_);
}

void Crawl::stop() { fern::killall(greenlets_); }

void Crawl::work() {
  while (auto next = frontier_.next()) {
    visit(*next);
    frontier_.done();
  }
}

void Crawl::visit(const Visit& visit) {
  Row row{.url = visit.url.text(), .depth = visit.depth};
  try {
    if (visit.url.scheme() != "http") throw FetchError("https is not supported");
    const SiteRules* rules = options_.ignore_robots ? nullptr : &rules_of(visit.url);
    if (rules != nullptr && !rules->robots.allows(visit.url)) {
      row.error = rules->trouble.empty() ? "disallowed by robots.txt" : rules->trouble;
    } else {
      Report::Flight flight(report_);
      fetch(visit, row);
    }
  } catch (const std::exception& error) {
    row.error = error.what();
  }
  report_.add(row);
}

void Crawl::fetch(const Visit& visit, Row& row) {
  using Clock = std::chrono::steady_clock;
  using Milliseconds = std::chrono::duration<double, std::milli>;
  Answer answer;
  std::optional<Page> page;
  auto began = Clock::now();
  auto take_answer = [&] {
    row.milliseconds = Milliseconds(Clock::now() - began).count();
    row.status = answer.status;
    row.type = answer.type;
    row.bytes = answer.bytes;
  };
  try {
    fetcher_.get(visit.url, answer, [&](std::string_view piece) {
      if (!page && is_html(answer) && answer.status / 100 == 2) {
        page.emplace(options_.libxml2, answer.charset);
      }
      if (page) page->feed(piece);
    });
  } catch (const std::exception&) {
    take_answer();
    throw;
  }
  if (page) page->finish();
  take_answer();
  if (is_redirect(answer.status)) {
    redirect(visit, answer, row);
  } else if (answer.status / 100 != 2) {
    row.error = std::to_string(answer.status) + " " + answer.reason;
  } else if (page) {
    row.links = page->links().size();
    take_links(visit, *page);
    if (!page->defect().empty()) row.error = "malformed HTML: " + std::string(page->defect());
  }
}

void Crawl::redirect(const Visit& visit, const Answer& answer, Row& row) {
  if (answer.location.empty()) throw FetchError("redirect to nowhere");
  try {
    Url target = visit.url.resolve(answer.location);
    row.redirect = target.text();
    row.error = frontier_.add_redirect(target, visit);
  } catch (const BadUrl& error) {
    row.error = std::string("redirect to a bad address: ") + error.what();
  }
}

void Crawl::take_links(const Visit& visit, const Page& page) {
  Url base = visit.url;
  try {
    if (page.base()) base = visit.url.resolve(*page.base());
  } catch (const BadUrl&) {
    // As if it had none: browsers do the same.
  }
  for (std::string_view link : page.references()) {
    try {
      frontier_.add_link(base.resolve(link), visit);
    } catch (const BadUrl& error) {
      if (!error.other_scheme() && visit.depth < options_.depth) {
        report_bad(link, error.what(), visit.depth + 1);
      }
    }
  }
}

void Crawl::report_bad(std::string_view address, std::string_view why, std::size_t depth) {
  std::string text(address.substr(0, Url::max_length));
  if (!frontier_.first_sight(text)) return;
  report_.add({.url = text, .error = "bad address: " + std::string(why), .depth = depth});
}

// The first who asks fetches them; the others wait for it.
const Crawl::SiteRules& Crawl::rules_of(const Url& url) {
  auto [entry, is_first] = rules_.try_emplace(std::string(url.origin()));
  fern::AsyncResult<SiteRules>& rules = entry->second;
  if (is_first) rules.set(fetch_rules(url));
  return rules.get();
}

Crawl::SiteRules Crawl::fetch_rules(const Url& site) {
  constexpr int max_redirects = 5;
  Url url = site.resolve("/robots.txt");
  try {
    for (int redirects = 0;; ++redirects) {
      Answer answer;
      std::string text;
      fetcher_.get(url, answer, [&](std::string_view piece) {
        if (text.size() < Robots::max_size) text += piece;
      });
      if (is_redirect(answer.status) && redirects < max_redirects) {
        url = url.resolve(answer.location);
        continue;
      }
      std::string trouble;
      if (answer.status >= 500) trouble = "robots.txt answered " + std::to_string(answer.status);
      return {Robots::from_answer(answer.status, text, options_.user_agent), trouble};
    }
  } catch (const BadUrl&) {
    return {Robots::allow_all(), ""};  // a redirect that leads nowhere: there are no rules
  } catch (const std::exception& error) {
    return {Robots::deny_all(), std::string("robots.txt: ") + error.what()};
  }
}

bool run_crawl(const Options& options, const std::vector<std::string>& urls, Report& report) {
  Crawl crawl(options, report);
  // A handler may yet run when this function has returned: it has a handle of its own.
  fern::AsyncResult<void> interrupted;
  auto on_interrupt = fern::on_signal(SIGINT, [interrupted] { interrupted.try_set(); });
  auto on_terminate = fern::on_signal(SIGTERM, [interrupted] { interrupted.try_set(); });
  auto stopper = fern::spawn(fern::SpawnOptions{.name = "stopper"}, [&] {
    interrupted.get();
    on_interrupt.cancel();  // a second Ctrl-C ends the program at once
    on_terminate.cancel();
    crawl.stop();
  });
  report.begin();
  crawl.run(urls);
  stopper.kill();
  report.end();
  return !interrupted.ready();
}

}  // namespace crawler
