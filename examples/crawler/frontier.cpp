#include "frontier.hpp"

#include <fern/deadline.hpp>
#include <fern/errors.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "options.hpp"
#include "url.hpp"

namespace crawler {

using namespace std::chrono_literals;

void Frontier::add_seed(const Url& url) {
  hosts_.emplace(url.host());
  add({.url = url, .seed = true});
}

void Frontier::add_link(const Url& url, const Visit& from) {
  if (from.depth >= options_.depth || !is_near(url)) return;
  add({.url = url, .depth = from.depth + 1});
}

std::string_view Frontier::add_redirect(const Url& url, const Visit& from) {
  redirects_[from.url.text()] = url.text();
  if (loops(from.url)) return "redirect loop";
  if (from.redirects == max_redirects) return "more than 10 redirects";
  if (from.seed) hosts_.emplace(url.host());
  if (is_near(url)) {
    add({.url = url, .depth = from.depth, .redirects = from.redirects + 1, .seed = from.seed});
  }
  return "";
}

std::optional<Visit> Frontier::next() {
  try {
    return ready_.get();
  } catch (const fern::QueueClosed&) {
    return std::nullopt;
  }
}

void Frontier::run() {
  constexpr auto longest_wait = 1s;
  bool strict = options_.depth != Options::unlimited;
  bool over = false;
  while (!over || !next_level_.empty()) {
    for (Visit& visit : std::exchange(next_level_, {})) ready_.put(std::move(visit));
    over = ready_.join(strict ? fern::Deadline() : fern::Deadline(longest_wait));
  }
  ready_.close();
}

bool Frontier::is_near(const Url& url) const {
  return options_.span_hosts || hosts_.contains(std::string(url.host()));
}

// Follows the redirects known so far: several pages may each lead to the next, however they were
// found.
bool Frontier::loops(const Url& from) const {
  constexpr int longest = 100;
  auto at = redirects_.find(from.text());
  for (int steps = 0; at != redirects_.end() && steps < longest; ++steps) {
    if (at->second == from.text()) return true;
    at = redirects_.find(at->second);
  }
  return false;
}

void Frontier::add(Visit visit) {
  if (added_ == options_.max_pages || !first_sight(visit.url.text())) return;
  ++added_;
  bool same_level = visit.seed || visit.redirects > 0;
  if (same_level) {
    ready_.put(std::move(visit));
  } else {
    next_level_.push_back(std::move(visit));
  }
}

}  // namespace crawler
