#include <string>
#include <string_view>
#include <unordered_set>

#include "crawler/url.hpp"
#include "support.hpp"

using crawler::BadUrl;
using crawler::Url;

namespace {

std::string normal(std::string_view text) { return Url::parse(text).text(); }

// The reason why an address is refused, or "" if it is not.
std::string refusal(std::string_view text) {
  try {
    Url::parse(text);
    return "";
  } catch (const BadUrl& error) {
    return error.what();
  }
}

class CrawlerUrlTest : public FernTest {};

TEST_F(CrawlerUrlTest, SchemeAndHostAreLowerCaseAndThePathIsNot) {
  EXPECT_EQ(normal("HTTP://Www.EXAMPLE.com/Some/Page"), "http://www.example.com/Some/Page");
}

TEST_F(CrawlerUrlTest, TheDefaultPortAndAnEmptyPortDisappear) {
  EXPECT_EQ(normal("http://example.com:80/"), "http://example.com/");
  EXPECT_EQ(normal("http://example.com:/"), "http://example.com/");
  EXPECT_EQ(normal("https://example.com:443/"), "https://example.com/");
  EXPECT_EQ(normal("https://example.com:80/"), "https://example.com:80/");
  EXPECT_EQ(normal("http://example.com:0080/"), "http://example.com/");
}

TEST_F(CrawlerUrlTest, AnEmptyPathBecomesASlash) {
  EXPECT_EQ(normal("http://example.com"), "http://example.com/");
  EXPECT_EQ(normal("http://example.com?q"), "http://example.com/?q");
}

TEST_F(CrawlerUrlTest, DotSegmentsAreResolvedAlsoWhenTheyAreEncoded) {
  EXPECT_EQ(normal("http://h/a/./b/../c"), "http://h/a/c");
  EXPECT_EQ(normal("http://h/a/%2e%2E/c"), "http://h/c");
  EXPECT_EQ(normal("http://h/../../c/.."), "http://h/");
  EXPECT_EQ(normal("http://h/a/b/."), "http://h/a/b/");
  EXPECT_EQ(normal("http://h/a//../b"), "http://h/a/b");
}

TEST_F(CrawlerUrlTest, PercentEncodingIsUpperCaseAndOnlyWhereItIsNeeded) {
  EXPECT_EQ(normal("http://h/%7euser/%c3%a9?%41=%2f"), "http://h/~user/%C3%A9?A=%2F");
  EXPECT_EQ(normal("http://h/a b|\"<>\\^`{}"), "http://h/a%20b%7C%22%3C%3E%5C%5E%60%7B%7D");
  EXPECT_EQ(normal("http://h/caf\xC3\xA9"), "http://h/caf%C3%A9");
  EXPECT_EQ(normal("http://h/100%/%zz"), "http://h/100%25/%25zz");
  EXPECT_EQ(normal("http://h/%"), "http://h/%25");
}

TEST_F(CrawlerUrlTest, ANormalFormIsItsOwnNormalForm) {
  for (const char* text : {"http://h/a%2Fb%25c?x=%26&y=/?:@", "http://[::1]:8080/!$&'()*+,;=:@",
                           "http://h//a//b", "http://h/?", "http://h/100%25"}) {
    EXPECT_EQ(normal(text), text);
  }
}

TEST_F(CrawlerUrlTest, FragmentsAndUserNamesAreDropped) {
  EXPECT_EQ(normal("http://h/page?q#part?not-a-query"), "http://h/page?q");
  EXPECT_EQ(normal("http://me:secret@h/"), "http://h/");
  EXPECT_EQ(normal("http://good.example@evil.example/"), "http://evil.example/");
}

TEST_F(CrawlerUrlTest, BlanksAroundAndLineBreaksWithinDoNotCount) {
  EXPECT_EQ(normal(" \t\nhttp://h/lo\n\t ng \r\n"), "http://h/lo%20ng");
}

TEST_F(CrawlerUrlTest, AnEmptyQueryIsAnotherAddressThanNone) {
  EXPECT_NE(Url::parse("http://h/?"), Url::parse("http://h/"));
}

TEST_F(CrawlerUrlTest, ItsPartsAreWhatARequestNeeds) {
  Url url = Url::parse("http://Host:8080/a/b?c=d#e");
  EXPECT_EQ(url.scheme(), "http");
  EXPECT_EQ(url.origin(), "http://host:8080");
  EXPECT_EQ(url.authority(), "host:8080");
  EXPECT_EQ(url.host(), "host");
  EXPECT_EQ(url.port(), 8080);
  EXPECT_EQ(url.path(), "/a/b");
  EXPECT_EQ(url.target(), "/a/b?c=d");
}

TEST_F(CrawlerUrlTest, AnIpv6HostStandsInBracketsAndIsGivenWithoutThem) {
  Url url = Url::parse("http://[2001:DB8::1]:8080/");
  EXPECT_EQ(url.text(), "http://[2001:db8::1]:8080/");
  EXPECT_EQ(url.host(), "2001:db8::1");
  EXPECT_EQ(url.port(), 8080);
}

TEST_F(CrawlerUrlTest, WhatCannotBeAskedForIsRefusedWithAReason) {
  EXPECT_NE(refusal(""), "");
  EXPECT_NE(refusal("example.com/page"), "");
  EXPECT_NE(refusal("//example.com/"), "");
  EXPECT_EQ(refusal("http:"), "no host");
  EXPECT_EQ(refusal("http:///path"), "no host");
  EXPECT_EQ(refusal("http://@:80/"), "no host");
  EXPECT_NE(refusal("http://a b/"), "");
  EXPECT_NE(refusal("http://a%00b/"), "");
  EXPECT_NE(refusal("http://\xC3\xA9.example/"), "");
  EXPECT_NE(refusal("http://[::1/"), "");
  EXPECT_NE(refusal("http://[::1]x:80/"), "");
  EXPECT_NE(refusal("http://[]/"), "");
  for (const char* port : {"0", "65536", "99999999999999999999", "-1", "80a", "a", "+80"}) {
    EXPECT_NE(refusal(std::string("http://h:") + port + "/"), "") << port;
  }
  EXPECT_EQ(refusal("http://h:65535/"), "");
}

TEST_F(CrawlerUrlTest, AnAddressThatGrowsForEverIsRefused) {
  std::string longest = "http://h/" + std::string(Url::max_length - 9, 'a');
  EXPECT_EQ(normal(longest), longest);
  EXPECT_NE(refusal(longest + "a"), "");
}

TEST_F(CrawlerUrlTest, OtherSchemesAreToldFromMistakes) {
  Url base = Url::parse("http://h/");
  for (const char* text : {"mailto:me@h", "javascript:void(0)", "data:,x", "ftp://h/", "tel:+1"}) {
    try {
      base.resolve(text);
      ADD_FAILURE() << text;
    } catch (const BadUrl& error) {
      EXPECT_TRUE(error.other_scheme()) << text;
    }
  }
  try {
    base.resolve("http://h:port/");
    ADD_FAILURE();
  } catch (const BadUrl& error) {
    EXPECT_FALSE(error.other_scheme());
  }
}

struct Example {
  const char* reference;
  const char* expected;
};

// RFC 3986, sections 5.4.1 and 5.4.2, without the fragments that we drop and the other schemes.
TEST_F(CrawlerUrlTest, ReferencesResolveAsInTheExamplesOfTheRfc) {
  Url base = Url::parse("http://a/b/c/d;p?q");
  for (Example e : {
           Example{"g", "http://a/b/c/g"},
           {"./g", "http://a/b/c/g"},
           {"g/", "http://a/b/c/g/"},
           {"/g", "http://a/g"},
           {"//g", "http://g/"},
           {"?y", "http://a/b/c/d;p?y"},
           {"g?y", "http://a/b/c/g?y"},
           {"#s", "http://a/b/c/d;p?q"},
           {"g#s", "http://a/b/c/g"},
           {"g?y#s", "http://a/b/c/g?y"},
           {";x", "http://a/b/c/;x"},
           {"g;x", "http://a/b/c/g;x"},
           {"g;x?y#s", "http://a/b/c/g;x?y"},
           {"", "http://a/b/c/d;p?q"},
           {".", "http://a/b/c/"},
           {"./", "http://a/b/c/"},
           {"..", "http://a/b/"},
           {"../", "http://a/b/"},
           {"../g", "http://a/b/g"},
           {"../..", "http://a/"},
           {"../../", "http://a/"},
           {"../../g", "http://a/g"},
           {"../../../g", "http://a/g"},
           {"../../../../g", "http://a/g"},
           {"/./g", "http://a/g"},
           {"/../g", "http://a/g"},
           {"g.", "http://a/b/c/g."},
           {".g", "http://a/b/c/.g"},
           {"g..", "http://a/b/c/g.."},
           {"..g", "http://a/b/c/..g"},
           {"./../g", "http://a/b/g"},
           {"./g/.", "http://a/b/c/g/"},
           {"g/./h", "http://a/b/c/g/h"},
           {"g/../h", "http://a/b/c/h"},
           {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
           {"g;x=1/../y", "http://a/b/c/y"},
           {"g?y/./x", "http://a/b/c/g?y/./x"},
           {"g?y/../x", "http://a/b/c/g?y/../x"},
           {"g#s/../x", "http://a/b/c/g"},
           {"http:g", "http://a/b/c/g"},
       }) {
    EXPECT_EQ(base.resolve(e.reference).text(), e.expected) << e.reference;
  }
}

TEST_F(CrawlerUrlTest, ReferencesKeepThePortAndMayChangeTheScheme) {
  Url base = Url::parse("http://[::1]:8080/a");
  EXPECT_EQ(base.resolve("b").text(), "http://[::1]:8080/b");
  EXPECT_EQ(base.resolve("https://h/b").text(), "https://h/b");
  EXPECT_EQ(base.resolve("//h:8080").text(), "http://h:8080/");
}

TEST_F(CrawlerUrlTest, AColonInALaterSegmentMakesNoScheme) {
  Url base = Url::parse("http://h/a/b");
  EXPECT_EQ(base.resolve("./c:d").text(), "http://h/a/c:d");
  EXPECT_EQ(base.resolve("1c:d").text(), "http://h/a/1c:d");
  EXPECT_EQ(base.resolve("?c:d").text(), "http://h/a/b?c:d");
}

TEST_F(CrawlerUrlTest, SpellingsOfOneAddressAreOneElementOfASet) {
  std::unordered_set<Url> seen;
  seen.insert(Url::parse("http://h/%7Ea/"));
  seen.insert(Url::parse("HTTP://H:80/b/../~a/#x"));
  EXPECT_EQ(seen.size(), 1U);
}

}  // namespace
