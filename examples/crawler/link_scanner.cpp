#include "link_scanner.hpp"

#include <libxml/HTMLparser.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace crawler {
namespace {

// A tag that is longer is dropped: we would wait for its end with all of it in memory.
constexpr std::size_t max_tag = std::size_t{64} * 1024;

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool in_name(char c) {
  return is_letter(c) || is_digit(c) || c == '-' || c == ':' || c == '_' || c == '.' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool is(std::string_view name, std::string_view wanted) {
  return name.size() == wanted.size() && std::equal(name.begin(), name.end(), wanted.begin(),
                                                    [](char a, char b) { return lower(a) == b; });
}

// The element of this name if one has to look at it, else "".
std::string_view known(std::string_view name) {
  for (std::string_view each :
       {"a", "area", "link", "base", "frame", "iframe", "script", "style"}) {
    if (is(name, each)) return each;
  }
  return "";
}

std::string_view link_attribute(std::string_view element) {
  if (element == "frame" || element == "iframe") return "src";
  return element.empty() || element == "script" || element == "style" ? "" : "href";
}

void append_utf8(std::uint32_t c, std::string& out) {
  auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = 0xFFFD;
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | (c >> 6));
  } else {
    if (c < 0x10000) {
      put(0xE0 | (c >> 12));
    } else {
      put(0xF0 | (c >> 18));
      put(0x80 | ((c >> 12) & 0x3F));
    }
    put(0x80 | ((c >> 6) & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

// Reads the character reference at the front, "&#...", "&name;": appends what it stands for and
// takes it away. False if it is none.
bool read_reference(std::string_view& text, std::string& out) {
  if (text.starts_with("&#")) {
    bool hex = text.size() > 2 && lower(text[2]) == 'x';
    const char* digits = text.data() + (hex ? 3 : 2);
    const char* end = text.data() + text.size();
    std::uint32_t value = 0;
    auto [rest, error] = std::from_chars(std::min(digits, end), end, value, hex ? 16 : 10);
    if (rest == digits || rest < digits) return false;
    if (error != std::errc()) value = 0xFFFD;
    if (rest != end && *rest == ';') ++rest;
    append_utf8(value, out);
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
    return true;
  }
  constexpr std::size_t longest = 10;  // &thetasym;
  std::size_t end = text.substr(0, longest).find(';');
  if (end == std::string_view::npos || end < 2) return false;
  const std::string name(text.substr(1, end - 1));
  const auto* entity = htmlEntityLookup(reinterpret_cast<const xmlChar*>(name.c_str()));
  if (entity == nullptr) return false;
  append_utf8(entity->value, out);
  text.remove_prefix(end + 1);
  return true;
}

std::string with_references_read(std::string_view value) {
  std::string out;
  for (;;) {
    std::size_t run = std::min(value.find('&'), value.size());
    out += value.substr(0, run);
    value.remove_prefix(run);
    if (value.empty()) return out;
    if (!read_reference(value, out)) {
      out += '&';
      value.remove_prefix(1);
    }
  }
}

// Attributes reads those of a tag one by one, from behind its name.
class Attributes {
 public:
  explicit Attributes(std::string_view text) noexcept : at_(text.data()), end_(at_ + text.size()) {}

  // next() reads an attribute: false at the end of the tag, or of the text.
  bool next() noexcept {
    while (at_ != end_ && *at_ != '>' && !in_name(*at_)) {
      empty_ = *at_ == '/';
      ++at_;
    }
    if (at_ == end_ || *at_ == '>') return false;
    empty_ = false;
    const char* name = at_;
    while (at_ != end_ && in_name(*at_)) ++at_;
    name_ = {name, static_cast<std::size_t>(at_ - name)};
    has_value_ = false;
    skip_blanks();
    if (at_ == end_ || *at_ != '=') return true;
    ++at_;
    skip_blanks();
    if (at_ == end_) return false;
    has_value_ = true;
    return *at_ == '"' || *at_ == '\'' ? read_quoted(*at_++) : read_bare();
  }

  std::string_view name() const noexcept { return name_; }
  bool has_value() const noexcept { return has_value_; }
  std::string_view value() const noexcept { return value_; }

  // complete() asks, when next() was false, whether the tag has ended; rest() is behind it then,
  // and empty() whether it says "/>".
  bool complete() const noexcept { return at_ != end_; }
  std::string_view rest() const noexcept {
    return {at_ + 1, static_cast<std::size_t>(end_ - at_ - 1)};
  }
  bool empty() const noexcept { return empty_; }

 private:
  void skip_blanks() noexcept {
    while (at_ != end_ && is_blank(*at_)) ++at_;
  }
  bool read_quoted(char quote) noexcept {
    const auto* close =
        static_cast<const char*>(std::memchr(at_, quote, static_cast<std::size_t>(end_ - at_)));
    if (close == nullptr) {
      at_ = end_;
      return false;
    }
    value_ = {at_, static_cast<std::size_t>(close - at_)};
    at_ = close + 1;
    return true;
  }
  bool read_bare() noexcept {
    const char* value = at_;
    while (at_ != end_ && *at_ != '>' && !is_blank(*at_)) ++at_;
    value_ = {value, static_cast<std::size_t>(at_ - value)};
    return at_ != end_;
  }

  const char* at_;
  const char* end_;
  std::string_view name_;
  std::string_view value_;
  bool has_value_ = false;
  bool empty_ = false;
};

}  // namespace

void LinkScanner::feed(std::string_view bytes) {
  decoder_.decode(bytes, text_);
  scan();
}

void LinkScanner::finish() {
  decoder_.finish(text_);
  scan();
  if (decoder_.found_zero()) {
    defect_ = "zero bytes in the text";
  } else if (inside_ == Inside::Script || inside_ == Inside::Style) {
    defect_ = "breaks off inside of a script or style";
  } else if (inside_ != Inside::Text || text_.size() > 1) {  // a lone "<" is text
    defect_ = "breaks off inside of a tag";
  }
}

// Keeps what cannot be told without what follows.
void LinkScanner::scan() {
  std::string_view text = text_;
  bool known = true;
  while (known && !text.empty()) {
    switch (inside_) {
      case Inside::Text:
        known = scan_text(text);
        break;
      case Inside::Comment:
        known = skip_past("-->", text);
        break;
      case Inside::Declaration:
        known = skip_past(">", text);
        break;
      case Inside::Script:
        known = skip_to_end_tag("script", text);
        break;
      case Inside::Style:
        known = skip_to_end_tag("style", text);
        break;
    }
  }
  text_.erase(0, text_.size() - text.size());
}

// Up to and with the next tag or begin of something else; false if that has to wait.
bool LinkScanner::scan_text(std::string_view& text) {
  text.remove_prefix(std::min(text.find('<'), text.size()));
  if (text.size() < 2) return false;
  char c = text[1];
  if (is_letter(c)) return scan_tag(text);
  if (c == '!') {
    constexpr std::string_view comment = "<!--";
    std::string_view begun = text.substr(0, comment.size());
    if (begun == comment) {
      inside_ = Inside::Comment;
      text.remove_prefix(2);  // "<!-->" is one as well
    } else if (comment.starts_with(begun)) {
      return false;
    } else {
      inside_ = Inside::Declaration;
    }
  } else if (c == '?' || (c == '/' && text.size() > 2 && is_letter(text[2]))) {
    inside_ = Inside::Declaration;
  } else if (c == '/' && text.size() == 2) {
    return false;
  } else {
    text.remove_prefix(1);
  }
  return true;
}

bool LinkScanner::scan_tag(std::string_view& text) {
  const std::string_view within = text.substr(0, max_tag);
  std::size_t length = 1;
  while (length < within.size() && in_name(within[length])) ++length;
  const std::string_view element = known(within.substr(1, length - 1));
  const std::string_view wanted = link_attribute(element);
  Attributes attributes(within.substr(length));
  std::optional<std::string_view> link;
  bool seen = false;
  while (attributes.next()) {
    if (wanted.empty() || seen || !is(attributes.name(), wanted)) continue;
    seen = true;
    if (attributes.has_value()) link = attributes.value();
  }
  const bool too_long = !attributes.complete() && within.size() == max_tag;
  if (!attributes.complete() && !too_long) return false;
  if (link) take(element, *link);
  if (too_long) {
    // All of it, or every "<" in it would be looked at as far.
    text.remove_prefix(within.size());
    return true;
  }
  if (!attributes.empty()) {
    if (element == "script") inside_ = Inside::Script;
    if (element == "style") inside_ = Inside::Style;
  }
  text.remove_prefix(length + (within.size() - length - attributes.rest().size()));
  return true;
}

bool LinkScanner::skip_past(std::string_view end, std::string_view& text) {
  std::size_t at = text.find(end);
  if (at == std::string_view::npos) {
    text.remove_prefix(text.size() - std::min(text.size(), end.size() - 1));
    return false;
  }
  inside_ = Inside::Text;
  text.remove_prefix(at + end.size());
  return true;
}

bool LinkScanner::skip_to_end_tag(std::string_view name, std::string_view& text) {
  for (;;) {
    text.remove_prefix(std::min(text.find("</"), text.size() - 1));
    if (text.size() < name.size() + 2) return false;
    if (is(text.substr(2, name.size()), name)) break;
    text.remove_prefix(2);
    if (text.empty()) return false;
  }
  inside_ = Inside::Declaration;
  return true;
}

void LinkScanner::take(std::string_view element, std::string_view value) {
  if (element != "base") {
    links_.push_back(with_references_read(value));
  } else if (!base_) {
    base_ = with_references_read(value);
  }
}

}  // namespace crawler
