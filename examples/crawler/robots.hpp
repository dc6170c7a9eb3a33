#pragma once

// Robots is what a site's /robots.txt (RFC 9309) says to one crawler:
//
//   Robots robots = Robots::parse(text, "FernCrawler/1.0");
//   if (!robots.allows(url)) skip(url);
//
// The groups that name the crawler count, all of them together; if there is none, those for "*".
// Among the rules that match, the longest decides, and of two as long the one that allows.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "url.hpp"

namespace crawler {

class Robots {
 public:
  // A site may hide no rules further down: RFC 9309 asks to read at least so much.
  static constexpr std::size_t max_size = std::size_t{512} * 1024;

  // parse() keeps the rules for the given User-Agent; it never fails.
  static Robots parse(std::string_view text, std::string_view user_agent);

  static Robots allow_all() { return {}; }
  static Robots deny_all();

  // from_answer() heeds the status that the site answered with: rules in a 2xx, no rules if it
  // has none (4xx, or a redirect that led nowhere), and nothing allowed while it is in trouble.
  static Robots from_answer(unsigned status, std::string_view text, std::string_view user_agent);

  bool allows(const Url& url) const;

 private:
  // "/a*b$" is {"/a", "b"}, anchored: what stands between the stars, in this order.
  struct Rule {
    bool allow = false;
    bool anchored = false;
    std::size_t length = 0;
    std::vector<std::string> pieces;
  };
  class Reader;

  static Rule make_rule(bool allow, std::string_view pattern);
  static bool matches(const Rule& rule, std::string_view target);

  std::vector<Rule> rules_;
};

}  // namespace crawler
