#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crawler/charset.hpp"
#include "crawler/links.hpp"
#include "support.hpp"

using crawler::CharsetDecoder;
using crawler::LinkParser;

namespace {

using Links = std::vector<std::string>;

struct Found {
  Links links;
  std::string base;
  std::string defect;
};

Found parse(std::string_view page, std::size_t piece = std::string_view::npos,
            std::string_view charset = "") {
  LinkParser parser(charset);
  while (!page.empty()) {
    parser.feed(page.substr(0, piece));
    page.remove_prefix(std::min(piece, page.size()));
  }
  parser.finish();
  return {parser.links(), parser.base().value_or(""), std::string(parser.defect())};
}

Links links_of(std::string_view page, std::string_view charset = "") {
  return parse(page, std::string_view::npos, charset).links;
}

std::string repeated(std::string_view text, std::size_t size) {
  std::string out;
  while (out.size() < size) out += text;
  return out;
}

constexpr std::size_t mebibyte = std::size_t{1024} * 1024;

class CrawlerLinksTest : public FernTest {};

TEST_F(CrawlerLinksTest, TheFiveElementsThatLinkAreFoundInTheirOrder) {
  EXPECT_EQ(links_of("<html><head><link rel=next href='n'></head><body>"
                     "<a href=\"a\">x</a><map><area HREF=b></map><IFRAME src=c></IFRAME>"
                     "<frameset><frame src=d></frameset></body></html>"),
            (Links{"n", "a", "b", "c", "d"}));
}

TEST_F(CrawlerLinksTest, OtherElementsAndOtherAttributesAreNoLinks) {
  EXPECT_EQ(links_of("<img src=a><script src=b></script><form action=c><a name=d><a src=e>"
                     "<iframe href=f></iframe><video src=g></video><a data-href=h>"),
            Links{});
}

TEST_F(CrawlerLinksTest, CharacterReferencesAreRead) {
  EXPECT_EQ(links_of("<a href='?a=1&amp;b=2&#38;c=&#x33;&eacute;'>"),
            Links{"?a=1&b=2&c=3\xC3\xA9"});
}

TEST_F(CrawlerLinksTest, AnEmptyLinkIsALinkAndOneWithoutValueIsNot) {
  EXPECT_EQ(links_of("<a href=''>x</a><a href>y</a>"), Links{""});
}

TEST_F(CrawlerLinksTest, WhatIsWrittenInCommentsAndScriptsIsNoLink) {
  EXPECT_EQ(links_of("<!-- <a href=a> --><script>'<a href=b>'</script><style><a href=c></style>"
                     "<a href=d>"),
            Links{"d"});
}

TEST_F(CrawlerLinksTest, TheFirstBaseWithAnHrefCounts) {
  Found found = parse("<base target=x><base href='/one/'><a href=a><base href='/two/'>");
  EXPECT_EQ(found.base, "/one/");
  EXPECT_EQ(found.links, Links{"a"});
}

TEST_F(CrawlerLinksTest, WherePiecesEndMakesNoDifference) {
  std::string page =
      "\xEF\xBB\xBF<!DOCTYPE html>\n<html><head><script>if (a < 1 && b > 2) x = '</b>';</script>\n"
      "<link href=l1><style>a > b {}</style><script src=s></script><link href='l2' title='a>b'>"
      "</head><body><!-- a -- > <a href=no> --><a href=\"caf\xC3\xA9&amp;x\">\xE2\x82\xAC</a>"
      "<p><a\nhref=a2\n>x</a><table><tr><td><a href=a3>&lt;</table>\xFF<a href=a4></body></html>";
  const Links expected{"l1", "l2", "caf\xC3\xA9&x", "a2", "a3", "a4"};
  for (std::size_t piece = 1; piece <= page.size(); ++piece) {
    EXPECT_EQ(parse(page, piece).links, expected) << "in pieces of " << piece;
  }
  for (std::size_t at = 1; at < page.size(); ++at) {
    LinkParser parser("");
    parser.feed(page.substr(0, at));
    parser.feed(page.substr(at));
    parser.finish();
    EXPECT_EQ(parser.links(), expected) << "in two pieces, cut at " << at;
  }
}

TEST_F(CrawlerLinksTest, ALongPageIsReadToItsEndWhereverItsPiecesEnd) {
  std::string page = "<!DOCTYPE html><html><body>";
  Links expected;
  for (int i = 0; i < 6000; ++i) {
    std::string link = "page-" + std::to_string(i) + "?a>b";
    page += "<p title=\"it's > 'that'\"><a title='\">\" <b>' href=\"" + link + "\">text</a>\n";
    if (i % 10 == 0) page += "<script type='a>b' src=\"s\">if (a<b) '</c>';</script><!-- <' -->";
    expected.push_back(std::move(link));
  }
  for (std::size_t piece : {std::size_t{1}, std::size_t{999}, std::size_t{4096}, page.size()}) {
    EXPECT_EQ(parse(page, piece).links, expected) << "in pieces of " << piece;
  }
}

TEST_F(CrawlerLinksTest, LinksAfterThePagesEndAreRead) {
  EXPECT_EQ(links_of("<html><body><a href=a></body></html><a href=b>"
                     "<html><body><a href=c></body></html></crawler-root><a href=d>"),
            (Links{"a", "b", "c", "d"}));
}

TEST_F(CrawlerLinksTest, TagSoupIsRead) {
  Links links = links_of(
      "</p></x><<a href=a<b>>< <a href='b''c'><a href=\"c\"\"><p <a href=d>"
      "<table><a href=e></td></b></table><a href = f / >&&#;&#xFFFFFFF;");
  for (const char* link : {"a<b", "b", "c", "e", "f"}) {
    EXPECT_EQ(std::count(links.begin(), links.end(), link), 1) << link;
  }
}

TEST_F(CrawlerLinksTest, APageThatBreaksOffSaysSoAndKeepsItsLinks) {
  EXPECT_EQ(parse("<p><a href=a>x</a> 1 < 2").defect, "");
  EXPECT_EQ(parse("").defect, "");
  EXPECT_EQ(parse("plain text & more").defect, "");
  Found found = parse("<p><a href=a>x</a><a href='b");
  EXPECT_NE(found.defect, "");
  EXPECT_EQ(found.links.front(), "a");
  EXPECT_NE(parse("<p><!-- never closed").defect, "");
  EXPECT_NE(parse("<script>never closed").defect, "");
}

TEST_F(CrawlerLinksTest, ZeroBytesAreADefectAndHideNoLinks) {
  using namespace std::string_view_literals;
  Found found = parse("<p>\0\0<a href=a>\0</a><a hr\0ef=b><a href='c\0d'>\0"sv);
  EXPECT_NE(found.defect, "");
  EXPECT_EQ(found.links, (Links{"a",
                                "c\xEF\xBF\xBD"
                                "d"}));
}

TEST_F(CrawlerLinksTest, BytesOfEveryKindAreRead) {
  std::string page;
  unsigned random = 1;
  for (std::size_t i = 0; i < mebibyte; ++i) {
    random = random * 1664525 + 1013904223;
    page +=
        random >> 31 != 0 ? "<>='\"&/!- a"[(random >> 16) % 11] : static_cast<char>(random >> 20);
  }
  parse(page, 1000);
  EXPECT_EQ(links_of(page + "-->\"'></script></style><a href=end>").back(), "end");
}

// Each of these takes a plain parser minutes, or gigabytes.
TEST_F(CrawlerLinksTest, PagesThatOnlyMeanHarmEndSoonAndLetTheNextLinkThrough) {
  std::string distinct = "<a ";
  for (int i = 0; distinct.size() < mebibyte; ++i) distinct += "a" + std::to_string(i) + "=b ";
  const std::vector<std::pair<const char*, std::string>> pages{
      {"elements never closed", repeated("<b>", mebibyte) + repeated("</i>", mebibyte)},
      {"elements opened and others closed", repeated("<b></i><div></x>", mebibyte)},
      {"tables in tables", repeated("<table><tr><td>", mebibyte)},
      {"a tag of different attributes", distinct},
      {"a tag of like attributes", "<a " + repeated("a=b ", mebibyte)},
      {"a value without end", "<a href=\"" + std::string(mebibyte, 'x')},
      {"a name without end", "<" + std::string(mebibyte, 'n')},
      {"a comment without end", "<!--" + repeated("- ", 3 * mebibyte)},
      {"a script without end", "<script>" + repeated("a </b", 3 * mebibyte)},
      {"a document type without end", "<!DOCTYPE " + std::string(mebibyte, 'x')},
      {"nothing but less-than signs", std::string(mebibyte, '<')},
      {"nothing but ampersands", std::string(mebibyte, '&')},
      {"nothing but references", repeated("&unknown;", mebibyte)},
      {"a reference without end", "&" + std::string(mebibyte, 'x')},
      {"pages in pages", repeated("<html><body>x</body></html>", mebibyte)},
      {"the ends of our own root", repeated("</crawler-root>", mebibyte)},
      {"the ends of elements", repeated("</x>", mebibyte)},
      {"text without a tag", repeated("word ", 3 * mebibyte)},
  };
  for (const auto& [name, page] : pages) {
    Links links = parse(page + "\"--></script></x><a href=end>", 3000).links;
    ASSERT_FALSE(links.empty()) << name;
    EXPECT_EQ(links.back(), "end") << name;
  }
}

std::string decode(std::string_view bytes, std::string_view charset) {
  CharsetDecoder decoder(charset);
  std::string text;
  for (char c : bytes) decoder.decode({&c, 1}, text);
  decoder.finish(text);
  return text;
}

class CrawlerCharsetTest : public FernTest {};

TEST_F(CrawlerCharsetTest, TheContentTypesCharsetIsReadByteByByte) {
  EXPECT_EQ(decode("caf\xE9 \x80", "ISO-8859-1"), "caf\xC3\xA9 \xE2\x82\xAC");
  EXPECT_EQ(decode("\x82\xA0", "shift_jis"), "\xE3\x81\x82");
  EXPECT_EQ(decode("caf\xC3\xA9", "utf-8"), "caf\xC3\xA9");
}

TEST_F(CrawlerCharsetTest, AByteOrderMarkCountsMoreThanTheContentType) {
  using namespace std::string_view_literals;
  EXPECT_EQ(decode("\xEF\xBB\xBF\xC3\xA9", "iso-8859-1"), "\xC3\xA9");
  EXPECT_EQ(decode("\xFE\xFF\0a\0b"sv, ""), "ab");
  EXPECT_EQ(decode("\xFF\xFE"
                   "a\0b\0"sv,
                   "utf-8"),
            "ab");
}

TEST_F(CrawlerCharsetTest, AMetaNamesTheCharsetWhenNothingElseDoes) {
  std::string page = "<meta charset=\"iso-8859-1\">\xE9";
  EXPECT_EQ(decode(page, ""), "<meta charset=\"iso-8859-1\">\xC3\xA9");
  EXPECT_EQ(decode("<META content='text/html; CHARSET = cp1251'>\xE9", "").substr(44), "\xD0\xB9");
  EXPECT_EQ(decode("<meta charset=utf-16>\xC3\xA9", "").substr(21), "\xC3\xA9");
  EXPECT_EQ(decode(std::string(2000, ' ') + page, "").substr(2027), "\xC3\xA9");
}

TEST_F(CrawlerCharsetTest, StrayBytesInUtf8AreTakenAsLatin1) {
  EXPECT_EQ(decode("caf\xE9!", ""), "caf\xC3\xA9!");
  EXPECT_EQ(decode("\xC3", ""), "\xC3\x83");
  EXPECT_EQ(decode("\xE2\x82", "utf-8"), "\xC3\xA2\xC2\x82");
  EXPECT_EQ(decode("\xC0\xAF", ""), "\xC3\x80\xC2\xAF");
  EXPECT_EQ(decode("\xED\xA0\x80", ""), "\xC3\xAD\xC2\xA0\xC2\x80");
  EXPECT_EQ(decode("\xF0\x9F\x98\x80", ""), "\xF0\x9F\x98\x80");
}

TEST_F(CrawlerCharsetTest, WhatAnotherCharsetDoesNotHaveIsReplaced) {
  EXPECT_EQ(decode("a\xFF\xFFz", "euc-jp"), "a\xEF\xBF\xBD\xEF\xBF\xBDz");
  EXPECT_EQ(decode("a\x8F", "euc-jp"), "a\xEF\xBF\xBD");
}

TEST_F(CrawlerCharsetTest, AnUnknownCharsetIsReadAsUtf8) {
  EXPECT_EQ(decode("\xC3\xA9", "no-such-charset"), "\xC3\xA9");
  EXPECT_EQ(decode("\xC3\xA9", "x'y z/"), "\xC3\xA9");
}

TEST_F(CrawlerCharsetTest, ZeroBytesAreReplacedAndTold) {
  using namespace std::string_view_literals;
  CharsetDecoder decoder("");
  std::string text;
  decoder.decode("eight by\0t"sv, text);
  decoder.finish(text);
  EXPECT_EQ(text, "eight by\xEF\xBF\xBDt");
  EXPECT_TRUE(decoder.found_zero());
}

}  // namespace
