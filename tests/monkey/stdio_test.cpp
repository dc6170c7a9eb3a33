// stdio on pipes and sockets parks, and reads and writes what the native calls do.

#include "monkey/patched.hpp"
#include "monkey/piped.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

class MonkeyStdio : public MonkeyTest {
 protected:
  // Says each part when the reader has had its turn, and ends the pipe.
  static auto speaker(Piped& pipe, std::vector<std::string> parts) {
    return fern::spawn([&pipe, parts] {
      for (const std::string& part : parts) {
        for (int i = 0; i < 3; ++i) fern::yield();
        say(pipe.other, part);
      }
      fern::yield();
      pipe.close_other();
    });
  }
};

TEST_F(MonkeyStdio, FgetsLetsTheWriterRunAndPutsLinesTogether) {
  Piped pipe("r");
  auto other = speaker(pipe, {"on", "e\ntwo\nth", "ree"});
  char line[64];
  ASSERT_NE(fgets(line, sizeof line, pipe.file), nullptr);
  EXPECT_STREQ(line, "one\n");
  ASSERT_NE(fgets(line, sizeof line, pipe.file), nullptr);
  EXPECT_STREQ(line, "two\n");
  ASSERT_NE(fgets(line, sizeof line, pipe.file), nullptr);
  EXPECT_STREQ(line, "three");
  EXPECT_TRUE(feof(pipe.file));
  EXPECT_EQ(fgets(line, sizeof line, pipe.file), nullptr);
  EXPECT_FALSE(ferror(pipe.file));
  other.join();
}

TEST_F(MonkeyStdio, FgetsTakesNoMoreThanThereIsRoomFor) {
  Piped pipe("r");
  auto other = speaker(pipe, {"ab", "cdef", "gh\n"});
  char line[5];
  ASSERT_NE(fgets(line, sizeof line, pipe.file), nullptr);
  EXPECT_STREQ(line, "abcd");
  ASSERT_NE(fgets(line, 1, pipe.file), nullptr);
  EXPECT_STREQ(line, "");
  ASSERT_NE(fgets(line, sizeof line, pipe.file), nullptr);
  EXPECT_STREQ(line, "efgh");
  ASSERT_NE(fgets(line, sizeof line, pipe.file), nullptr);
  EXPECT_STREQ(line, "\n");
  other.join();
}

TEST_F(MonkeyStdio, GetlineGrowsItsLine) {
  Piped pipe("r");
  std::string longest(10'000, 'x');
  auto other = speaker(pipe, {"short\n", longest, "\nrest"});
  char* line = nullptr;
  std::size_t capacity = 0;
  EXPECT_EQ(getline(&line, &capacity, pipe.file), 6);
  EXPECT_EQ(getline(&line, &capacity, pipe.file), 10'001);
  EXPECT_EQ(line, longest + '\n');
  EXPECT_GE(capacity, 10'002u);
  EXPECT_EQ(getdelim(&line, &capacity, 's', pipe.file), 3);
  EXPECT_STREQ(line, "res");
  EXPECT_EQ(getline(&line, &capacity, pipe.file), 1);
  EXPECT_EQ(getline(&line, &capacity, pipe.file), -1);
  EXPECT_TRUE(feof(pipe.file));
  std::free(line);
  other.join();
}

TEST_F(MonkeyStdio, FreadWaitsForAllAndReturnsWholeItems) {
  Piped pipe("r");
  auto other = speaker(pipe, {"abc", "defg", "hij"});
  char bytes[16] = {};
  EXPECT_EQ(fread(bytes, 2, 3, pipe.file), 3u);
  EXPECT_EQ(std::string(bytes, 6), "abcdef");
  EXPECT_EQ(fread(bytes, 3, 5, pipe.file), 1u);
  EXPECT_EQ(std::string(bytes, 4), "ghij");
  EXPECT_TRUE(feof(pipe.file));
  other.join();
}

TEST_F(MonkeyStdio, CharactersCanBePutBack) {
  Piped pipe("r");
  auto other = speaker(pipe, {"ab", "c"});
  EXPECT_EQ(getc(pipe.file), 'a');
  EXPECT_EQ(ungetc('X', pipe.file), 'X');
  EXPECT_EQ(fgetc(pipe.file), 'X');
  EXPECT_EQ(getc_unlocked(pipe.file), 'b');
  EXPECT_EQ(getc_unlocked(pipe.file), 'c');
  EXPECT_EQ(getc_unlocked(pipe.file), EOF);
  other.join();
}

TEST_F(MonkeyStdio, WhatWasPutBackIsPartOfTheLine) {
  Piped pipe("r");
  auto other = speaker(pipe, {"abc", "d\n"});
  EXPECT_EQ(getc(pipe.file), 'a');
  ungetc('Y', pipe.file);
  char line[16];
  ASSERT_NE(fgets(line, sizeof line, pipe.file), nullptr);
  EXPECT_STREQ(line, "Ybcd\n");
  other.join();
}

TEST_F(MonkeyStdio, FscanfWaitsForWhatItNeeds) {
  Piped pipe("r");
  auto other = speaker(pipe, {"1", "2 wo", "rd\n", "34\n", "\n", "  56\n"});
  int number = 0;
  char word[16];
  EXPECT_EQ(fscanf(pipe.file, "%d %15s", &number, word), 2);
  EXPECT_EQ(number, 12);
  EXPECT_STREQ(word, "word");
  EXPECT_EQ(fscanf(pipe.file, "%d", &number), 1);
  EXPECT_EQ(number, 34);
  EXPECT_EQ(fscanf(pipe.file, "%d", &number), 1);
  EXPECT_EQ(number, 56);
  EXPECT_EQ(fscanf(pipe.file, "%d", &number), EOF);
  other.join();
}

TEST_F(MonkeyStdio, WideCharactersPark) {
  Piped pipe("r");
  auto other = speaker(pipe, {"a", "b\nc"});
  EXPECT_EQ(fgetwc(pipe.file), L'a');
  wchar_t line[8];
  ASSERT_NE(fgetws(line, 8, pipe.file), nullptr);
  EXPECT_EQ(std::wcscmp(line, L"b\n"), 0);
  EXPECT_EQ(fgetwc(pipe.file), static_cast<wint_t>(L'c'));
  EXPECT_EQ(fgetwc(pipe.file), WEOF);
  other.join();
}

TEST_F(MonkeyStdio, TwoReadersOfOneFileGetWholeLines) {
  Piped pipe("r");
  std::vector<std::string> lines;
  auto reader = [&] {
    char line[64];
    while (fgets(line, sizeof line, pipe.file) != nullptr) lines.emplace_back(line);
  };
  auto first = fern::spawn(reader);
  auto second = fern::spawn(reader);
  auto other = speaker(pipe, {"on", "e\n", "tw", "o\nth", "ree\n", "four\n"});
  fern::joinall({first, second, other});
  EXPECT_EQ(lines, (std::vector<std::string>{"one\n", "two\n", "three\n", "four\n"}));
}

TEST_F(MonkeyStdio, AKillEndsAReaderWithAnError) {
  Piped pipe("r");
  int error = 0;
  bool flagged = false;
  auto victim = fern::spawn([&] {
    char line[64];
    EXPECT_EQ(fgets(line, sizeof line, pipe.file), nullptr);
    error = errno;
    flagged = ferror(pipe.file) != 0;
  });
  fern::yield();
  victim.kill();
  EXPECT_EQ(error, ECANCELED);
  EXPECT_TRUE(flagged);
  clearerr(pipe.file);
  say(pipe.other, "still works\n");
  char line[64];
  EXPECT_NE(fgets(line, sizeof line, pipe.file), nullptr);
}

TEST_F(MonkeyStdio, NonBlockingFilesSaySo) {
  Piped pipe("r");
  fcntl(fileno(pipe.file), F_SETFL, O_NONBLOCK);
  char line[8];
  EXPECT_EQ(fgets(line, sizeof line, pipe.file), nullptr);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_TRUE(ferror(pipe.file));
}

TEST_F(MonkeyStdio, AFileThatCannotBeReadFails) {
  Piped pipe("w");
  EXPECT_EQ(fgetc(pipe.file), EOF);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(MonkeyStdio, RegularFilesAreNative) {
  FILE* file = tmpfile();
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(fprintf(file, "%s %d\n", "line", 1), 7);
  EXPECT_EQ(fputs("two\n", file), 1);
  rewind(file);
  char line[16];
  ASSERT_NE(fgets(line, sizeof line, file), nullptr);
  EXPECT_STREQ(line, "line 1\n");
  EXPECT_EQ(fread(line, 1, sizeof line, file), 4u);
  EXPECT_EQ(fclose(file), 0);
}

TEST_F(MonkeyStdio, WhatIsWrittenIntoAFileStandsWhereItWasSought) {
  FILE* file = tmpfile();
  ASSERT_NE(file, nullptr);
  const std::string digits(100, '.');
  ASSERT_EQ(fwrite(digits.data(), 1, digits.size(), file), digits.size());
  rewind(file);
  char read[10];
  ASSERT_EQ(fread(read, 1, sizeof read, file), sizeof read);
  ASSERT_EQ(fseek(file, 5, SEEK_SET), 0);
  ASSERT_EQ(fwrite("XYZ", 1, 3, file), 3u);
  EXPECT_EQ(fflush(file), 0);
  EXPECT_EQ(ftell(file), 8);
  rewind(file);
  char all[128];
  ASSERT_EQ(fread(all, 1, sizeof all, file), digits.size());
  EXPECT_EQ(std::string(all, digits.size()), std::string(digits).replace(5, 3, "XYZ"));
  EXPECT_EQ(fclose(file), 0);
}

// What a greenlet reads from the pipe until it ends, slowly.
auto listener(Piped& pipe) {
  return fern::spawn([&pipe] {
    std::string all;
    char part[1000];
    fcntl(pipe.other, F_SETFL, O_NONBLOCK);
    for (;;) {
      ssize_t size = read(pipe.other, part, sizeof part);
      if (size == 0 || (size < 0 && errno != EAGAIN)) break;
      if (size > 0) all.append(part, static_cast<std::size_t>(size));
      fern::yield();
    }
    return all;
  });
}

TEST_F(MonkeyStdio, WritersOfMoreThanAPipeHoldsPark) {
  for (int mode : {_IOFBF, _IONBF, _IOLBF}) {
    Piped pipe("w");
    std::vector<char> buffer(BUFSIZ);
    setvbuf(pipe.file, mode == _IONBF ? nullptr : buffer.data(), mode, buffer.size());
    std::string expected;
    auto writer = fern::spawn([&] {
      std::string block(100'000, 'b');
      EXPECT_EQ(fwrite(block.data(), 1, block.size(), pipe.file), block.size());
      expected += block;
      for (int i = 0; i < 3'000; ++i) {
        int size = fprintf(pipe.file, "line %d of many\n", i);
        expected += "line " + std::to_string(i) + " of many\n";
        EXPECT_GT(size, 14);
      }
      EXPECT_EQ(fputs("last", pipe.file), 1);
      EXPECT_EQ(putc('.', pipe.file), '.');
      EXPECT_EQ(fprintf(pipe.file, "%700d", 7), 700);
      expected += "last." + std::string(699, ' ') + "7";
      EXPECT_EQ(fclose(pipe.file), 0);
      pipe.file = nullptr;
    });
    fern::yield();
    EXPECT_FALSE(writer.dead()) << mode;
    auto reader = listener(pipe);
    writer.join();
    EXPECT_EQ(reader.get(), expected) << mode;
  }
}

TEST_F(MonkeyStdio, TwoWritersOfOneFileKeepTheirBlocksTogether) {
  Piped pipe("w");
  auto writer = [&](char c) {
    return fern::spawn([&pipe, c] {
      std::string block(100'000, c);
      EXPECT_EQ(fwrite(block.data(), 1, block.size(), pipe.file), block.size());
      EXPECT_EQ(fputc('\n', pipe.file), '\n');
    });
  };
  auto first = writer('1');
  auto second = writer('2');
  auto last = fern::spawn([&] {
    fern::joinall({first, second});
    fclose(pipe.file);
    pipe.file = nullptr;
  });
  fern::yield();
  EXPECT_FALSE(second.dead());
  std::string all = listener(pipe).get();
  EXPECT_EQ(all.find_last_of('1'), all.find_first_of('2') - 1);
  EXPECT_EQ(all.size(), 200'002u);
  last.join();
}

TEST_F(MonkeyStdio, FflushParksAndAKillLeavesTheRestInTheBuffer) {
  Piped pipe("w");
  std::string full(1 << 16, 'f');
  say(pipe.other >= 0 ? fileno(pipe.file) : -1, full);
  fputs("rest", pipe.file);
  int error = 0;
  auto victim = fern::spawn([&] {
    EXPECT_EQ(fflush(pipe.file), EOF);
    error = errno;
  });
  fern::yield();
  EXPECT_FALSE(victim.dead());
  victim.kill();
  EXPECT_EQ(error, ECANCELED);
  std::vector<char> got(1 << 16);
  EXPECT_EQ(read(pipe.other, got.data(), got.size()), 1 << 16);
  clearerr(pipe.file);
  EXPECT_EQ(fflush(pipe.file), 0);
  EXPECT_EQ(read(pipe.other, got.data(), got.size()), 4);
}

TEST_F(MonkeyStdio, WritingToNobodyIsEpipe) {
  auto* before = signal(SIGPIPE, SIG_IGN);
  Piped pipe("w");
  pipe.close_other();
  EXPECT_EQ(fputs("x", pipe.file), 1);
  EXPECT_EQ(fflush(pipe.file), EOF);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_TRUE(ferror(pipe.file));
  EXPECT_EQ(fputs("y", pipe.file), 1);
  EXPECT_EQ(fclose(pipe.file), EOF);
  pipe.file = nullptr;
  signal(SIGPIPE, before);
}

TEST_F(MonkeyStdio, ASocketsFileWritesWhatItHasBeforeItReads) {
  Pair pair;
  auto server = fern::spawn([&] {
    char byte;
    EXPECT_EQ(recv(pair[1], &byte, 1, 0), 1);
    EXPECT_EQ(byte, 'q');
    send(pair[1], "answer\n", 7, 0);
  });
  FILE* file = fdopen(pair[0], "r+");
  fputs("q", file);
  char line[16];
  ASSERT_NE(fgets(line, sizeof line, file), nullptr);
  EXPECT_STREQ(line, "answer\n");
  server.join();
  fclose(file);
  pair.ends[0] = -1;
}

TEST_F(MonkeyStdio, ManyGreenletsReadTheirChildren) {
  int lines = 0;
  std::vector<fern::Greenlet<void>> readers;
  for (int i = 0; i < 4; ++i) {
    readers.push_back(fern::spawn([&lines] {
      int fds[2];
      ASSERT_EQ(pipe(fds), 0);
      pid_t child = fork();
      if (child == 0) {
        dup2(fds[1], 1);
        execlp("sh", "sh", "-c", "printf a; sleep .05; echo b", nullptr);
        _exit(1);
      }
      close(fds[1]);
      FILE* file = fdopen(fds[0], "r");
      char line[16];
      EXPECT_NE(fgets(line, sizeof line, file), nullptr);
      EXPECT_STREQ(line, "ab\n");
      EXPECT_EQ(fgets(line, sizeof line, file), nullptr);
      ++lines;
      fclose(file);
      waitpid(child, nullptr, 0);
    }));
  }
  fern::yield();
  EXPECT_EQ(lines, 0);
  fern::joinall(readers);
  EXPECT_EQ(lines, 4);
}

}  // namespace
