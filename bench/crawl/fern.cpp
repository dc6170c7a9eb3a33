// The halves of Fern's crawler by themselves, out of the parts of examples/crawler:
//
//   crawl_fern fetch CONCURRENCY LIST    gets the addresses that LIST has, one a line
//   crawl_fern parse CONCURRENCY LIST    reads the files that LIST has
#include <fern/pool.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "crawler/fetch.hpp"
#include "crawler/links.hpp"

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

std::size_t parse(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  crawler::LinkParser parser("utf-8");
  parser.feed(text);
  parser.finish();
  return parser.links().size();
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
      links += parse(path);
      ++pages;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("{\"pages\": %zu, \"links\": %zu, \"seconds\": %.6f}\n", pages, links, took.count());
}
