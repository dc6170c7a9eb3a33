// What a page's parser need not see, and that libxml2 misses none of it.

#include "crawler/markup.hpp"

#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "crawler/links.hpp"
#include "support.hpp"

using crawler::LinkParser;
using crawler::MarkupFilter;

namespace {

constexpr std::size_t whole = std::string_view::npos;

std::string markup_of(std::string_view page, std::size_t piece = whole) {
  MarkupFilter filter;
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
bool is_sure_after(const std::string& page) {
  const std::string markup = markup_of(page + " text <b>text</b><a>");
  EXPECT_TRUE(markup.ends_with("<a>")) << page;
  return !markup.ends_with(" text <b>text</b><a>");
}

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

Found parse(std::string_view page, std::size_t piece = whole) {
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

class CrawlerMarkupTest : public FernTest {};

TEST_F(CrawlerMarkupTest, TextBetweenTagsIsDropped) {
  EXPECT_EQ(markup_of("one <a class=x>two <a href=\"y\">th&amp;ree<link\n> four"),
            "<a class=x><a href=\"y\"><link\n>");
  EXPECT_EQ(markup_of("no tag at all"), "");
  EXPECT_EQ(markup_of(""), "");
}

TEST_F(CrawlerMarkupTest, TagsThatDoNotLinkAreDropped) {
  for (const char* tag : {
           "<b>",
           "<br/>",
           "<br />",
           "<img src=\"x\"/>",
           "<abbr href='> <a href=no>'>",
           "<linker href=x>",
           "<frameset>",
           "<x-y:z_1.2 _a.b-c:d=e>",
           "</p>",
           "</p\n>",
           "</a>",
           "</a <a href=no>",
           "</script>",
           "<!DOCTYPE html>",
           "<!doctype HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" 'http://www.w3.org'>",
           "<?xml version=\"1.0\"?>",
           "<html lang=en><head><body class='x'>",
           "<body />",
           "<p title='caf\xC3\xA9'>",
       }) {
    EXPECT_EQ(markup_of("text" + std::string(tag) + "text"), "") << tag;
    EXPECT_TRUE(is_sure_after(tag)) << tag;
  }
}

TEST_F(CrawlerMarkupTest, WhatStandsInScriptsStylesAndCommentsIsDropped) {
  EXPECT_EQ(markup_of("<script src=x>if (a</b/>c) '<a href=no>'</SCRIPT\n>text<a>"),
            "<script src=x></SCRIPT\n><a>");
  EXPECT_EQ(markup_of("<STYLE>a > b <!-- </script></style>"), "<STYLE></style>");
  EXPECT_EQ(markup_of("<!-- <a href=no> -- > --><a><!----><a><!---a--!><a><!--a--!---->"),
            "<!----><a><!----><a><!----><a><!---->");
  EXPECT_EQ(markup_of("<!-- never > closed -"), "<!--");
  EXPECT_EQ(markup_of("<script> never > closed </script"), "<script>");
  EXPECT_EQ(markup_of("<script></script attribute='>'>text<a>"),
            "<script></script attribute='><a>");
}

TEST_F(CrawlerMarkupTest, TagsThatMayLinkAreKeptAsTheyAre) {
  for (const char* tag : {
           "<a>",
           "<A HREF=x>",
           "<a href = 'x > y'\n>",
           "<a href=\"it's <b>\" title='\"'>",
           "<a href='x'title=\"y\">",
           "<a disabled href>",
           "<a b=>",
           "<a href=x/y?z=1&b=2#c>",
           "<a _a.b-c:d=e>",
           "<a title='caf\xC3\xA9'>",
           "<Area/>",
           "<base href=x />",
           "<frame src=x>",
           "<IFRAME src=x>",
           "<link>",
       }) {
    EXPECT_EQ(markup_of("text" + std::string(tag) + "text"), tag);
    EXPECT_TRUE(is_sure_after(tag)) << tag;
  }
}

TEST_F(CrawlerMarkupTest, ALessThanSignInTextStandsForItself) {
  EXPECT_EQ(markup_of("1 < 2 <a href=x><3 <<a><"), "<a href=x><a><");
}

TEST_F(CrawlerMarkupTest, NothingIsDroppedBehindWhatCanBeReadInTwoWays) {
  for (const std::string& odd : std::vector<std::string>{
           "<a href=\"x\"\">",
           "<a href=x\">",
           "<a title=it's>",
           "<p 'x'>",
           "<p =x>",
           "<p x<y>",
           "<p<b>",
           "<p @x='>'>",
           "<p \f>",
           "<p / x>",
           "<p/x>",
           "<p caf\xC3\xA9=x>",
           "<caf\xC3\xA9>",
           "<script/>",
           "<style />",
           "<script></scripts>",
           "</>",
           "</ p>",
           "<?>",
           "<? x>",
           "<!>",
           "<!-x->",
           "<![CDATA[x]]>",
           "<!ELEMENT x>",
           "<!DOC>",
           "<!DOCTYPE html 'x>y'>",
           "<!-->",
           "<!--->",
           "<!--!>",
           "<!---!>",
           "<" + std::string(100, 'x') + ">",
           "<p " + std::string(100, 'x') + ">",
           "<p title='" + std::string(std::size_t{64} * 1024, 'x') + "'>",
       }) {
    EXPECT_EQ(markup_of("text" + odd + "text"), odd + "text");
    EXPECT_FALSE(is_sure_after(odd)) << odd;
  }
}

TEST_F(CrawlerMarkupTest, WherePiecesEndMakesNoDifference) {
  const std::string page =
      "<!DOCTYPE html PUBLIC 'x' \"y\">\n<html><?pi ?><head>t<script a=b>1 < 2 </b> </scrip>"
      "</sCript ><style></style><!-- a - -- > -- --><!----><!--- a --!>t < u << v<br/><a b\n= 'c>' "
      "d=\"'\" e = f g>t</a></html >t<x y=\"z\">";
  ASSERT_TRUE(is_sure_after(page));
  for (const char* end : {"", "<!--> t <i>", "<p '> t <i>", "<!--- t", "<script>t</script"}) {
    const std::string text = page + end;
    const std::string all = markup_of(text);
    for (std::size_t piece = 1; piece <= 9; ++piece) EXPECT_EQ(markup_of(text, piece), all);
    for (std::size_t at = 1; at < text.size(); ++at) {
      MarkupFilter filter;
      std::string first = text.substr(0, at);
      std::string pieces;
      filter.filter(first, pieces);
      first += text.substr(at);
      filter.finish(first, pieces);
      EXPECT_EQ(pieces, all) << "cut at " << at << " before " << end;
    }
  }
}

TEST_F(CrawlerMarkupTest, Libxml2FindsTheSameLinksInAllOfPythonsDocumentation) {
  const std::filesystem::path tree = "/usr/share/doc/python3.11/html";
  if (!std::filesystem::exists(tree / "index.html")) GTEST_SKIP() << "python3.11-doc is missing";
  std::size_t links = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(tree)) {
    if (entry.path().extension() != ".html") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string page{std::istreambuf_iterator<char>(file), {}};
    Found found = parse(page, 16'000);
    EXPECT_TRUE(found == parse_unfiltered(page)) << entry.path();
    EXPECT_TRUE(is_sure_after(page)) << entry.path();
    links += found.links.size();
  }
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

TEST_F(CrawlerMarkupTest, Libxml2FindsTheSameLinksInWhatIsHardlyAPage) {
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
TEST_F(CrawlerMarkupTest, Libxml2FindsTheSameLinksInALongPageOfOddParts) {
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
