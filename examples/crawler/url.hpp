#pragma once

// A Url is an absolute http or https address in normal form (RFC 3986), so that two spellings of
// one page compare equal:
//
//   Url page = Url::parse("HTTP://Example.com:80/a/./b/../%7euser#top");
//   page.text();                          // "http://example.com/a/~user"
//   page.resolve("../c?d e").text();      // "http://example.com/c?d%20e"
//
// Normal form: scheme and host in lower case, no default port, no user name, no dot segments, a
// path of at least "/", percent-encoding only where it is needed and in upper case, no fragment.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace crawler {

// BadUrl says what is wrong with an address.
class BadUrl : public std::invalid_argument {
 public:
  enum class Kind { Malformed, OtherScheme };

  explicit BadUrl(const char* reason, Kind kind = Kind::Malformed)
      : std::invalid_argument(reason), kind_(kind) {}

  // other_scheme() asks whether it is fine, but no web page: mailto:, javascript:, data:, ...
  bool other_scheme() const noexcept { return kind_ == Kind::OtherScheme; }

 private:
  Kind kind_;
};

class Url {
 public:
  // Longer addresses are refused: they come from servers that append to every link for ever.
  static constexpr std::size_t max_length = 8192;

  // parse() reads an absolute address; throws BadUrl.
  static Url parse(std::string_view text);

  // resolve() reads a reference as it stands in this page, absolute or relative; throws BadUrl.
  Url resolve(std::string_view reference) const;

  const std::string& text() const noexcept { return text_; }
  std::string_view scheme() const noexcept { return view(0, host_ - 3); }
  std::string_view origin() const noexcept { return view(0, path_); }         // http://host:8080
  std::string_view authority() const noexcept { return view(host_, path_); }  // host:8080
  std::string_view host() const noexcept;  // an IPv6 address stands without its brackets
  std::uint16_t port() const noexcept { return port_; }
  std::string_view path() const noexcept { return view(path_, query_); }
  std::string_view target() const noexcept { return view(path_, text_.size()); }  // path?query

  friend bool operator==(const Url& a, const Url& b) noexcept { return a.text_ == b.text_; }
  friend auto operator<=>(const Url& a, const Url& b) noexcept { return a.text_ <=> b.text_; }

 private:
  struct Parts;

  Url() = default;
  static Url assemble(std::string_view scheme, const Parts& parts);
  void append_authority(std::string_view authority);

  std::string_view view(std::size_t from, std::size_t to) const noexcept {
    return std::string_view(text_).substr(from, to - from);
  }

  std::string text_;
  std::size_t host_ = 0;      // where the authority begins in text_
  std::size_t host_end_ = 0;  // where the host ends
  std::size_t path_ = 0;      // where the path begins
  std::size_t query_ = 0;     // where the "?" stands, or the end
  std::uint16_t port_ = 0;
};

// normal_component() percent-encodes what may not stand in a path or query, and decodes what need
// not be encoded; characters of `also` are left as they are.
std::string normal_component(std::string_view raw, std::string_view also);

}  // namespace crawler

template <>
struct std::hash<crawler::Url> {
  std::size_t operator()(const crawler::Url& url) const noexcept {
    return std::hash<std::string>()(url.text());
  }
};
