#include "robots.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "url.hpp"

namespace crawler {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\v\f";
  std::size_t from = text.find_first_not_of(blanks);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(blanks) - from + 1);
}

// "FernCrawler" of "FernCrawler/1.0 (+https://...)": robots.txt names crawlers by it.
std::string_view product(std::string_view user_agent) {
  auto ends = [](char c) { return c != '-' && c != '_' && (lower(c) < 'a' || lower(c) > 'z'); };
  auto end = std::ranges::find_if(user_agent, ends);
  return {user_agent.begin(), end};
}

void replace_all(std::string& text, std::string_view from, char to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; ++at) {
    text.replace(at, from.size(), 1, to);
  }
}

// A pattern that means a star itself writes it encoded; both sides are compared decoded.
std::string with_plain_stars(std::string text) {
  replace_all(text, "%2A", '*');
  replace_all(text, "%24", '$');
  return text;
}

}  // namespace

// Takes the file line by line and sorts the rules into those for us and those for all.
class Robots::Reader {
 public:
  explicit Reader(std::string_view user_agent) : product_(product(user_agent)) {}

  void take_line(std::string_view line) {
    line = line.substr(0, line.find('#'));
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string_view key = trimmed(line.substr(0, colon));
    std::string_view value = trimmed(line.substr(colon + 1));
    if (same_word(key, "user-agent")) {
      take_agent(value);
    } else if (same_word(key, "allow") || same_word(key, "disallow")) {
      take_rule(same_word(key, "allow"), value);
    }
  }

  std::vector<Rule> rules() && { return named_ ? std::move(ours_) : std::move(for_all_); }

 private:
  // Agents that follow each other share the rules below them; the first rule ends their list.
  void take_agent(std::string_view value) {
    if (group_has_rules_) us_ = all_ = group_has_rules_ = false;
    if (value.starts_with('*')) {
      all_ = true;
    } else if (!product_.empty() && same_word(product(value), product_)) {
      us_ = named_ = true;
    }
  }

  void take_rule(bool allow, std::string_view pattern) {
    group_has_rules_ = true;
    if (pattern.empty()) return;
    if (us_) ours_.push_back(make_rule(allow, pattern));
    if (all_) for_all_.push_back(make_rule(allow, pattern));
  }

  std::string_view product_;
  bool us_ = false;               // the present group is for us,
  bool all_ = false;              // for all,
  bool group_has_rules_ = false;  // and its list of agents is over
  bool named_ = false;            // some group was for us
  std::vector<Rule> ours_;
  std::vector<Rule> for_all_;
};

Robots Robots::parse(std::string_view text, std::string_view user_agent) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  text = text.substr(0, max_size);
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  Reader reader(user_agent);
  while (!text.empty()) {
    std::size_t end = text.find_first_of("\r\n");
    reader.take_line(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  Robots robots;
  robots.rules_ = std::move(reader).rules();
  return robots;
}

Robots Robots::deny_all() {
  Robots robots;
  robots.rules_.push_back(make_rule(false, "/"));
  return robots;
}

Robots Robots::from_answer(unsigned status, std::string_view text, std::string_view user_agent) {
  if (status >= 500) return deny_all();
  if (status >= 300) return allow_all();
  return parse(text, user_agent);
}

Robots::Rule Robots::make_rule(bool allow, std::string_view pattern) {
  Rule rule;
  rule.allow = allow;
  rule.anchored = pattern.ends_with('$');
  rule.length = pattern.size();
  if (rule.anchored) pattern.remove_suffix(1);
  std::string normal = normal_component(pattern, ":@/?");
  for (std::string_view rest = normal;;) {
    std::size_t star = rest.find('*');
    rule.pieces.push_back(with_plain_stars(std::string(rest.substr(0, star))));
    if (star == std::string_view::npos) return rule;
    rest.remove_prefix(star + 1);
  }
}

// Each piece is taken as early as it comes: if the rest can be found at all, it can be then.
bool Robots::matches(const Rule& rule, std::string_view target) {
  if (!target.starts_with(rule.pieces.front())) return false;
  std::size_t at = rule.pieces.front().size();
  if (rule.pieces.size() == 1) return !rule.anchored || at == target.size();
  for (std::size_t i = 1; i < rule.pieces.size(); ++i) {
    const std::string& piece = rule.pieces[i];
    if (rule.anchored && i + 1 == rule.pieces.size()) {
      return target.size() - at >= piece.size() && target.ends_with(piece);
    }
    at = target.find(piece, at);
    if (at == std::string_view::npos) return false;
    at += piece.size();
  }
  return true;
}

bool Robots::allows(const Url& url) const {
  if (url.target() == "/robots.txt") return true;
  std::string target = with_plain_stars(std::string(url.target()));
  const Rule* best = nullptr;
  for (const Rule& rule : rules_) {
    bool better = best == nullptr || rule.length > best->length ||
                  (rule.length == best->length && rule.allow);
    if (better && matches(rule, target)) best = &rule;
  }
  return best == nullptr || best->allow;
}

}  // namespace crawler
