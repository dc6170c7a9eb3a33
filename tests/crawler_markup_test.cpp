// What a page's parser need not see.

#include "crawler/markup.hpp"

#include <cstddef>
#include <string>
#include <vector>

#include "crawler_markup.hpp"
#include "support.hpp"

using crawler::MarkupFilter;
using fern::testing::is_sure_after;
using fern::testing::markup_of;

namespace {

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

}  // namespace
