#include "demo.hpp"

#include <fmt/core.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>

#include "crawl.hpp"
#include "options.hpp"
#include "report.hpp"
#include "site_process.hpp"

namespace crawler {

int run_demo(const Options& options) {
  SiteProcess site({.pages = options.demo_pages, .latency = options.demo_latency});
  std::string url = fmt::format("http://127.0.0.1:{}/", site.port());
  fmt::print("Crawling {}: {} pages, {} ms each, {} at a time.\n", url, grouped(options.demo_pages),
             options.demo_latency.count(), options.concurrency);
  std::fflush(stdout);
  Report report(options);
  bool finished = run_crawl(options, {url}, report);
  std::size_t served = site.stop();

  std::chrono::duration<double> latency = served * options.demo_latency;
  fmt::print("Time: {:.2f} s taken, {:.2f} s of latency: {:.0f} times as long.\n",
             report.time().count(), latency.count(), latency / report.time());
  fmt::print("Pages: {} counted here, {} by the server.\n", grouped(report.pages()),
             grouped(served));
  if (!finished) return interrupted_status;
  return report.pages() == served && report.failures() == 0 ? 0 : 1;
}

}  // namespace crawler
