// The halves of Fern's crawler by themselves, out of the parts of examples/crawler:
//
//   crawl_fern fetch CONCURRENCY LIST    gets the addresses that LIST has, one a line
//   crawl_fern parse CONCURRENCY LIST    reads the files that LIST has
//   crawl_fern libxml2 CONCURRENCY LIST  the same with libxml2
#include <fern/pool.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "crawler/fetch.hpp"
#include "crawler/page.hpp"

namespace {

std::size_t fetch(const std::vector<std::string>& list, std::size_t concurrency) {
  crawler::Options options;
  options.concurrency = concurrency;
  options.per_host = concurrency;
  crawler::Fetcher fetcher(options);
  fern::GreenPool pool(concurrency);
  std::size_t pages = 0;
  for (const std::string& address : list) {
    pool.spawn([&] {
      crawler::Answer answer;
      fetcher.get(crawler::Url::parse(address), answer, [](std::string_view) {});
      if (answer.status == 200 && answer.type == "text/html") ++pages;
    });
  }
  pool.waitall();
  return pages;
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
void parse(crawler::Page& page, const std::string& path) {
  constexpr std::size_t piece = std::size_t{64} * 1024;
  const std::string text = read(path);
  for (std::size_t at = 0; at < text.size(); at += piece) {
    page.feed(std::string_view(text).substr(at, piece));
  }
  page.finish();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  std::ifstream file(argv[3]);
  const std::vector<std::string> list{std::istream_iterator<std::string>(file), {}};
  const auto begin = std::chrono::steady_clock::now();
  std::size_t pages = 0;
  std::size_t links = 0;
  if (std::strcmp(argv[1], "fetch") == 0) {
    pages = fetch(list, std::strtoul(argv[2], nullptr, 10));
  } else {
    for (const std::string& path : list) {
      crawler::Page page(std::strcmp(argv[1], "libxml2") == 0, "utf-8");
      parse(page, path);
      links += page.links().size();
      ++pages;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("{\"pages\": %zu, \"links\": %zu, \"seconds\": %.6f}\n", pages, links, took.count());
}
