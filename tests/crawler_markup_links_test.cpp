// That libxml2 misses nothing of what a MarkupFilter drops.

#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "crawler/links.hpp"
#include "crawler_documentation.hpp"
#include "crawler_markup.hpp"
#include "support.hpp"

using crawler::LinkParser;
using fern::testing::is_sure_after;
using fern::testing::markup_of;
using fern::testing::whole_page;

namespace {

struct Found {
  std::vector<std::string> links;
  std::optional<std::string> base;
  bool has_defect = false;
  bool operator==(const Found&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Found& found) {
  for (const std::string& link : found.links) out << '[' << link << "] ";
  return out << "base [" << found.base.value_or("none") << ']'
             << (found.has_defect ? ", broken off" : "");
}

Found parse(std::string_view page, std::size_t piece = whole_page) {
  LinkParser parser("utf-8");
  while (!page.empty()) {
    parser.feed(page.substr(0, piece));
    page.remove_prefix(std::min(piece, page.size()));
  }
  parser.finish();
  return {parser.links(), parser.base(), !parser.defect().empty()};
}

std::string_view view(const xmlChar* text) { return reinterpret_cast<const char*>(text); }

// What libxml2 finds in the page as it is, in one piece.
struct Unfiltered {
  Found found;
  std::unique_ptr<xmlParserCtxt, decltype(&htmlFreeParserCtxt)> parser{nullptr,
                                                                       &htmlFreeParserCtxt};
};

void start_element(void* self, const xmlChar* name, const xmlChar** attributes) {
  Found& found = static_cast<Unfiltered*>(self)->found;
  const std::string_view element = view(name);
  const bool is_frame = element == "frame" || element == "iframe";
  const bool is_base = element == "base";
  if (!is_frame && !is_base && element != "a" && element != "area" && element != "link") return;
  for (; attributes != nullptr && attributes[0] != nullptr; attributes += 2) {
    if (view(attributes[0]) != (is_frame ? "src" : "href") || attributes[1] == nullptr) continue;
    if (!is_base) {
      found.links.emplace_back(view(attributes[1]));
    } else if (!found.base) {
      found.base = view(attributes[1]);
    }
    return;
  }
}

// Nothing closes the outermost element, which is not the page's.
void end_element(void* self, const xmlChar*) {
  xmlParserCtxt& parser = *static_cast<Unfiltered*>(self)->parser;
  if (parser.nameNr == 1) parser.nameTab[parser.nameNr++] = parser.nameTab[0];
}

Found parse_unfiltered(std::string_view page) {
  Unfiltered self;
  xmlSAXHandler handler{};
  handler.startElement = start_element;
  handler.endElement = end_element;
  self.parser.reset(
      htmlCreatePushParserCtxt(&handler, &self, nullptr, 0, nullptr, XML_CHAR_ENCODING_UTF8));
  htmlParserCtxtPtr parser = self.parser.get();
  htmlCtxtUseOptions(parser, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                 HTML_PARSE_NOIMPLIED | HTML_PARSE_IGNORE_ENC);
  xmlSwitchEncoding(parser, XML_CHAR_ENCODING_UTF8);
  htmlParseChunk(parser, "<root>", 6, 0);
  htmlParseChunk(parser, page.data(), static_cast<int>(page.size()), 0);
  const std::string_view element = view(parser->name);
  const std::string_view rest = view(parser->input->cur);
  self.found.has_defect =
      element == "script" || element == "style" ||
      (rest.size() > 1 && rest[0] == '<' &&
       (std::string_view("/!?").find(rest[1]) != std::string_view::npos || std::isalpha(rest[1])));
  htmlParseChunk(parser, nullptr, 0, 1);
  return self.found;
}

class CrawlerMarkupLinksTest : public FernTest {};

TEST_F(CrawlerMarkupLinksTest, Libxml2FindsTheSameLinksInAllOfPythonsDocumentation) {
  std::size_t links = 0;
  const bool there = fern::testing::each_page_of_documentation([&](auto& path, auto& page) {
    Found found = parse(page, 16'000);
    EXPECT_TRUE(found == parse_unfiltered(page)) << path;
    EXPECT_TRUE(is_sure_after(page)) << path;
    links += found.links.size();
  });
  if (!there) GTEST_SKIP() << "python3.11-doc is missing";
  EXPECT_GT(links, 100'000U);
}

// A page that is hardly one.
std::string nasty_page(unsigned seed) {
  static constexpr auto tokens = std::to_array<std::string_view>({
      "<a href=1>",
      "<a href=\"2\">",
      "<a href='3'>",
      "</a>",
      "<A\nHREF = 4 >",
      "<link href=5 />",
      "<area href=6/>",
      "<iframe src='7>'>",
      "<frame src=8>",
      "<base href=9>",
      "<a ",
      "<link",
      "<",
      ">",
      "/",
      "/>",
      "</",
      "<p",
      "<p ",
      "<br/>",
      "<!",
      "<!-",
      "<!--",
      "-->",
      "--!>",
      "--",
      "-",
      "!",
      "<?",
      "?>",
      "<?xml a?>",
      "<!DOCTYPE html>",
      "<!DOCTYPE ",
      "<!doctype html PUBLIC \"a\" 'b'",
      "SYSTEM \"",
      "<![CDATA[",
      "]]>",
      "<script>",
      "<script ",
      "<script/>",
      "</script>",
      "</SCRIPT",
      "</scr",
      "</scripts>",
      "<style>",
      "</style>",
      "</style ",
      "<html>",
      "<html/>",
      "<head>",
      "<head>text",
      "<head/>",
      "<body>",
      "<body a=b/>",
      "</html>",
      "</head>",
      "</body>",
      "</crawler-root>",
      "</root>",
      "<form>",
      "<frameset>",
      "<table><tr><td>",
      "</td>",
      "</table>",
      "<div>",
      "</div>",
      "<title>",
      "<textarea>",
      "</p>",
      "\"",
      "'",
      "=",
      " = ",
      "`",
      " ",
      "\n",
      "\t",
      "\f",
      "\x01",
      "&",
      "&amp;",
      "&#",
      "&#60;",
      "&#x3c",
      "&lt;a",
      ";",
      "a",
      "x",
      "href=",
      "href",
      "src=",
      "title=\"",
      "title='",
      " class=b ",
      "text",
      " more text ",
      "1 < 2",
      "caf\xC3\xA9",
      "\xE2\x82\xAC",
      "\xEF\xBF\xBE",
      ".",
      ":",
      "_",
      "-a",
      "<1>",
      "<_>",
      "< a href=no>",
      "</ a>",
      "</1>",
      "<a@b>",
      "<a href=a href=b>",
  });
  static constexpr auto names =
      std::to_array<std::string_view>({"<a", "<p", "<link", "<base", "<iframe", "<script", "<style",
                                       "<body", "</a", "<!DOCTYPE", "<?x"});
  static constexpr auto in_tags = std::to_array<std::string_view>({
      " ",
      "\n",
      "\f",
      "/",
      "=",
      " = ",
      " href=",
      " src=",
      " title=",
      "x",
      "`",
      "@",
      "-",
      "\x01",
      "\xC3\xA9",
      "'",
      "\"",
      "'>'",
      "\">\"",
      "'><a href=in>'",
      "\"<a href='in'>\"",
      "<",
      "&gt;",
      "1",
      " PUBLIC 'x'",
  });
  std::uint64_t random = seed;
  auto below = [&random](std::size_t bound) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::size_t>(random >> 33) % bound;
  };
  below(1);
  std::string page;
  const std::size_t shape = below(3);
  if (shape == 0) {
    for (std::size_t tags = 1 + below(4); tags > 0; --tags) {
      page += names[below(names.size())];
      for (std::size_t left = below(7); left > 0; --left) page += in_tags[below(in_tags.size())];
      page += "> text <a href=after>";
    }
    return page;
  }
  // Few different tokens meet more often.
  const std::size_t kinds = shape == 1 ? tokens.size() : 2 + below(8);
  const std::size_t first = below(tokens.size());
  const std::size_t stride = 1 + below(tokens.size() - 1);
  for (std::size_t left = 1 + below(24); left > 0; --left) {
    page += tokens[(first + below(kinds) * stride) % tokens.size()];
  }
  return page;
}

TEST_F(CrawlerMarkupLinksTest, Libxml2FindsTheSameLinksInWhatIsHardlyAPage) {
  // FERN_SEED reads one page again, FERN_SEEDS more of them.
  const char* one = std::getenv("FERN_SEED");
  const char* many = std::getenv("FERN_SEEDS");
  const auto first = static_cast<unsigned>(one != nullptr ? std::atoi(one) : 0);
  const auto count = static_cast<unsigned>(one != nullptr    ? 1
                                           : many != nullptr ? std::atoi(many)
                                                             : 20'000);
  std::size_t links = 0;
  for (unsigned seed = first; seed < first + count; ++seed) {
    const std::string page = nasty_page(seed);
    const Found expected = parse_unfiltered(page);
    ASSERT_EQ(parse(page), expected) << "FERN_SEED=" << seed << ": " << page;
    ASSERT_EQ(parse(page, 1 + seed % 7), expected) << "FERN_SEED=" << seed << ": " << page;
    links += expected.links.size();
  }
  EXPECT_TRUE(one != nullptr || links > count / 2) << links;
}

// Longer than what one parser reads, and as deep.
TEST_F(CrawlerMarkupLinksTest, Libxml2FindsTheSameLinksInALongPageOfOddParts) {
  std::string page;
  for (unsigned seed = 0; page.size() < std::size_t{512} * 1024; ++seed) {
    const std::string part = nasty_page(seed);
    if (markup_of(part + "text<b>text<a>") == markup_of(part) + "<a>") page += part;
  }
  ASSERT_TRUE(is_sure_after(page));
  const Found expected = parse_unfiltered(page);
  EXPECT_GT(expected.links.size(), 1000U);
  for (std::size_t piece : {std::size_t{100}, std::size_t{16'384}, page.size()}) {
    EXPECT_TRUE(parse(page, piece) == expected) << "in pieces of " << piece;
  }
}

}  // namespace
