// Fern's crawler out of the parts of examples/crawler, with no report to write, and its halves by
// themselves:
//
//   crawl_fern both CONCURRENCY START    follows every link of START's host
//   crawl_fern both_libxml2 CONCURRENCY START
//   crawl_fern fetch CONCURRENCY LIST    gets the addresses that LIST has, one a line
//   crawl_fern parse CONCURRENCY LIST    reads the files that LIST has
//   crawl_fern parse_libxml2 CONCURRENCY LIST
#include <fern/group.hpp>
#include <fern/pool.hpp>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crawler/connections.hpp"
#include "crawler/fetch.hpp"
#include "crawler/frontier.hpp"
#include "crawler/options.hpp"
#include "crawler/page.hpp"
#include "crawler/url.hpp"

namespace {

struct Found {
  std::size_t pages = 0;
  std::size_t links = 0;
};

class Crawl {
 public:
  explicit Crawl(const crawler::Options& options) : options_(options) {}

  Found run(std::string_view start) {
    frontier_.add_seed(crawler::Url::parse(start));
    fern::Group workers;
    workers.spawn([this] { frontier_.run(); });
    for (std::size_t i = 0; i < options_.concurrency; ++i) workers.spawn([this] { work(); });
    workers.waitall();
    return found_;
  }

 private:
  void work() {
    while (auto visit = frontier_.next()) {
      this->visit(*visit);
      frontier_.done();
    }
  }

  void visit(const crawler::Visit& visit) {
    crawler::Answer answer;
    std::string body;
    fetcher_.get(visit.url, answer, [&](std::string_view piece) { body += piece; });
    if (answer.status != 200 || answer.type != "text/html") return;
    crawler::Page page(options_.libxml2, answer.charset);
    page.feed(body);
    page.finish();
    ++found_.pages;
    found_.links += page.links().size();
    for (std::string_view reference : page.references()) {
      try {
        frontier_.add_link(visit.url.resolve(reference), visit);
      } catch (const crawler::BadUrl&) {
        // Not one to follow.
      }
    }
  }

  const crawler::Options& options_;
  crawler::Frontier frontier_{options_};
  crawler::Fetcher fetcher_{options_};
  Found found_;
};

Found fetch(const crawler::Options& options, const std::vector<std::string>& list) {
  crawler::Fetcher fetcher(options);
  fern::GreenPool pool(options.concurrency);
  Found found;
  for (const std::string& address : list) {
    pool.spawn([&] {
      crawler::Answer answer;
      fetcher.get(crawler::Url::parse(address), answer, [](std::string_view) {});
      if (answer.status == 200 && answer.type == "text/html") ++found.pages;
    });
  }
  pool.waitall();
  return found;
}

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(0, std::ios::end);
  std::string text(static_cast<std::size_t>(file.tellg()), '\0');
  file.seekg(0);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  return text;
}

// Fed as a crawl would.
Found parse(const crawler::Options& options, const std::vector<std::string>& list) {
  constexpr std::size_t piece = crawler::Connection::read_size;
  Found found;
  for (const std::string& path : list) {
    crawler::Page page(options.libxml2, "utf-8");
    const std::string text = read(path);
    for (std::size_t at = 0; at < text.size(); at += piece) {
      page.feed(std::string_view(text).substr(at, piece));
    }
    page.finish();
    ++found.pages;
    found.links += page.links().size();
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string_view what = argv[1];
  crawler::Options options;
  options.concurrency = std::strtoul(argv[2], nullptr, 10);
  options.libxml2 = what.ends_with("_libxml2");
  std::vector<std::string> list;
  if (!what.starts_with("both")) {
    std::ifstream file(argv[3]);
    list.assign(std::istream_iterator<std::string>(file), {});
  }
  const auto begin = std::chrono::steady_clock::now();
  const Found found = what.starts_with("both") ? Crawl(options).run(argv[3])
                      : what == "fetch"        ? fetch(options, list)
                                               : parse(options, list);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("{\"pages\": %zu, \"links\": %zu, \"seconds\": %.6f}\n", found.pages, found.links,
              took.count());
}
