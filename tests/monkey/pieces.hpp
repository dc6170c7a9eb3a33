#pragma once

// A FILE whose input comes in pieces, natively and green.

#include "monkey/patched.hpp"
#include "monkey/piped.hpp"

#include <clocale>
#include <cstdio>
#include <cwchar>
#include <functional>
#include <string>
#include <string_view>

// The rest of what comes, as bytes.
inline std::string rest_of(FILE* file) {
  std::string all;
  bool wide = std::fwide(file, 0) > 0;
  for (;;) {
    wint_t next = wide ? fgetwc(file) : static_cast<wint_t>(fgetc(file));
    if (next == (wide ? WEOF : static_cast<wint_t>(EOF))) return all;
    all += static_cast<char>(next);
  }
}

// What libc loads for a locale stays, and gtest's list of traces.
class Locale : public ::testing::Environment {
 public:
  void SetUp() override {
    SCOPED_TRACE("first");
    ASSERT_NE(std::setlocale(LC_ALL, "C.UTF-8"), nullptr);
    Piped pipe("r");
    say(pipe.other, "x");
    ASSERT_EQ(fgetwc(pipe.file), static_cast<wint_t>(L'x'));
    wchar_t wide[4];
    ASSERT_EQ(std::sscanf("x", "%3ls", wide), 1);
  }
};
[[maybe_unused]] inline ::testing::Environment* const locale =
    ::testing::AddGlobalTestEnvironment(new Locale);

class MonkeyPieces : public MonkeyTest {
 protected:
  // What `take` says of a FILE that this text comes to: natively, all at once, and green, in pieces
  // of so many bytes.
  static void expect_as_native(const char* what, const std::string& text,
                               const std::function<std::string(FILE*)>& take,
                               std::size_t piece = 1) {
    SCOPED_TRACE(std::string(what) + " of: " + text);
    std::string native;
    {
      fern::monkey::native_scope scope;
      Piped pipe("r");
      say(pipe.other, text);
      pipe.close_other();
      native = take(pipe.file);
    }
    Piped pipe("r");
    int others = 0;
    auto speaker = fern::spawn([&] {
      for (std::size_t at = 0; at < text.size(); at += piece) {
        fern::yield();
        ++others;
        say(pipe.other, std::string_view(text).substr(at, piece));
      }
      fern::yield();
      pipe.close_other();
    });
    EXPECT_EQ(take(pipe.file), native);
    speaker.join();
    EXPECT_EQ(others > 0, !text.empty());
  }
};

inline std::string told(int result, FILE* file, const std::string& values) {
  std::string text = std::to_string(result) + "; " + values;
  text += feof(file) ? "; at the end" : "";
  text += ferror(file) ? "; failed" : "";
  return text + "; left: " + rest_of(file);
}
