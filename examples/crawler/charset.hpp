#pragma once

// A CharsetDecoder turns the bytes of a page, as they arrive, into UTF-8:
//
//   CharsetDecoder decoder("iso-8859-1");   // what the Content-Type says, or ""
//   decoder.decode(bytes, text);            // appends to text; again for each piece
//   decoder.finish(text);
//
// A byte order mark counts more than the Content-Type, that more than a <meta charset> among the
// first 1,024 bytes; without any the page is UTF-8. It never fails: a byte that is no UTF-8 is
// taken as Latin-1, what another charset does not have becomes U+FFFD, and so do zero bytes,
// which no text has and libxml2 takes for the end.

#include <iconv.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace crawler {

class CharsetDecoder {
 public:
  explicit CharsetDecoder(std::string_view charset);
  CharsetDecoder(const CharsetDecoder&) = delete;
  CharsetDecoder& operator=(const CharsetDecoder&) = delete;
  ~CharsetDecoder();

  // decode() appends to `text` what can be read by now.
  void decode(std::string_view bytes, std::string& text);

  // finish() appends the rest; nothing may follow.
  void finish(std::string& text);

  // found_zero() asks whether there was a zero byte: then this is hardly text.
  bool found_zero() const noexcept { return found_zero_; }

 private:
  void begin(std::string& text);
  void convert(std::string_view bytes, bool last, std::string& text);
  std::string_view convert_utf8(std::string_view bytes, bool last, std::string& text);
  std::string_view convert_other(std::string_view bytes, bool last, std::string& text);

  std::string charset_;
  bool begun_ = false;
  std::string rest_;          // not begun: all so far; then: the begin of an unfinished character
  iconv_t handle_ = nullptr;  // null for UTF-8
  bool found_zero_ = false;
};

}  // namespace crawler
