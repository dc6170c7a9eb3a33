#pragma once

// A MarkupFilter drops what of a page a parser need not see to find its links: the text between
// tags, the tags of elements that do not link, and what stands in scripts, styles and comments.
//
//   MarkupFilter filter;
//   std::string text, markup;
//   while (receive(text)) filter.filter(text, markup);  // receive() appends
//   filter.finish(text, markup);
//   // "<p class=x>Some <a href=y>text</a>" has become "<a href=y>".
//
// The text is UTF-8 without zero bytes, and may come in any pieces. libxml2 2.9 finds the same
// links in the same order in what is left: the filter drops only where it is sure what libxml2
// takes for what. From the first thing on that might be read in two ways it drops nothing more.

#include <cstddef>
#include <string>
#include <string_view>

namespace crawler {

class MarkupFilter {
 public:
  // filter() takes the text and appends what of it is to be parsed to `markup`. It leaves what it
  // must see more of: 64 KiB at most, and the newest piece.
  void filter(std::string& text, std::string& markup);

  // finish() says that no text will follow.
  void finish(std::string& text, std::string& markup);

 private:
  // What the text is that comes next.
  enum class Inside : unsigned char { Text, Comment, Script, Unsure };

  bool filter_text(std::string_view& text, std::string& markup);
  bool filter_comment(std::string_view& text, std::string& markup);
  bool filter_script(std::string_view& text, std::string& markup);

  Inside inside_ = Inside::Text;
  std::size_t awaited_ = 0;      // so much text is worth a look: what is unfinished is read anew
  std::string_view script_end_;  // what begins the script's end tag
};

}  // namespace crawler
