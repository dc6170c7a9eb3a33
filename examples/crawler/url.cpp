#include "url.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace crawler {
namespace {

bool contains(std::string_view set, char c) { return set.find(c) != std::string_view::npos; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_unreserved(char c) { return is_letter(c) || is_digit(c) || contains("-._~", c); }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

std::optional<int> hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return std::nullopt;
}

// The byte that the three characters at `at` encode, if they do.
std::optional<char> decoded(std::string_view text, std::size_t at) {
  if (text[at] != '%' || at + 2 >= text.size()) return std::nullopt;
  auto high = hex_value(text[at + 1]);
  auto low = hex_value(text[at + 2]);
  if (!high || !low) return std::nullopt;
  return static_cast<char>(*high * 16 + *low);
}

void append_encoded(std::string& out, char c) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  auto byte = static_cast<unsigned char>(c);
  out += '%';
  out += hex[byte / 16];
  out += hex[byte % 16];
}

// As browsers read them: without blanks and control characters around, and without line breaks
// and tabs anywhere, so that an address may be broken over lines.
std::string cleaned(std::string_view raw) {
  auto is_blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  while (!raw.empty() && is_blank(raw.front())) raw.remove_prefix(1);
  while (!raw.empty() && is_blank(raw.back())) raw.remove_suffix(1);
  std::string out;
  out.reserve(raw.size());
  for (char c : raw) {
    if (!contains("\t\r\n", c)) out += c;
  }
  return out;
}

// RFC 3986, 5.2.4. The path begins with a "/", and so does the result.
std::string without_dot_segments(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  while (!path.empty()) {
    std::size_t end = path.find('/', 1);
    std::string_view segment = path.substr(0, end);
    bool last = end == std::string_view::npos;
    path = last ? std::string_view() : path.substr(end);
    if (segment == "/..") {
      out.resize(out.empty() ? 0 : out.rfind('/'));
      if (last) out += '/';
    } else if (segment == "/.") {
      if (last) out += '/';
    } else {
      out += segment;
    }
  }
  return out;
}

std::uint16_t default_port(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

}  // namespace

// What RFC 3986's appendix B finds in a reference; the fragment is left behind.
struct Url::Parts {
  std::optional<std::string> scheme;
  std::optional<std::string> authority;
  std::string path;
  std::optional<std::string> query;

  explicit Parts(std::string_view text) {
    text = text.substr(0, text.find('#'));
    take_scheme(text);
    if (text.starts_with("//")) {
      std::size_t end = text.find_first_of("/?", 2);
      authority = text.substr(2, end == std::string_view::npos ? end : end - 2);
      text = end == std::string_view::npos ? std::string_view() : text.substr(end);
    }
    std::size_t mark = text.find('?');
    path = text.substr(0, mark);
    if (mark != std::string_view::npos) query = text.substr(mark + 1);
  }

 private:
  void take_scheme(std::string_view& text) {
    std::size_t colon = text.find_first_of(":/?");
    if (colon == std::string_view::npos || colon == 0 || text[colon] != ':') return;
    if (!is_letter(text[0])) return;
    for (char c : text.substr(0, colon)) {
      if (!is_letter(c) && !is_digit(c) && !contains("+-.", c)) return;
    }
    scheme = lower(text.substr(0, colon));
    text.remove_prefix(colon + 1);
  }
};

std::string normal_component(std::string_view raw, std::string_view also) {
  constexpr std::string_view sub_delims = "!$&'()*+,;=";
  std::string out;
  out.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (auto byte = decoded(raw, i)) {
      if (is_unreserved(*byte)) {
        out += *byte;
      } else {
        append_encoded(out, *byte);
      }
      i += 2;
    } else if (is_unreserved(raw[i]) || contains(sub_delims, raw[i]) || contains(also, raw[i])) {
      out += raw[i];
    } else {
      append_encoded(out, raw[i]);
    }
  }
  return out;
}

Url Url::parse(std::string_view text) {
  Parts parts(cleaned(text));
  if (!parts.scheme) throw BadUrl("no scheme: an address begins with http://");
  if (*parts.scheme != "http" && *parts.scheme != "https") {
    throw BadUrl("not an http address", BadUrl::Kind::OtherScheme);
  }
  if (!parts.authority) throw BadUrl("no host");
  return assemble(*parts.scheme, parts);
}

Url Url::resolve(std::string_view reference) const {
  Parts parts(cleaned(reference));
  // "http:page" is relative to an http page: RFC 3986 allows it, and browsers do it.
  bool relative = !parts.scheme || (*parts.scheme == scheme() && !parts.authority);
  if (!relative && *parts.scheme != "http" && *parts.scheme != "https") {
    throw BadUrl("not an http address", BadUrl::Kind::OtherScheme);
  }
  if (parts.authority) return assemble(parts.scheme.value_or(std::string(scheme())), parts);
  if (!relative) throw BadUrl("no host");
  parts.authority = authority();
  if (parts.path.empty()) {
    parts.path = path();
    if (!parts.query && query_ < text_.size()) parts.query = text_.substr(query_ + 1);
  } else if (!parts.path.starts_with('/')) {
    parts.path.insert(0, path().substr(0, path().rfind('/') + 1));
  }
  return assemble(scheme(), parts);
}

Url Url::assemble(std::string_view scheme, const Parts& parts) {
  Url url;
  url.port_ = default_port(scheme);
  url.text_ = scheme;
  url.text_ += "://";
  url.host_ = url.text_.size();
  url.append_authority(*parts.authority);
  url.path_ = url.text_.size();
  std::string path = normal_component(parts.path.empty() ? "/" : parts.path, ":@/");
  url.text_ += without_dot_segments(path);
  url.query_ = url.text_.size();
  if (parts.query) {
    url.text_ += '?';
    url.text_ += normal_component(*parts.query, ":@/?");
  }
  if (url.text_.size() > max_length) throw BadUrl("longer than 8,192 bytes");
  return url;
}

void Url::append_authority(std::string_view authority) {
  // A user name is of no use to a crawler: std::string_view::npos + 1 is 0.
  authority.remove_prefix(authority.rfind('@') + 1);
  std::size_t bracket = authority.starts_with('[') ? authority.find(']') : 0;
  if (bracket == std::string_view::npos) throw BadUrl("no ] after an IPv6 address");
  std::size_t colon = authority.find(':', bracket);
  std::string host = lower(normal_component(authority.substr(0, colon), "[]:"));
  std::string_view letters = host;
  std::string_view allowed = "-._";
  if (bracket != 0) {
    if (letters.back() != ']') throw BadUrl("something between ] and the port");
    letters = letters.substr(1, letters.size() - 2);
    allowed = ":.";
  }
  if (letters.empty()) throw BadUrl("no host");
  for (char c : letters) {
    if (!is_letter(c) && !is_digit(c) && !contains(allowed, c)) {
      throw BadUrl("a host name of letters that host names do not have");
    }
  }
  text_ += host;
  host_end_ = text_.size();
  if (colon == std::string_view::npos || colon + 1 == authority.size()) return;

  std::string_view number = authority.substr(colon + 1);
  unsigned value = 0;
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  constexpr unsigned max = std::numeric_limits<std::uint16_t>::max();
  if (error != std::errc() || end != number.data() + number.size() || value == 0 || value > max) {
    throw BadUrl("a port that is not a number from 1 to 65535");
  }
  if (value == port_) return;
  port_ = static_cast<std::uint16_t>(value);
  text_ += ':';
  text_ += std::to_string(value);
}

std::string_view Url::host() const noexcept {
  std::string_view host = view(host_, host_end_);
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

}  // namespace crawler
