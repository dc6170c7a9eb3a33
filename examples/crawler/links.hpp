#pragma once

// A LinkParser finds the links of a page while its bytes arrive, and keeps none of them:
//
//   LinkParser parser("utf-8");            // the charset of the Content-Type, or ""
//   while (receive(piece)) parser.feed(piece);
//   parser.finish();
//   for (const std::string& link : parser.links()) visit(page.resolve(link));
//
// Links are the href of a, area and link and the src of frame and iframe, as they stand there in
// UTF-8, character references read. It reads any tag soup as libxml2 does, which sees no more of
// a page than a MarkupFilter leaves, in time that grows with the page's length alone, and
// whatever the size of the pieces.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "charset.hpp"
#include "markup.hpp"

namespace crawler {

class LinkParser {
 public:
  explicit LinkParser(std::string_view charset);
  LinkParser(const LinkParser&) = delete;
  LinkParser& operator=(const LinkParser&) = delete;
  ~LinkParser();

  void feed(std::string_view bytes);

  // finish() says that the page is over; nothing may follow.
  void finish();

  const std::vector<std::string>& links() const noexcept { return links_; }

  // base() is the page's <base href>, against which its links are meant.
  const std::optional<std::string>& base() const noexcept { return base_; }

  // defect() says why this can hardly be the page as it was written, or "".
  std::string_view defect() const noexcept { return defect_; }

 private:
  struct Sax;
  struct Free {
    void operator()(void* parser) const noexcept;
  };

  void parse(std::string_view slice);
  void keep_within_bounds();
  void start_parser(std::string_view first);

  CharsetDecoder decoder_;
  MarkupFilter filter_;
  std::string text_;                    // decoded, not filtered yet
  std::string markup_;                  // not parsed yet
  std::unique_ptr<void, Free> parser_;  // libxml2's; replaced by a new one now and then
  std::vector<std::string> links_;
  std::optional<std::string> base_;
  std::string_view defect_;
};

}  // namespace crawler
