#include "markup.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace crawler {
namespace {

// libxml2 cuts a name of 100 characters in two.
constexpr std::size_t max_name = 99;
// A longer tag is not waited for. LinkParser gives up one of more than 64 KiB.
constexpr std::size_t max_tag = std::size_t{32} * 1024;

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

constexpr bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }

// A form feed is no blank to libxml2.
constexpr bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

constexpr bool begins_name(char c) { return is_letter(c) || c == '_' || c == ':' || c == '.'; }

constexpr bool is_in_name(char c) { return begins_name(c) || c == '-' || (c >= '0' && c <= '9'); }

constexpr bool is_in_bare_value(char c) {
  return !is_blank(c) && c != '>' && c != '"' && c != '\'';
}

using Kind = std::array<bool, 256>;

template <bool is(char)>
constexpr Kind kind() {
  Kind all{};
  for (std::size_t c = 0; c < all.size(); ++c) all[c] = is(static_cast<char>(c));
  return all;
}

constexpr Kind blank = kind<is_blank>();
constexpr Kind in_name = kind<is_in_name>();
constexpr Kind in_bare_value = kind<is_in_bare_value>();

std::size_t past(const Kind& kind, std::string_view text, std::size_t at) {
  while (at < text.size() && kind[static_cast<unsigned char>(text[at])]) ++at;
  return at;
}

bool begins(std::string_view text, std::string_view wanted) {
  return text.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), text.begin(),
                                                    [](char a, char b) { return a == lower(b); });
}

bool is(std::string_view name, std::string_view wanted) {
  return name.size() == wanted.size() && begins(name, wanted);
}

// Whether an attribute of the element can be a link, or what links begin at.
bool links(std::string_view element) {
  constexpr std::array<std::string_view, 6> all{"a", "area", "base", "frame", "iframe", "link"};
  return std::ranges::any_of(all, [&](std::string_view each) { return is(element, each); });
}

// What ends the content of the element if nothing else does, or "".
std::string_view script_end(std::string_view element) {
  if (is(element, "script")) return "</script";
  if (is(element, "style")) return "</style";
  return "";
}

// The front of the text. Its size is 0 as long as the end is missing, and npos for what libxml2
// might read in another way.
struct Token {
  std::size_t size = 0;
  bool matters = false;
  std::string_view script_end{};  // of the script that begins behind it
};

constexpr Token unfinished{0};
constexpr Token odd{std::string_view::npos};

Token up_to_greater_than(std::string_view text) {
  std::size_t end = text.find('>');
  return end == std::string_view::npos ? unfinished : Token{end + 1};
}

Token start_tag(std::string_view text) {
  std::size_t at = past(in_name, text, 1);
  const std::string_view name = text.substr(1, at - 1);
  if (name.size() > max_name) return odd;
  for (;;) {
    at = past(blank, text, at);
    if (at == text.size()) return unfinished;
    if (text[at] == '>') {
      const std::string_view end = script_end(name);
      return {at + 1, links(name) || !end.empty(), end};
    }
    if (text[at] == '/') {
      if (++at == text.size()) return unfinished;
      bool is_plain = text[at] == '>' && script_end(name).empty();
      return is_plain ? Token{at + 1, links(name)} : odd;
    }
    if (!begins_name(text[at])) return odd;
    std::size_t end = past(in_name, text, at);
    if (end - at > max_name) return odd;
    at = past(blank, text, end);
    if (at == text.size()) return unfinished;
    if (text[at] != '=') continue;
    at = past(blank, text, at + 1);
    if (at == text.size()) return unfinished;
    if (text[at] != '"' && text[at] != '\'') {
      at = past(in_bare_value, text, at);  // a quote behind it begins no attribute
      continue;
    }
    end = text.find(text[at], at + 1);
    if (end == std::string_view::npos) return unfinished;
    at = end + 1;
  }
}

Token doctype(std::string_view text) {
  std::size_t at = 0;
  while ((at = text.find_first_of("\"'>", at)) != std::string_view::npos) {
    if (text[at] == '>') return {at + 1};
    const char quote = text[at];
    do {
      if (++at == text.size()) return unfinished;
      if (text[at] == '>') return odd;
    } while (text[at] != quote);
    ++at;
  }
  return unfinished;
}

// What begins with "<!". A comment's token ends where its text begins.
Token declaration(std::string_view text) {
  constexpr std::string_view comment_begin = "<!--";
  constexpr std::string_view doctype_begin = "<!doctype";
  if (text.starts_with(comment_begin)) {
    // libxml2 looks for the end of "<!-->" and its like in one place and finds it in another.
    std::size_t at = text.find_first_not_of('-', comment_begin.size());
    if (at == std::string_view::npos) at = text.size();
    if (at >= comment_begin.size() + 2) return {comment_begin.size()};
    if (at == text.size()) return unfinished;
    return text[at] == '>' || text[at] == '!' ? odd : Token{comment_begin.size()};
  }
  if (begins(text, doctype_begin)) return doctype(text);
  bool is_begin =
      comment_begin.starts_with(text) ||
      begins(text, doctype_begin.substr(0, std::min(text.size(), doctype_begin.size())));
  return is_begin ? unfinished : odd;
}

Token markup_at(std::string_view text) {
  if (is_letter(text[1])) return start_tag(text);
  if (text[1] == '!') return declaration(text);
  // An end tag or "<?": if a name follows, all ends with the first ">".
  if (text.size() == 2) return unfinished;
  return is_letter(text[2]) ? up_to_greater_than(text) : odd;
}

void move(std::string_view& text, std::size_t size, std::string& markup) {
  markup += text.substr(0, size);
  text.remove_prefix(std::min(size, text.size()));
}

}  // namespace

void MarkupFilter::filter(std::string& text, std::string& markup) {
  if (text.size() < awaited_) return;
  std::string_view rest = text;
  for (bool goes_on = true; goes_on && inside_ != Inside::Unsure;) {
    goes_on = inside_ == Inside::Text      ? filter_text(rest, markup)
              : inside_ == Inside::Comment ? filter_comment(rest, markup)
                                           : filter_script(rest, markup);
    if (rest.size() > max_tag && !goes_on) inside_ = Inside::Unsure;
  }
  if (inside_ == Inside::Unsure) move(rest, rest.size(), markup);
  text.erase(0, text.size() - rest.size());
  awaited_ = 2 * rest.size();
}

void MarkupFilter::finish(std::string& text, std::string& markup) {
  awaited_ = 0;
  filter(text, markup);
  if (inside_ == Inside::Text) markup += text;
  text.clear();
}

// The three return false when more text must come first.

bool MarkupFilter::filter_text(std::string_view& text, std::string& markup) {
  for (;;) {
    text.remove_prefix(std::min(text.find('<'), text.size()));
    if (text.size() < 2) return false;
    if (!is_letter(text[1]) && text[1] != '/' && text[1] != '!' && text[1] != '?') {
      text.remove_prefix(1);  // libxml2 takes it for text
      continue;
    }
    const Token token = markup_at(text);
    if (token.size == 0) return false;
    if (token.size > max_tag) {
      inside_ = Inside::Unsure;
      return true;
    }
    const bool is_comment = text[1] == '!' && text[2] == '-';
    if (is_comment || token.matters) {
      move(text, token.size, markup);
    } else {
      text.remove_prefix(token.size);
    }
    if (is_comment || !token.script_end.empty()) {
      inside_ = is_comment ? Inside::Comment : Inside::Script;
      script_end_ = token.script_end;
      return true;
    }
  }
}

bool MarkupFilter::filter_comment(std::string_view& text, std::string& markup) {
  for (;;) {
    text.remove_prefix(
        std::min(text.find("--"), text.size() - std::min<std::size_t>(text.size(), 1)));
    std::string_view behind = text.substr(std::min<std::size_t>(text.size(), 2));
    if (behind.empty() || behind == "!") return false;
    if (behind.front() == '>' || behind.starts_with("!>")) {
      text.remove_prefix(behind.front() == '>' ? 3 : 4);
      markup += "-->";
      inside_ = Inside::Text;
      return true;
    }
    text.remove_prefix(1);
  }
}

bool MarkupFilter::filter_script(std::string_view& text, std::string& markup) {
  for (;;) {
    text.remove_prefix(std::min(text.find('<'), text.size()));
    if (text.size() <= script_end_.size()) {
      if (begins(text, script_end_.substr(0, text.size()))) return false;
    } else if (begins(text, script_end_)) {
      const bool is_longer_name = is_in_name(text[script_end_.size()]);
      const Token token = is_longer_name ? odd : up_to_greater_than(text);
      if (token.size == 0) return false;
      inside_ = token.size > max_tag ? Inside::Unsure : Inside::Text;
      if (inside_ == Inside::Text) move(text, token.size, markup);
      return true;
    }
    text.remove_prefix(1);
  }
}

}  // namespace crawler
