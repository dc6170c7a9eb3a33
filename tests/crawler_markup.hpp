#pragma once

// What a MarkupFilter leaves of a page, for the tests of it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "crawler/markup.hpp"

namespace fern::testing {

inline constexpr std::size_t whole_page = std::string_view::npos;

inline std::string markup_of(std::string_view page, std::size_t piece = whole_page) {
  crawler::MarkupFilter filter;
  std::string text;
  std::string markup;
  while (!page.empty()) {
    text += page.substr(0, piece);
    filter.filter(text, markup);
    page.remove_prefix(std::min(piece, page.size()));
  }
  filter.finish(text, markup);
  return markup;
}

// Whether text is still dropped behind this.
inline bool is_sure_after(const std::string& page) {
  const std::string markup = markup_of(page + " text <b>text</b><a>");
  EXPECT_TRUE(markup.ends_with("<a>")) << page;
  return !markup.ends_with(" text <b>text</b><a>");
}

}  // namespace fern::testing
