// What the crawler's own scanner makes of pages, whole, broken and meant to harm.

#include "crawler/link_scanner.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crawler/links.hpp"
#include "crawler/page.hpp"
#include "crawler_documentation.hpp"
#include "support.hpp"

using crawler::LinkParser;
using crawler::LinkScanner;

namespace {

using Links = std::vector<std::string>;

struct Found {
  Links links;
  std::string base;
  std::string defect;
  bool operator==(const Found&) const = default;
};

template <class Reader>
Found read(std::string_view page, std::size_t piece, std::string_view charset = "") {
  Reader reader(charset);
  while (!page.empty()) {
    reader.feed(page.substr(0, piece));
    page.remove_prefix(std::min(piece, page.size()));
  }
  reader.finish();
  return {reader.links(), reader.base().value_or(""), std::string(reader.defect())};
}

Found scan(std::string_view page, std::size_t piece = std::string_view::npos) {
  return read<LinkScanner>(page, piece);
}

std::string repeated(std::string_view text, std::size_t size) {
  std::string out;
  while (out.size() < size) out += text;
  return out;
}

constexpr std::size_t mebibyte = std::size_t{1024} * 1024;

class CrawlerLinkScannerTest : public FernTest {};

TEST_F(CrawlerLinkScannerTest, TheFiveElementsThatLinkAreFoundInTheirOrder) {
  EXPECT_EQ(scan("<html><head><link rel=next href='n'></head><body>"
                 "<a href=\"a\">x</a><map><area HREF=b></map><IFRAME src=c></IFRAME>"
                 "<frameset><frame src=d></frameset></body></html>")
                .links,
            (Links{"n", "a", "b", "c", "d"}));
}

TEST_F(CrawlerLinkScannerTest, OtherElementsAndOtherAttributesAreNoLinks) {
  EXPECT_EQ(scan("<img src=a><script src=b></script><form action=c><a name=d><a src=e>"
                 "<iframe href=f></iframe><abbr href=g><a data-href=h><a title='href=i'>"
                 "<a title=\"x\" hreflang=en><linker href=j>")
                .links,
            Links{});
}

TEST_F(CrawlerLinkScannerTest, ValuesAreQuotedOrBareAndTheFirstCounts) {
  EXPECT_EQ(scan("<a href = 'a' href=no><a\thref=b/><a\nhref\n=\n\"c > d\"><a title='>' href=e>"
                 "<a href=\"'f'\"><a href='\"g\"'><a class=x href=h?i=j&k>")
                .links,
            (Links{"a", "b/", "c > d", "e", "'f'", "\"g\"", "h?i=j&k"}));
}

TEST_F(CrawlerLinkScannerTest, AnEmptyLinkIsALinkAndOneWithoutValueIsNot) {
  EXPECT_EQ(scan("<a href=''>x</a><a href>y</a><a href href=z>").links, Links{""});
}

TEST_F(CrawlerLinkScannerTest, CharacterReferencesAreRead) {
  EXPECT_EQ(scan("<a href='?a=1&amp;b=2&#38;c=&#x33;&eacute;&#X263a;&thetasym;'>").links,
            Links{"?a=1&b=2&c=3\xC3\xA9\xE2\x98\xBA\xCF\x91"});
  EXPECT_EQ(scan("<a href='?a&b;c&amp&unknown;&;&#;&#x;&'>").links,
            Links{"?a&b;c&amp&unknown;&;&#;&#x;&"});
  EXPECT_EQ(scan("<a href=a&#x110000;b&#99999999999;c&#xD800;d&#0;>").links,
            Links{"a\xEF\xBF\xBD"
                  "b\xEF\xBF\xBD"
                  "c\xEF\xBF\xBD"
                  "d\xEF\xBF\xBD"});
}

TEST_F(CrawlerLinkScannerTest, WhatIsWrittenInCommentsScriptsAndDeclarationsIsNoLink) {
  EXPECT_EQ(scan("<!-- <a href=a> -- > --!> <a href=b> --><!--><a href=1><!-- -- --><a href=2>"
                 "<script>'<a href=c></scrip></b>'</SCRIPT ><a href=3><style><a href=d></style>"
                 "<!DOCTYPE x><?php <a href=e ?><a href=4><script src='</script>'/><a href=5>")
                .links,
            (Links{"1", "2", "3", "4", "5"}));
}

TEST_F(CrawlerLinkScannerTest, TheFirstBaseWithAnHrefCounts) {
  Found found = scan("<base target=x><base href='/one/?a&amp;b'><a href=a><base href='/two/'>");
  EXPECT_EQ(found.base, "/one/?a&b");
  EXPECT_EQ(found.links, Links{"a"});
}

TEST_F(CrawlerLinkScannerTest, WherePiecesEndMakesNoDifference) {
  std::string page =
      "\xEF\xBB\xBF<!DOCTYPE html>\n<html><head><script>if (a < 1 && b > 2) x = '</b>';</script>\n"
      "<link href=l1><style>a > b {}</style><script src=s></script><link href='l2' title='a>b'>"
      "</head><body><!-- a -- > <a href=no> --><a href=\"caf\xC3\xA9&amp;x\">\xE2\x82\xAC</a>"
      "<p><a\nhref=a2\n>x</a><table><tr><td><a href=a3>&lt;</table>\xFF<a href=a4></body></html>";
  const Links expected{"l1", "l2", "caf\xC3\xA9&x", "a2", "a3", "a4"};
  for (std::size_t piece = 1; piece <= page.size(); ++piece) {
    EXPECT_EQ(scan(page, piece).links, expected) << "in pieces of " << piece;
    LinkScanner scanner("");
    scanner.feed(page.substr(0, piece));
    scanner.feed(page.substr(piece));
    scanner.finish();
    EXPECT_EQ(scanner.links(), expected) << "in two pieces, cut at " << piece;
  }
}

TEST_F(CrawlerLinkScannerTest, TagSoupIsRead) {
  Links links = scan(
                    "</p></x><<a href=a<b>>< <a href='b''c'><a href=\"c\"\"><p <a href=d>"
                    "<table><a href=e></td></b></table></ a><a href = f / >&&#;&#xFFFFFFF;")
                    .links;
  EXPECT_EQ(links, (Links{"a<b", "b", "c", "e", "f"}));
}

TEST_F(CrawlerLinkScannerTest, APageThatBreaksOffSaysSoAndKeepsItsLinks) {
  for (const char* whole : {"<p><a href=a>x</a> 1 < 2", "", "plain text & more", "1 <"}) {
    EXPECT_EQ(scan(whole).defect, "") << whole;
  }
  for (const char* broken : {"<p><!-- never closed", "<script>never closed", "<style>a</sty",
                             "<a href='b", "<a", "</b", "<!DOCTYPE"}) {
    EXPECT_NE(scan(std::string("<a href=a>") + broken).defect, "") << broken;
    EXPECT_EQ(scan(std::string("<a href=a>") + broken).links, Links{"a"}) << broken;
  }
}

TEST_F(CrawlerLinkScannerTest, ZeroBytesAreADefectAndHideNoLinks) {
  using namespace std::string_view_literals;
  Found found = scan("<p>\0\0<a href=a>\0</a><a href='c\0d'>\0"sv);
  EXPECT_NE(found.defect, "");
  EXPECT_EQ(found.links, (Links{"a",
                                "c\xEF\xBF\xBD"
                                "d"}));
}

TEST_F(CrawlerLinkScannerTest, OtherCharsetsAreRead) {
  EXPECT_EQ(read<LinkScanner>("<a href=caf\xE9>", 5, "iso-8859-1").links, Links{"caf\xC3\xA9"});
  using namespace std::string_view_literals;
  EXPECT_EQ(scan("\xFF\xFE<\0a\0 \0h\0r\0e\0f\0=\0x\0>\0"sv, 3).links, Links{"x"});
}

TEST_F(CrawlerLinkScannerTest, BytesOfEveryKindAreReadTheSameInPieces) {
  std::string page;
  unsigned random = 1;
  for (std::size_t i = 0; i < mebibyte; ++i) {
    random = random * 1664525 + 1013904223;
    page += random >> 31 != 0 ? "<>='\"&/!- ahref"[(random >> 16) % 15]
                              : static_cast<char>(random >> 20);
  }
  EXPECT_EQ(scan(page, 1000), scan(page));
  EXPECT_EQ(scan(page + "-->\"'></script></style><a href=end>").links.back(), "end");
}

TEST_F(CrawlerLinkScannerTest, PagesThatOnlyMeanHarmEndSoonAndLetTheNextLinkThrough) {
  const std::vector<std::pair<const char*, std::string>> pages{
      {"a tag of attributes", "<a " + repeated("a=b ", mebibyte)},
      {"a value without end", "<a href=\"" + std::string(mebibyte, 'x')},
      {"values without end", repeated("<a href=\"'", mebibyte)},
      {"a bare value without end", "<a href=" + std::string(mebibyte, 'x')},
      {"a name without end", "<" + std::string(mebibyte, 'n')},
      {"a comment without end", "<!--" + repeated("- ", 3 * mebibyte)},
      {"a script without end", "<script>" + repeated("a </b </scrip", 3 * mebibyte)},
      {"a document type without end", "<!DOCTYPE " + std::string(mebibyte, 'x')},
      {"nothing but less-than signs", std::string(mebibyte, '<')},
      {"nothing but ampersands", "<a href='" + std::string(60'000, '&') + "'>"},
      {"nothing but references", "<a href='" + repeated("&unknown;", 60'000) + "'>"},
      {"the ends of elements", repeated("</x>", mebibyte)},
      {"text without a tag", repeated("word ", 3 * mebibyte)},
  };
  for (const auto& [name, page] : pages) {
    Links links = scan(page + "\"--></script></x>'><a href=end>", 3000).links;
    ASSERT_FALSE(links.empty()) << name;
    EXPECT_EQ(links.back(), "end") << name;
  }
}

TEST_F(CrawlerLinkScannerTest, ItFindsWhatLibxml2FindsInAllOfPythonsDocumentation) {
  std::size_t links = 0;
  const bool there = fern::testing::each_page_of_documentation([&](auto& path, auto& page) {
    Found own = read<LinkScanner>(page, 16'000);
    Found libxml2 = read<LinkParser>(page, 16'000);
    EXPECT_TRUE(own == libxml2) << path << ": " << own.links.size() << " links, by libxml2 "
                                << libxml2.links.size();
    links += own.links.size();
  });
  if (!there) GTEST_SKIP() << "python3.11-doc is missing";
  EXPECT_GT(links, 100'000U);
}

TEST_F(CrawlerLinkScannerTest, WhatIsWorthResolvingOfAPageDiffersByMoreThanTheFragment) {
  for (bool libxml2 : {false, true}) {
    crawler::Page page(libxml2, "utf-8");
    page.feed("<a href='a#1'><a href='#2'><a href='a'><a href='b #3'><a href='b '><a href='#4'>");
    page.finish();
    EXPECT_EQ(page.links().size(), 6U);
    // "b #3" is "b%20", and "b " is "b": blanks are dropped at the ends.
    EXPECT_EQ(page.references(), (std::vector<std::string_view>{"a#1", "#2", "b #3", "b "}));
  }
}

}  // namespace
