// Wide characters whose input comes in pieces, and wide output that nobody reads yet: the others go
// on, and in the end everything is as natively.

#include "monkey/pieces.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <functional>
#include <string>
#include <thread>

using namespace std::chrono_literals;

// %m is POSIX's, not C++'s.
#pragma GCC diagnostic ignored "-Wformat"

namespace {

// --- wide input -------------------------------------------------------------------------------

constexpr const char* wide_text =
    "gr\xc3\xbc\xc3\x9f"
    "e \xe2\x82\xac \xf0\x9f\x8c\xbf"
    "\nend";

TEST_F(MonkeyPieces, WideCharactersMayComeInPieces) {
  auto characters = [](FILE* file) {
    std::string all;
    for (wint_t next; (next = fgetwc(file)) != WEOF;) {
      all += std::to_string(static_cast<unsigned>(next)) + " ";
      if (next == L'e') {
        EXPECT_EQ(std::ungetwc(L'X', file), static_cast<wint_t>(L'X'));
        EXPECT_EQ(getwc(file), static_cast<wint_t>(L'X'));
      }
    }
    int error = ferror(file) ? errno : 0;
    return all + (feof(file) ? "at the end " : "") + std::to_string(error);
  };
  auto lines = [](FILE* file) {
    std::string all;
    wchar_t line[5];
    while (fgetws(line, 5, file) != nullptr) {
      for (const wchar_t* each = line; *each != L'\0'; ++each)
        all += std::to_string(static_cast<unsigned>(*each)) + " ";
      all += "| ";
    }
    return all + (feof(file) ? "at the end" : "") + (ferror(file) ? "failed" : "");
  };
  for (const char* text : {wide_text, "", "a", "\xff",
                           "ab\xff"
                           "cd"}) {
    for (std::size_t piece : {1, 2, 3}) {
      expect_as_native("fgetwc", text, characters, piece);
      expect_as_native("fgetws", text, lines, piece);
    }
  }
  // Where the last one is not whole it matters to libc how it came.
  for (const char* text : {"a\xc3", "\xc3", "a\xe2\x82", "ab\xe2"}) {
    expect_as_native("fgetwc", text, characters, 9);
    expect_as_native("fgetws", text, lines, 9);
  }
}

TEST_F(MonkeyPieces, ManyWideCharactersAreRead) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += wide_text;
  auto sum = [](FILE* file) {
    unsigned long sum = 0;
    unsigned long count = 0;
    for (wint_t next; (next = fgetwc(file)) != WEOF; ++count) sum = sum * 31 + next;
    return std::to_string(count) + " " + std::to_string(sum);
  };
  text.resize(60'000);  // a pipe holds it
  expect_as_native("a lot", text, sum, 997);
}

TEST_F(MonkeyPieces, WideScanfTakesWhatItTakesNatively) {
  auto take = [](FILE* file) {
    wchar_t word[8] = L"";
    int number = -1;
    int result = fwscanf(file, L"%7ls %d", word, &number);
    return told(result, file, std::to_string(std::wcslen(word)) + " " + std::to_string(number));
  };
  for (const char* text : {"gr\xc3\xbc\xc3\x9f"
                           "e 12 left",
                           "word 12", "word x", "word", "", "a\xc3", "toolongword 5"}) {
    expect_as_native("%7ls %d", text, take);
  }
}

TEST_F(MonkeyPieces, AKillEndsAWideScanfThatHasNothingYet) {
  Piped pipe("r");
  int error = 0;
  auto victim = fern::spawn([&] {
    int value = 0;
    EXPECT_EQ(fwscanf(pipe.file, L"%d", &value), EOF);
    error = errno;
  });
  fern::sleep(1ms);
  EXPECT_FALSE(victim.ready());
  victim.kill();
  EXPECT_TRUE(victim.killed());
  EXPECT_EQ(error, ECANCELED);
}

TEST_F(MonkeyPieces, AKillEndsAWideReader) {
  Piped pipe("r");
  int error = 0;
  auto victim = fern::spawn([&] {
    EXPECT_EQ(fgetwc(pipe.file), WEOF);
    error = errno;
    EXPECT_NE(ferror(pipe.file), 0);
  });
  say(pipe.other, "\xc3");
  fern::sleep(1ms);
  EXPECT_FALSE(victim.ready());
  victim.kill();
  EXPECT_TRUE(victim.killed());
  EXPECT_EQ(error, ECANCELED);
}

// --- wide output ------------------------------------------------------------------------------

// What comes out of the other end, once nothing fits in any more.
std::string read_all(int fd, int& turns) {
  std::string all;
  char bytes[1000];
  for (;;) {
    fern::yield();
    ++turns;
    ssize_t got = read(fd, bytes, sizeof bytes);
    if (got <= 0) return all;
    all.append(bytes, static_cast<std::size_t>(got));
  }
}

void expect_written(int mode, const std::function<void(FILE*)>& put, const std::string& expected) {
  Piped pipe("w");
  std::setvbuf(pipe.file, nullptr, mode, mode == _IONBF ? 0 : 4096);
  std::string got;
  int turns = 0;
  auto reader = fern::spawn([&] { got = read_all(pipe.other, turns); });
  put(pipe.file);
  EXPECT_EQ(fclose(pipe.file), 0);
  pipe.file = nullptr;
  reader.join();
  EXPECT_EQ(got, expected);
  EXPECT_GT(turns, 10);
}

TEST_F(MonkeyPieces, WideOutputParksWhenThePipeIsFull) {
  constexpr int count = 8000;
  std::string lines;
  std::string characters;
  for (int i = 0; i < count; ++i) {
    lines +=
        "gr\xc3\xbc\xc3\x9f"
        "e " +
        std::to_string(i) + " \xf0\x9f\x8c\xbf\n";
    characters += i % 100 == 99 ? "\n" : "\xe2\x82\xac";
  }
  for (int mode : {_IOFBF, _IOLBF, _IONBF}) {
    expect_written(
        mode,
        [](FILE* file) {
          for (int i = 0; i < count; ++i)
            EXPECT_GT(fwprintf(file, L"gr\u00fc\u00dfe %d %lc\n", i, static_cast<wint_t>(0x1f33f)),
                      0);
        },
        lines);
    expect_written(
        mode,
        [](FILE* file) {
          for (int i = 0; i < count; ++i) {
            std::wstring line = L"gr\u00fc\u00dfe " + std::to_wstring(i) + L" \U0001f33f\n";
            EXPECT_GE(fputws(line.c_str(), file), 0);
          }
        },
        lines);
    expect_written(
        mode,
        [](FILE* file) {
          for (int i = 0; i < count; ++i) {
            wchar_t c = i % 100 == 99 ? L'\n' : L'\u20ac';
            EXPECT_EQ(putwc(c, file), static_cast<wint_t>(c));
          }
        },
        characters);
  }
}

TEST_F(MonkeyPieces, ALongWideTextIsWrittenWhole) {
  std::wstring text;
  std::string bytes;
  for (int i = 0; i < 50'000; ++i) {
    text += i % 3 == 0 ? L"\u00e4" : L"a";
    bytes += i % 3 == 0 ? "\xc3\xa4" : "a";
  }
  expect_written(
      _IOFBF, [&](FILE* file) { EXPECT_EQ(fwprintf(file, L"%ls", text.c_str()), 50'000); }, bytes);
}

// Fills a pipe to the last byte.
void fill_up(int fd) {
  fern::monkey::native_scope native;
  int flags = fcntl(fd, F_GETFL);
  fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  char bytes[4096] = {};
  while (::write(fd, bytes, sizeof bytes) > 0 || ::write(fd, bytes, 1) > 0) {
  }
  fcntl(fd, F_SETFL, flags);
}

TEST_F(MonkeyPieces, AKillEndsAWideWriter) {
  auto before = std::signal(SIGPIPE, SIG_IGN);
  for (bool flushed : {false, true}) {
    Piped pipe("w");
    fill_up(fileno(pipe.file));
    int error = 0;
    auto victim = fern::spawn([&] {
      if (flushed) {
        EXPECT_GE(fputws(L"words", pipe.file), 0);
        EXPECT_EQ(fflush(pipe.file), EOF);
      } else {
        std::wstring many(10'000, L'x');
        EXPECT_EQ(fputws(many.c_str(), pipe.file), -1);
      }
      error = errno;
    });
    fern::sleep(1ms);
    EXPECT_FALSE(victim.ready());
    victim.kill();
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(error, ECANCELED);
    pipe.close_other();
  }
  std::signal(SIGPIPE, before);
}

TEST_F(MonkeyPieces, WideCallsOfABytesFileFailAsNatively) {
  Piped pipe("w");
  EXPECT_EQ(fputc('x', pipe.file), 'x');
  EXPECT_EQ(fputwc(L'x', pipe.file), WEOF);
  EXPECT_EQ(fwprintf(pipe.file, L"x"), -1);
  Piped other("r");
  std::fwide(other.file, -1);
  EXPECT_EQ(fgetwc(other.file), WEOF);
}

// --- with others at the same pipe

// A thread fills the pipe whenever there is room: what poll says of it is never true for long. The
// reader is in the hub that must not block.
TEST_F(MonkeyPieces, APipeThatOthersFillKeepsNobodyElse) {
  may_keep_heap("a thread");
  for (int mode : {_IOLBF, _IONBF, _IOFBF}) {
    Piped pipe("w");
    std::setvbuf(pipe.file, nullptr, mode, mode == _IONBF ? 0 : 1024);
    std::atomic<bool> over{false};
    int copy = dup(fileno(pipe.file));
    std::thread filler([&] {
      std::string block(512, '.');
      while (!over) (void)!::write(copy, block.data(), block.size());
      ::close(copy);
    });
    long lines = 0;
    auto reader = fern::spawn([&] {
      char bytes[700];
      for (ssize_t got; (got = read(pipe.other, bytes, sizeof bytes)) > 0;)
        lines += std::count(bytes, bytes + got, '\n');
    });
    constexpr int count = 2000;
    for (int i = 0; i < count; ++i) EXPECT_EQ(fprintf(pipe.file, "%s line\n", "one"), 9);
    EXPECT_EQ(fclose(pipe.file), 0);
    pipe.file = nullptr;
    over = true;
    reader.join();
    filler.join();
    EXPECT_EQ(lines, count);
  }
}

// Two greenlets and two threads take what comes: each line once, and the hub goes on.
TEST_F(MonkeyPieces, APipeThatOthersReadKeepsNobodyElse) {
  may_keep_heap("threads");
  Piped pipe("r");
  std::atomic<int> taken{0};
  int copy = dup(fileno(pipe.file));
  auto steal = [&] {
    char byte = 0;
    while (::read(copy, &byte, 1) == 1) ++taken;
  };
  std::thread first(steal);
  std::thread second(steal);
  auto reader = fern::spawn([&] {
    while (fgetc(pipe.file) != EOF) ++taken;
  });
  constexpr int count = 3000;
  for (int i = 1; i <= count; ++i) {
    say(pipe.other, "x");
    while (taken < i) fern::yield();
  }
  pipe.close_other();
  reader.join();
  first.join();
  second.join();
  ::close(copy);
  EXPECT_EQ(taken, count);
}

// --- libc's own words, and dprintf ------------------------------------------------------------

// Runs with stderr being a full pipe, and gives what came out behind what it was filled with.
std::string on_full_stderr(const std::function<void()>& words, bool kill = false) {
  int fds[2];
  EXPECT_EQ(pipe(fds), 0);
  fflush(stderr);
  int saved = dup(2);
  EXPECT_EQ(dup2(fds[1], 2), 2);
  fill_up(2);
  auto speaker = fern::spawn(words);
  fern::sleep(1ms);
  EXPECT_FALSE(speaker.ready());
  std::string all;
  if (kill) {
    speaker.kill();
  } else {
    char bytes[4096];
    while (!speaker.ready()) {
      ssize_t got = read(fds[0], bytes, sizeof bytes);
      if (got > 0) all.append(bytes, static_cast<std::size_t>(got));
      fern::yield();
    }
  }
  dup2(saved, 2);
  close(saved);
  close(fds[1]);
  if (!kill) {
    char bytes[4096];
    for (ssize_t got; (got = read(fds[0], bytes, sizeof bytes)) > 0;)
      all.append(bytes, static_cast<std::size_t>(got));
  }
  close(fds[0]);
  return all.substr(std::min(all.size(), all.find_last_of('\0') + 1));
}

TEST_F(MonkeyPieces, PerrorAndPsignalParkOnAFullPipe) {
  auto perror_says = [] {
    errno = ENOENT;
    perror("here");
  };
  EXPECT_EQ(on_full_stderr(perror_says), "here: No such file or directory\n");
  EXPECT_EQ(on_full_stderr([] { psignal(SIGINT, "there"); }), "there: Interrupt\n");
  EXPECT_EQ(on_full_stderr([] { perror("never"); }, true), "");
  clearerr(stderr);
}

TEST_F(MonkeyPieces, DprintfParksOnAFullPipe) {
  std::string text(100'000, 'x');
  EXPECT_EQ(on_full_stderr([&] { EXPECT_EQ(dprintf(2, "%s|%d", text.c_str(), 7), 100'002); }),
            text + "|7");
  int error = 0;
  on_full_stderr(
      [&] {
        EXPECT_EQ(dprintf(2, "never"), -1);
        error = errno;
      },
      true);
  EXPECT_EQ(error, ECANCELED);
  EXPECT_EQ(dprintf(-1, "x"), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(dprintf(-1, "%s", ""), 0);
}

TEST_F(MonkeyPieces, WordsOfMachinesComeAndGo) {
  Piped pipe("r");
  auto reader = fern::spawn([&] {
    EXPECT_EQ(getw(pipe.file), 0x01020304);
    EXPECT_EQ(getw(pipe.file), EOF);
  });
  fern::yield();
  EXPECT_FALSE(reader.ready());
  int word = 0x01020304;
  say(pipe.other, {reinterpret_cast<char*>(&word), 2});
  fern::yield();
  say(pipe.other, {reinterpret_cast<char*>(&word) + 2, 2});
  pipe.close_other();
  reader.join();
  Piped out("w");
  EXPECT_EQ(putw(word, out.file), 0);
  EXPECT_EQ(fflush(out.file), 0);
  int got = 0;
  EXPECT_EQ(read(out.other, &got, sizeof got), static_cast<ssize_t>(sizeof got));
  EXPECT_EQ(got, word);
}

}  // namespace
