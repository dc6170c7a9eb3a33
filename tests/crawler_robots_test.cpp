#include <string>
#include <string_view>

#include "crawler/robots.hpp"
#include "crawler/url.hpp"
#include "support.hpp"

using crawler::Robots;
using crawler::Url;

namespace {

constexpr std::string_view us = "FernCrawler/1.0 (+test)";

bool allows(const Robots& robots, std::string_view target) {
  return robots.allows(Url::parse("http://h" + std::string(target)));
}

bool allows(std::string_view text, std::string_view target) {
  return allows(Robots::parse(text, us), target);
}

class CrawlerRobotsTest : public FernTest {};

TEST_F(CrawlerRobotsTest, AnEmptyFileAllowsEverything) {
  EXPECT_TRUE(allows("", "/"));
  EXPECT_TRUE(allows("\r\n\n# only a comment", "/a"));
  EXPECT_TRUE(allows("<html>not found</html>", "/a"));
}

TEST_F(CrawlerRobotsTest, ARuleIsAPrefixAndCaseCounts) {
  const char* text = "user-agent: *\ndisallow: /private\n";
  EXPECT_FALSE(allows(text, "/private"));
  EXPECT_FALSE(allows(text, "/private/a?b"));
  EXPECT_FALSE(allows(text, "/privately"));
  EXPECT_TRUE(allows(text, "/Private"));
  EXPECT_TRUE(allows(text, "/"));
}

TEST_F(CrawlerRobotsTest, TheLongestMatchDecides) {
  const char* text =
      "User-Agent: *\nDisallow: /a\nAllow: /a/open\nDisallow: /a/open/secret\nAllow: /a/open/s\n";
  EXPECT_FALSE(allows(text, "/a/x"));
  EXPECT_TRUE(allows(text, "/a/open/x"));
  EXPECT_FALSE(allows(text, "/a/open/secret/x"));
}

TEST_F(CrawlerRobotsTest, OfTwoMatchesAsLongTheOneThatAllowsDecides) {
  EXPECT_TRUE(allows("user-agent: *\ndisallow: /a\nallow: /a\n", "/a"));
  EXPECT_TRUE(allows("user-agent: *\nallow: /a\ndisallow: /a\n", "/a"));
}

TEST_F(CrawlerRobotsTest, OurOwnGroupCountsInsteadOfTheOneForAll) {
  const char* text = "user-agent: *\ndisallow: /\n\nuser-agent: ferncrawler\ndisallow: /no\n";
  EXPECT_TRUE(allows(text, "/yes"));
  EXPECT_FALSE(allows(text, "/no"));
  EXPECT_FALSE(allows(Robots::parse(text, "Other"), "/yes"));
}

TEST_F(CrawlerRobotsTest, OurOwnGroupWithoutRulesAllowsEverything) {
  EXPECT_TRUE(allows("user-agent: *\ndisallow: /\nuser-agent: FernCrawler\ndisallow:\n", "/a"));
  EXPECT_TRUE(allows("user-agent: FernCrawler\n", "/a"));
}

TEST_F(CrawlerRobotsTest, GroupsForTheSameAgentCountTogether) {
  const char* text =
      "user-agent: FernCrawler\ndisallow: /a\nuser-agent: x\ndisallow: /x\n"
      "user-agent: FERNCRAWLER/2.1\ndisallow: /b\n";
  EXPECT_FALSE(allows(text, "/a"));
  EXPECT_FALSE(allows(text, "/b"));
  EXPECT_TRUE(allows(text, "/x"));
}

TEST_F(CrawlerRobotsTest, AgentsThatFollowEachOtherShareTheirRules) {
  const char* text =
      "user-agent: x\nuser-agent: FernCrawler\nSitemap: http://h/map\nuser-agent: y\ndisallow: /a\n"
      "user-agent: z\ndisallow: /b\n";
  EXPECT_FALSE(allows(text, "/a"));
  EXPECT_TRUE(allows(text, "/b"));
}

TEST_F(CrawlerRobotsTest, ANameThatOnlyBeginsLikeOursIsSomebodyElse) {
  EXPECT_TRUE(allows("user-agent: FernCrawlerNews\ndisallow: /\n", "/a"));
  EXPECT_TRUE(allows("user-agent: Fern\ndisallow: /\n", "/a"));
}

TEST_F(CrawlerRobotsTest, AStarStandsForAnythingAndADollarForTheEnd) {
  EXPECT_FALSE(allows("user-agent: *\ndisallow: /*.pdf$\n", "/a/b.pdf"));
  EXPECT_TRUE(allows("user-agent: *\ndisallow: /*.pdf$\n", "/a/b.pdf?x"));
  EXPECT_FALSE(allows("user-agent: *\ndisallow: /*.pdf\n", "/a/b.pdf?x"));
  EXPECT_FALSE(allows("user-agent: *\ndisallow: *\n", "/a"));
  EXPECT_FALSE(allows("user-agent: *\ndisallow: /a*b*c$\n", "/abbcxc"));
  EXPECT_TRUE(allows("user-agent: *\ndisallow: /a*b*c$\n", "/acb"));
  EXPECT_FALSE(allows("user-agent: *\ndisallow: /$\n", "/"));
  EXPECT_TRUE(allows("user-agent: *\ndisallow: /$\n", "/a"));
  EXPECT_FALSE(allows("user-agent: *\ndisallow: /ab*ba$\n", "/abba"));
  EXPECT_TRUE(allows("user-agent: *\ndisallow: /aba*ba$\n", "/aba"));
  EXPECT_FALSE(allows("user-agent: *\ndisallow: /a*$\n", "/a"));
}

TEST_F(CrawlerRobotsTest, ManyStarsCostLittle) {
  std::string text = "user-agent: *\ndisallow: /";
  for (int i = 0; i < 1000; ++i) text += "*a";
  EXPECT_TRUE(allows(text + "*b\n", "/" + std::string(4000, 'a')));
}

TEST_F(CrawlerRobotsTest, PercentEncodingIsComparedInNormalForm) {
  EXPECT_FALSE(allows("user-agent: *\ndisallow: /caf\xC3\xA9\n", "/caf%c3%a9"));
  EXPECT_FALSE(allows("user-agent: *\ndisallow: /caf%c3%a9\n", "/caf\xC3\xA9"));
  EXPECT_FALSE(allows("user-agent: *\ndisallow: /%7Ejoe\n", "/~joe"));
  EXPECT_TRUE(allows("user-agent: *\ndisallow: /a%2fb\n", "/a/b"));
}

TEST_F(CrawlerRobotsTest, AnEncodedStarOrDollarIsItself) {
  EXPECT_FALSE(allows("user-agent: *\ndisallow: /a%2Ab\n", "/a*b"));
  EXPECT_TRUE(allows("user-agent: *\ndisallow: /a%2Ab\n", "/axb"));
  EXPECT_FALSE(allows("user-agent: *\ndisallow: /a%24\n", "/a$b"));
}

TEST_F(CrawlerRobotsTest, LinesEndAsTheyLikeAndCommentsAndBlanksDoNotCount) {
  EXPECT_FALSE(allows("\xEF\xBB\xBFUser-agent:*\rDISALLOW :\t/a # why\r", "/a"));
  EXPECT_FALSE(allows("  user-agent : * # all\r\n  disallow:/a", "/a"));
  EXPECT_TRUE(allows("user-agent: *\n#disallow: /a", "/a"));
}

TEST_F(CrawlerRobotsTest, RulesBeforeAnyAgentAreNobodys) {
  EXPECT_TRUE(allows("disallow: /\nuser-agent: *\nallow: /b\n", "/a"));
}

TEST_F(CrawlerRobotsTest, TheFileItselfIsAlwaysAllowed) {
  EXPECT_TRUE(allows("user-agent: *\ndisallow: /\n", "/robots.txt"));
}

TEST_F(CrawlerRobotsTest, TheStatusDecidesWhetherThereAreRules) {
  const char* text = "user-agent: *\ndisallow: /a\n";
  EXPECT_FALSE(allows(Robots::from_answer(200, text, us), "/a"));
  EXPECT_TRUE(allows(Robots::from_answer(404, text, us), "/a"));
  EXPECT_TRUE(allows(Robots::from_answer(403, text, us), "/a"));
  EXPECT_TRUE(allows(Robots::from_answer(301, text, us), "/a"));
  EXPECT_FALSE(allows(Robots::from_answer(503, "", us), "/"));
  EXPECT_FALSE(allows(Robots::from_answer(500, text, us), "/b"));
}

TEST_F(CrawlerRobotsTest, OnlyTheFirstHalfMebibyteIsRead) {
  std::string text = "user-agent: *\ndisallow: /a\n" + std::string(Robots::max_size, '#');
  text += "\ndisallow: /b\n";
  EXPECT_FALSE(allows(text, "/a"));
  EXPECT_TRUE(allows(text, "/b"));
}

}  // namespace
