// Crawls web sites breadth first, hundreds of pages at a time in one thread, and says what it
// found. Without an address it shows what that is worth: see demo.hpp.

#include <sys/resource.h>
#include <unistd.h>

#include <fmt/core.h>
#include <CLI/CLI.hpp>
#include <fern/socket.hpp>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "crawl.hpp"
#include "demo.hpp"
#include "options.hpp"
#include "report.hpp"
#include "site.hpp"

namespace {

using crawler::Options;

void declare(CLI::App& app, Options& options) {
  app.add_option("URL", options.urls, "Where to begin; without any, crawl a site of our own");
  app.add_option("-c,--concurrency", options.concurrency, "Requests at a time")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--per-host", options.per_host,
                 "Connections to one host at a time (default: as many as requests)");
  app.add_option("-d,--depth", options.depth, "Links to follow from where it began");
  app.add_option("-n,--max-pages", options.max_pages, "Addresses to try at most");
  app.add_option_function<double>(
         "-t,--timeout", [&](double s) { options.timeout = std::chrono::duration<double>(s); },
         "Seconds for one request, from connecting to its last byte (default: 30)")
      ->check(CLI::PositiveNumber);
  app.add_option("-o,--output", options.output, "File for a JSON row per address");
  app.add_option("--max-bytes", options.max_bytes, "Longest body")->capture_default_str();
  app.add_option("--retries", options.retries, "Further attempts after a connection failure")
      ->capture_default_str();
  app.add_option("--user-agent", options.user_agent, "Our name, to servers and in robots.txt")
      ->capture_default_str();
  app.add_flag("--span-hosts", options.span_hosts, "Follow links to other hosts");
  app.add_flag("--ignore-robots", options.ignore_robots, "Do not ask for robots.txt");
  app.add_option_function<std::string>(
         "--parser", [&](const std::string& name) { options.libxml2 = name == "libxml2"; },
         "What reads pages: scanner (the default) or libxml2")
      ->check(CLI::IsMember({"scanner", "libxml2"}));
  app.add_option("--demo-pages", options.demo_pages, "Pages of the site of our own")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  app.add_option_function<unsigned>(
      "--demo-latency", [&](unsigned ms) { options.demo_latency = std::chrono::milliseconds(ms); },
      "Milliseconds that it takes for each (default: 50)");
}

// Each connection is a descriptor: as many as the system lets us have.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int crawl(const Options& options) {
  if (options.urls.empty()) return crawler::run_demo(options);
  crawler::Report report(options);
  if (!crawler::run_crawl(options, options.urls, report)) return crawler::interrupted_status;
  return report.pages() > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::pair<std::size_t, unsigned> site;
  CLI::App app{"Crawls web sites, hundreds of pages at a time in one thread."};
  declare(app, options);
  // How the demo starts its site: see site_process.cpp.
  auto* serve = app.add_option("--site", site)->delimiter(',')->group("");
  CLI11_PARSE(app, argc, argv);
  raise_descriptor_limit();
  try {
    if (serve->count() == 0) return crawl(options);
    crawler::serve_site({.pages = site.first, .latency = std::chrono::milliseconds(site.second)},
                        fern::Socket(STDIN_FILENO));
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "crawler: {}\n", error.what());
    return 1;
  }
}
