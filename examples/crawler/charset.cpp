#include "charset.hpp"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace crawler {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::size_t head_size = 1024;  // a <meta charset> further down is not looked for

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// The charset that a byte order mark names, and the mark's length.
std::pair<std::string_view, std::size_t> marked(std::string_view head) {
  if (head.starts_with("\xEF\xBB\xBF")) return {"utf-8", 3};
  if (head.starts_with("\xFE\xFF")) return {"utf-16be", 2};
  if (head.starts_with("\xFF\xFE")) return {"utf-16le", 2};
  return {"", 0};
}

// The charset that a <meta> names, in either of its two forms.
std::string named(std::string_view head) {
  constexpr std::string_view blanks_and_quotes = " \t\r\n\"'";
  constexpr std::string_view key = "charset";
  std::string text = lower(head);
  for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos;) {
    at += key.size();
    std::size_t equals = text.find_first_not_of(" \t\r\n", at);
    if (equals == std::string::npos || text[equals] != '=') continue;
    std::size_t from = text.find_first_not_of(blanks_and_quotes, equals + 1);
    if (from == std::string::npos) continue;
    std::string name = text.substr(from, text.find_first_of(" \t\r\n\"';/>", from) - from);
    // A page whose <meta> could be read is not UTF-16, whatever it says.
    return name.starts_with("utf-16") ? "utf-8" : name;
  }
  return "";
}

// Names that stand for another charset on the web than their own.
std::string_view meant_by(std::string_view charset) {
  if (charset == "iso-8859-1" || charset == "latin1" || charset == "us-ascii") return "cp1252";
  if (charset == "utf-16") return "utf-16le";
  return charset;
}

// How many bytes at the front are ASCII and not zero.
std::size_t ascii_run(std::string_view bytes) {
  constexpr std::uint64_t ones = 0x0101010101010101;
  constexpr std::uint64_t high = ones * 0x80;
  std::size_t at = 0;
  for (std::uint64_t word; at + sizeof word <= bytes.size(); at += sizeof word) {
    std::memcpy(&word, bytes.data() + at, sizeof word);
    // (word - ones) sets the high bit of a zero byte; without one no other is touched.
    if (((word | (word - ones)) & high) != 0) break;
  }
  while (at < bytes.size() && static_cast<signed char>(bytes[at]) > 0) ++at;
  return at;
}

// The length of the UTF-8 character at the front; 0 if there is none, npos if it may yet become
// one.
std::size_t utf8_length(std::string_view bytes) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  unsigned char lead = byte(0);
  std::size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  unsigned char lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return std::string_view::npos;
    if (byte(i) < lowest || byte(i) > highest) return 0;
    lowest = 0x80;
    highest = 0xBF;
  }
  return length;
}

void append_latin1(char c, std::string& text) {
  auto byte = static_cast<unsigned char>(c);
  text += static_cast<char>(0xC0 | (byte >> 6));
  text += static_cast<char>(0x80 | (byte & 0x3F));
}

}  // namespace

CharsetDecoder::CharsetDecoder(std::string_view charset) : charset_(lower(charset)) {}

CharsetDecoder::~CharsetDecoder() {
  if (handle_ != nullptr) iconv_close(handle_);
}

void CharsetDecoder::decode(std::string_view bytes, std::string& text) {
  if (begun_) return convert(bytes, false, text);
  rest_ += bytes;
  if (rest_.size() >= (charset_.empty() ? head_size : 3)) begin(text);
}

void CharsetDecoder::finish(std::string& text) {
  if (!begun_) begin(text);
  convert({}, true, text);
}

void CharsetDecoder::begin(std::string& text) {
  begun_ = true;
  std::string head = std::exchange(rest_, {});
  auto [mark, mark_length] = marked(head);
  if (mark_length != 0) {
    charset_ = mark;
  } else if (charset_.empty()) {
    charset_ = named(std::string_view(head).substr(0, head_size));
  }
  if (!charset_.empty() && charset_ != "utf-8" && charset_ != "utf8") {
    iconv_t opened = iconv_open("UTF-8", std::string(meant_by(charset_)).c_str());
    // What iconv does not know is read as UTF-8.
    if (opened != reinterpret_cast<iconv_t>(-1)) handle_ = opened;
  }
  convert(std::string_view(head).substr(mark_length), false, text);
}

void CharsetDecoder::convert(std::string_view bytes, bool last, std::string& text) {
  std::string joined;
  if (!rest_.empty()) {
    joined = std::exchange(rest_, {});
    joined += bytes;
    bytes = joined;
  }
  rest_ = handle_ == nullptr ? convert_utf8(bytes, last, text) : convert_other(bytes, last, text);
}

// Returns the begin of a character whose end is yet to come.
std::string_view CharsetDecoder::convert_utf8(std::string_view bytes, bool last,
                                              std::string& text) {
  while (!bytes.empty()) {
    std::size_t run = ascii_run(bytes);
    text += bytes.substr(0, run);
    bytes.remove_prefix(run);
    if (bytes.empty()) break;
    std::size_t length = utf8_length(bytes);
    if (length == std::string_view::npos && !last) return bytes;
    if (length == std::string_view::npos) length = 0;
    if (length != 0) {
      text += bytes.substr(0, length);
    } else if (bytes.front() == '\0') {
      found_zero_ = true;
      text += replacement;
    } else {
      append_latin1(bytes.front(), text);
    }
    bytes.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return {};
}

std::string_view CharsetDecoder::convert_other(std::string_view bytes, bool last,
                                               std::string& text) {
  std::array<char, 4096> buffer;
  std::string_view unfinished;
  char* in = const_cast<char*>(bytes.data());  // iconv does not write there
  std::size_t in_left = bytes.size();
  while (in_left > 0) {
    char* out = buffer.data();
    std::size_t out_left = buffer.size();
    std::size_t result = iconv(handle_, &in, &in_left, &out, &out_left);
    int error = errno;
    for (char c : std::string_view(buffer.data(), buffer.size() - out_left)) {
      found_zero_ = found_zero_ || c == '\0';
      if (c == '\0') {
        text += replacement;
      } else {
        text += c;
      }
    }
    if (result != static_cast<std::size_t>(-1) || error == E2BIG) continue;
    if (error == EINVAL && !last) {
      unfinished = {in, in_left};
      break;
    }
    text += replacement;
    ++in;
    --in_left;
  }
  return unfinished;
}

}  // namespace crawler
