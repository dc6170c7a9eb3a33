#include "report.hpp"

#include <unistd.h>

#include <fmt/core.h>
#include <fern/greenlet.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <ios>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "options.hpp"

namespace crawler {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::string to_json(const Row& row) {
  nlohmann::ordered_json json;
  json["url"] = row.url;
  json["status"] = nullptr;
  if (row.status != 0) json["status"] = row.status;
  json["error"] = nullptr;
  if (!row.error.empty()) json["error"] = row.error;
  json["bytes"] = row.bytes;
  json["milliseconds"] = row.milliseconds;
  json["links"] = row.links;
  json["depth"] = row.depth;
  json["type"] = row.type;
  if (!row.redirect.empty()) json["redirect"] = row.redirect;
  // What a server sent need not be UTF-8.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string readable(std::uint64_t bytes) {
  if (bytes < 10'000) return grouped(bytes) + " bytes";
  if (bytes < 10'000'000) return grouped(bytes / 1000) + " kB";
  return grouped(bytes / 1'000'000) + " MB";
}

// An address as a page wrote it could tell the terminal what to do.
std::string printable(std::string_view text) {
  constexpr std::size_t longest = 200;
  std::string out(text.substr(0, longest));
  std::ranges::replace_if(out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

}  // namespace

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

Report::Report(const Options& options)
    : terminal_(isatty(STDOUT_FILENO) == 1), wants_rows_(!options.output.empty()) {
  if (!wants_rows_) return;
  rows_.open(options.output, std::ios::trunc);
  if (!rows_) throw std::system_error(errno, std::generic_category(), options.output);
}

void Report::begin() {
  began_ = ended_ = Clock::now();
  ticker_ = fern::spawn(fern::SpawnOptions{.name = "progress"}, [this] {
    for (;;) {
      fern::sleep(terminal_ ? 100ms : 1000ms);
      print_progress();
    }
  });
}

void Report::end() {
  ended_ = Clock::now();
  ticker_.kill();
  print_progress();
  if (terminal_) fmt::print("\n");
  print_summary();
  std::fflush(stdout);
  if (wants_rows_ && !rows_) fmt::print(stderr, "crawler: the rows could not all be written\n");
}

void Report::add(const Row& row) {
  bytes_ += row.bytes;
  links_ += row.links;
  if (!row.error.empty()) {
    ++failures_;
    Failure& failure = reasons_[row.error];
    if (failure.count++ == 0) failure.example = row.url;
  } else if (!row.redirect.empty()) {
    ++redirects_;
  } else {
    ++pages_;
  }
  if (wants_rows_) rows_ << to_json(row) << '\n';
}

void Report::print_progress() {
  rows_.flush();
  std::chrono::duration<double> so_far = Clock::now() - began_;
  double rate = so_far > 0s ? static_cast<double>(pages_) / so_far.count() : 0;
  fmt::print("{}{} pages, {}/s, {} in flight, {} failed{}", terminal_ ? "\r" : "", grouped(pages_),
             grouped(static_cast<std::uint64_t>(rate)), grouped(in_flight_), grouped(failures_),
             terminal_ ? "\x1b[K" : "\n");
  std::fflush(stdout);
}

void Report::print_summary() const {
  fmt::print("{} pages, {} redirects, {} failed; {}, {} links; {:.2f} s\n", grouped(pages_),
             grouped(redirects_), grouped(failures_), readable(bytes_), grouped(links_),
             time().count());
  std::vector<std::pair<std::string, Failure>> reasons(reasons_.begin(), reasons_.end());
  std::ranges::stable_sort(reasons, std::greater(), [](auto& row) { return row.second.count; });
  for (const auto& [reason, failure] : reasons) {
    fmt::print("  {} failed: {}: {}{}\n", grouped(failure.count), reason,
               printable(failure.example), failure.count > 1 ? ", ..." : "");
  }
}

}  // namespace crawler
