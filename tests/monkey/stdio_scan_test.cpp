// scanf whose input comes in pieces: the others go on, and in the end everything is as natively.

#include "monkey/pieces.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <string>

using namespace std::chrono_literals;

// %m is POSIX's, not C++'s.
#pragma GCC diagnostic ignored "-Wformat"

namespace {

class MonkeyScan : public MonkeyPieces {};

TEST_F(MonkeyScan, ScanfTakesWhatItTakesNatively) {
  auto numbers = [](FILE* file) {
    int a = -1;
    int b = -1;
    int n = -1;
    int result = fscanf(file, "%d %d%n", &a, &b, &n);
    return told(result, file,
                std::to_string(a) + " " + std::to_string(b) + " " + std::to_string(n));
  };
  for (const char* text : {"12 34 56", "12\n\n 34\nmore", "12", "12 x", "x", "", " \n", "12 34",
                           "-7+8", "--7", "99999999999999999999 1\n", "0x1f 077"}) {
    expect_as_native("%d %d%n", text, numbers);
  }
  auto words = [](FILE* file) {
    char a[8] = "";
    char b[8] = "";
    int result = fscanf(file, "%7s%*[ ]%3[a-f]", a, b);
    return told(result, file, std::string(a) + "," + b);
  };
  for (const char* text : {"word abc", "toolongword abc", "w  defghi", "w xyz", "w", ""}) {
    expect_as_native("%7s%*[ ]%3[a-f]", text, words);
  }
  auto floating = [](FILE* file) {
    double value = -1;
    char next = '-';
    int result = fscanf(file, "%lf%c", &value, &next);
    return told(result, file, std::to_string(value) + next);
  };
  for (const char* text : {"1.5e3x", "1.5e", "1.5ex", "1.5e+x", "nan(1)z", "nan(", "inf!", "infi",
                           "infinity.", "0x1.8p2;", "0x", "-.5 ", ".", "-", "1e5", "nanx"}) {
    expect_as_native("%lf%c", text, floating);
  }
  auto literal = [](FILE* file) {
    int value = -1;
    int result = fscanf(file, "key = %i ;", &value);
    return told(result, file, std::to_string(value));
  };
  for (const char* text : {"key = 010 ; rest", "key=7;", "key 8", "kay", "key = 9 ", "k"}) {
    expect_as_native("key = %i ;", text, literal);
  }
  auto allocated = [](FILE* file) {
    char* word = nullptr;
    wchar_t wide[8] = L"";
    int result = fscanf(file, "%ms %7ls", &word, wide);
    std::string text = word == nullptr ? "none" : word;
    std::free(word);
    return told(result, file, text + " " + std::to_string(std::wcslen(wide)));
  };
  for (const char* text : {"word gr\xc3\xbc\xc3\x9f"
                           "e x",
                           "word gr\xc3", "word", "", "\xc3\xa4 \xff"}) {
    expect_as_native("%ms %7ls", text, allocated);
  }
}

TEST_F(MonkeyScan, ScanfTakesMoreThanAFileHasBuffer) {
  std::string text = std::string(20'000, 'a') + " 7 rest";
  auto take = [](FILE* file) {
    char* word = nullptr;
    int value = -1;
    int result = fscanf(file, "%ms%d", &word, &value);
    std::size_t size = word == nullptr ? 0 : std::strlen(word);
    std::free(word);
    return told(result, file, std::to_string(size) + " " + std::to_string(value));
  };
  expect_as_native("a long word", text, take, 777);
}

TEST_F(MonkeyScan, ScanfAndTheOtherCallsReadOnWhereItEnded) {
  Piped pipe("r");
  auto speaker = fern::spawn([&] {
    for (const char* each : {"1", "2 ab", "c\nli", "ne\n4", "5", "\n"}) {
      fern::yield();
      say(pipe.other, each);
    }
    pipe.close_other();
  });
  int number = 0;
  char word[16];
  ASSERT_EQ(std::ungetc('9', pipe.file), '9');
  EXPECT_EQ(fscanf(pipe.file, "%d", &number), 1);
  EXPECT_EQ(number, 912);
  EXPECT_EQ(fgetc(pipe.file), ' ');
  EXPECT_EQ(fscanf(pipe.file, "%15s", word), 1);
  EXPECT_STREQ(word, "abc");
  EXPECT_EQ(fgetc(pipe.file), '\n');
  ASSERT_NE(fgets(word, sizeof word, pipe.file), nullptr);
  EXPECT_STREQ(word, "line\n");
  EXPECT_EQ(fscanf(pipe.file, "%d", &number), 1);
  EXPECT_EQ(number, 45);
  EXPECT_EQ(fscanf(pipe.file, "%d", &number), EOF);
  EXPECT_NE(feof(pipe.file), 0);
  speaker.join();
}

TEST_F(MonkeyScan, AKillEndsAScanfInTheMiddleOfItsNumber) {
  Piped pipe("r");
  int error = 0;
  auto victim = fern::spawn([&] {
    int a = 0;
    int b = 0;
    EXPECT_EQ(fscanf(pipe.file, "%d %d", &a, &b), 2);
    EXPECT_EQ(b, 23);
    EXPECT_NE(ferror(pipe.file), 0);
    EXPECT_EQ(fscanf(pipe.file, "%d", &a), EOF);
    error = errno;
  });
  say(pipe.other, "1 23");
  fern::sleep(1ms);
  EXPECT_FALSE(victim.ready());
  victim.kill();
  EXPECT_TRUE(victim.killed());
  EXPECT_EQ(error, ECANCELED);
}

TEST_F(MonkeyScan, ScanfOfANonBlockingFileSaysSo) {
  Piped pipe("r");
  ASSERT_EQ(fcntl(fileno(pipe.file), F_SETFL, O_NONBLOCK), 0);
  int value = 0;
  EXPECT_EQ(fscanf(pipe.file, "%d", &value), EOF);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_NE(ferror(pipe.file), 0);
}

// libc's scanf notes a function for its thread to call if that ends in there.
TEST_F(MonkeyScan, NothingIsLeftToCallOfScanfsThatEndInTheOrderInWhichTheyBegan) {
  may_keep_heap("hubs are kept");
  fern::Event unwound;
  std::thread thread([&] {
    struct Unwinds {
      fern::Event& told;
      ~Unwinds() { told.set(); }
    } unwinds{unwound};
    Piped one("r");
    Piped other("r");
    auto reader = [](FILE* file) {
      return fern::spawn([file] {
        int value = 0;
        EXPECT_EQ(fscanf(file, "%d", &value), 1);
      });
    };
    auto first = reader(one.file);
    auto second = reader(other.file);
    fern::yield();
    say(one.other, "1\n");
    first.join();
    say(other.other, "2\n");
    second.join();
    // Their stacks become somebody else's.
    auto write = [] {
      volatile char room[16384];
      for (volatile char& each : room) each = 0x55;
      fern::yield();
    };
    fern::joinall({fern::spawn(write), fern::spawn(write)});
    ::pthread_exit(nullptr);
  });
  // The hub runs meanwhile: closing a descriptor tells it.
  EXPECT_TRUE(unwound.wait());
  thread.join();
}

}  // namespace
