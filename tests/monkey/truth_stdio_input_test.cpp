// The truth about reading by stdio from what makes its reader wait.

#include "monkey/truth_stream.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <vector>

using namespace fern::truth;

namespace {

// Says each part when the reader waits, and then closes.
Peer speaker(World& world, int fd, std::vector<std::string> parts, bool closes = true) {
  return world.when_waiting([&world, fd, parts, closes] {
    for (const std::string& part : parts) {
      if (&part != parts.data()) world.until_waiting();
      (void)!write(fd, part.data(), part.size());
    }
    if (!closes) return;
    world.until_waiting();
    world.close(fd);
  });
}

void say(int fd, std::string_view text) { (void)!write(fd, text.data(), text.size()); }

// With a line, errno says nothing.
void line(World& world, FILE* file, int size = 64) {
  char bytes[64] = {};
  bool got = false;
  world.call("fgets", [&] {
    int before = errno;
    got = fgets(bytes, size, file) != nullptr;
    if (got) errno = before;
    return got;
  });
  world.note("line", got ? bytes : "none");
  note_state(world, file);
}

void character(World& world, FILE* file) {
  world.call("fgetc", [&] { return fgetc(file); });
  note_state(world, file);
}

void block(World& world, FILE* file, std::size_t size, std::size_t count) {
  std::string bytes(size * count, '.');
  std::size_t got = world.call("fread", [&] { return fread(bytes.data(), size, count, file); });
  world.note("items", got);
  world.note("bytes", bytes.substr(0, 64));
  note_state(world, file);
}

struct Line {
  ~Line() { std::free(text); }
  void get(World& world, FILE* file, int end = '\n') {
    ssize_t got = world.call("getdelim", [&] {
      int before = errno;
      ssize_t length = getdelim(&text, &capacity, end, file);
      if (length >= 0) errno = before;
      return length;
    });
    world.note("line", got < 0 ? "none" : std::string_view(text, static_cast<std::size_t>(got)));
    world.note("capacity", capacity);
    note_state(world, file);
  }
  char* text = nullptr;
  std::size_t capacity = 0;
};

// A terminal: the side of its user, and that of the program.
std::pair<int, int> terminal(World& world) {
  int user = world.own(posix_openpt(O_RDWR | O_NOCTTY));
  grantpt(user);
  unlockpt(user);
  int program = world.own(open(ptsname(user), O_RDWR | O_NOCTTY));
  termios settings{};
  tcgetattr(program, &settings);
  settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(program, TCSANOW, &settings);
  return {user, program};
}

const Rows read_rows(
    "Stdio input",
    {
        {"lines that come in parts",
         [](World& world) {
           for (auto [here, there] : {world.pipe(), world.pair(), world.tcp()}) {
             Stream stream(here, "r");
             auto peer = speaker(world, there, {"on", "e\ntwo\nth", "ree"});
             for (int i = 0; i < 4; ++i) line(world, stream);
           }
         }},
        {"lines longer than there is room",
         [](World& world) {
           auto [here, there] = world.pipe();
           Stream stream(here, "r");
           auto peer = speaker(world, there, {"abc", "defgh\nx"});
           for (int size : {5, 1, 2, 64, 64, 0, -1}) line(world, stream, size);
         }},
        {"characters to the end, and after it",
         [](World& world) {
           for (auto [here, there] : {world.pipe(), world.pair()}) {
             Stream stream(here, "r");
             auto peer = speaker(world, there, {"a", "\377b"});
             for (int i = 0; i < 5; ++i) character(world, stream);
             clearerr(stream);
             note_state(world, stream);
             character(world, stream);
           }
         }},
        {"blocks",
         [](World& world) {
           for (auto [here, there] : {world.pipe(), world.pair(), world.tcp()}) {
             Stream stream(here, "r");
             auto peer = speaker(world, there, {"abc", "defg", "hijk", "l"});
             block(world, stream, 1, 2);
             block(world, stream, 3, 2);
             block(world, stream, 3, 5);
             block(world, stream, 3, 5);
           }
         }},
        {"blocks of nothing",
         [](World& world) {
           auto [here, there] = world.pipe();
           Stream stream(here, "r");
           block(world, stream, 0, 5);
           block(world, stream, 5, 0);
         }},
        {"more than the buffer holds",
         [](World& world) {
           auto [here, there] = world.pair();
           Stream stream(here, "r", _IOFBF, 16);
           std::string longest(1000, 'x');
           auto peer = speaker(world, there, {longest, longest + "\n", longest, longest + "\n"});
           block(world, stream, 1000, 1);
           line(world, stream);
           Line rest;
           rest.get(world, stream);
           rest.get(world, stream);
           rest.get(world, stream);
         }},
        {"without a buffer",
         [](World& world) {
           auto [here, there] = world.pipe();
           Stream stream(here, "r", _IONBF, 0);
           auto peer = speaker(world, there, {"ab\nc", "def\n", "gh"});
           line(world, stream);
           character(world, stream);
           block(world, stream, 2, 1);
           int left = 0;
           ioctl(here, FIONREAD, &left);
           world.note("left", left);
           line(world, stream);
           line(world, stream);
         }},
        {"getline and getdelim grow their lines",
         [](World& world) {
           auto [here, there] = world.pipe();
           Stream stream(here, "r");
           std::string longest(500, 'y');
           auto peer = speaker(world, there,
                               {"short\n", longest, "\nre", std::string("s\0t;u\0;", 7), "end"});
           Line got;
           got.get(world, stream);
           got.get(world, stream);
           got.get(world, stream, ';');
           got.get(world, stream, '\0');
           got.get(world, stream);
           got.get(world, stream);
         }},
        {"getline into nothing",
         [](World& world) {
           auto [here, there] = world.pipe();
           Stream stream(here, "r");
           char* text = nullptr;
           std::size_t size = 0;
           world.call("getline", [&] { return getline(null<char*>(), &size, stream); });
           world.call("getline", [&] { return getline(&text, null<std::size_t>(), stream); });
           note_state(world, stream);
         }},
        {"what is put back comes first",
         [](World& world) {
           auto [here, there] = world.pipe();
           Stream stream(here, "r");
           world.call("ungetc", [&] { return ungetc('x', stream); });
           world.call("ungetc", [&] { return ungetc(EOF, stream); });
           character(world, stream);
           auto peer = speaker(world, there, {"ab", "c\nd"});
           character(world, stream);
           world.call("ungetc", [&] { return ungetc('y', stream); });
           line(world, stream);
           character(world, stream);
           character(world, stream);
           world.call("ungetc", [&] { return ungetc('z', stream); });
           note_state(world, stream);
           line(world, stream);
         }},
        {"fscanf of what is there",
         [](World& world) {
           auto [here, there] = world.pair();
           Stream stream(here, "r");
           say(there, "12 abc\n  -7 x 0x1f 3.5 end");
           world.close(there);
           int number = 0;
           char word[16] = {};
           double real = 0;
           world.call("fscanf", [&] { return fscanf(stream, "%d %15s", &number, word); });
           world.note("number", number);
           world.note("word", word);
           world.call("fscanf", [&] { return fscanf(stream, "%d", &number); });
           world.note("number", number);
           world.call("fscanf", [&] { return fscanf(stream, "%d", &number); });
           character(world, stream);
           world.call("fscanf", [&] { return fscanf(stream, "%i%lf", &number, &real); });
           world.note("number", number);
           world.note("real", real);
           world.call("fscanf", [&] { return fscanf(stream, " end%n", &number); });
           world.note("number", number);
           world.call("fscanf", [&] { return fscanf(stream, "%d", &number); });
           note_state(world, stream);
         }},
        {"fscanf of what comes in parts",
         [](World& world) {
           for (auto [here, there] : {world.pipe(), world.pair()}) {
             Stream stream(here, "r");
             auto peer = speaker(world, there, {"  ", "1", "2 ", " ab", "c", "\nrest"});
             int number = 0;
             char word[16] = {};
             world.call("fscanf", [&] { return fscanf(stream, "%d %15s", &number, word); });
             world.note("number", number);
             world.note("word", word);
             character(world, stream);
             line(world, stream);
             world.call("fscanf", [&] { return fscanf(stream, "%d", &number); });
             note_state(world, stream);
           }
         }},
        {"nothing on what is non-blocking",
         [](World& world) {
           auto [here, there] = world.pair();
           set_nonblocking(here);
           Stream stream(here, "r");
           line(world, stream);
           clearerr(stream);
           say(there, "ab");
           line(world, stream);
           line(world, stream);
           clearerr(stream);
           say(there, "cde");
           block(world, stream, 2, 4);
           Line got;
           say(there, "fg");
           got.get(world, stream);
           character(world, stream);
         }},
        {"ends at its socket's limit",
         [](World& world) {
           auto [here, there] = world.pair();
           set_limit(here, SO_RCVTIMEO, 30);
           Stream stream(here, "r");
           line(world, stream);
           clearerr(stream);
           say(there, "ab");
           line(world, stream);
           character(world, stream);
         }},
        {"a reset in the middle of a line",
         [](World& world) {
           auto [here, there] = world.tcp();
           Stream stream(here, "r");
           auto peer = world.when_waiting([&world, to = there] {
             say(to, "ab");
             world.until_waiting();
             reset(world, to);
           });
           line(world, stream);
           line(world, stream);
         }},
        {"a handler in the middle of a line",
         [](World& world) {
           for (int flags : {0, SA_RESTART}) {
             Handles handles(SIGUSR1, flags);
             auto [here, there] = world.pipe();
             Stream stream(here, "r");
             say(there, "ab");
             auto peer = world.when_waiting([&world, to = there] {
               pthread_kill(world.thread(), SIGUSR1);
               world.until_waiting();
               say(to, "cd\n");
             });
             line(world, stream);
           }
         },
         In::Main},
        {"what is not for reading, and what is closed",
         [](World& world) {
           auto [here, there] = world.pair();
           Stream writes(here, "w");
           line(world, writes);
           character(world, writes);
           block(world, writes, 1, 1);
           Line got;
           got.get(world, writes);
           Stream closed(here, "r");
           int number = fileno(closed);
           int kept = dup(number);
           ::close(number);
           line(world, closed);
           block(world, closed, 4, 1);
           dup2(kept, number);
           ::close(kept);
         }},
        {"has no position",
         [](World& world) {
           auto [here, there] = world.pipe();
           Stream stream(here, "r");
           say(there, "ab");
           character(world, stream);
           world.call("ftell", [&] { return ftell(stream); });
           world.call("fseek", [&] { return fseek(stream, 0, SEEK_SET); });
           character(world, stream);
         }},
        {"what was written goes out before it reads",
         [](World& world) {
           auto [here, there] = world.pair();
           Stream stream(here, "r+");
           world.call("fputs", [&] { return fputs("question\n", stream); });
           std::string asked;
           auto peer = world.when_waiting([&, to = there] {
             asked = read_all(to, 64);
             say(to, "answer\n");
           });
           line(world, stream);
           world.note("asked", asked);
         }},
        {"wide characters in parts",
         [](World& world) {
           auto [here, there] = world.pipe();
           Stream stream(here, "r");
           auto peer = speaker(world, there, {"a", "b\nc", "d"});
           world.call("fgetwc", [&] { return fgetwc(stream); });
           std::array<wchar_t, 8> wide{};
           for (int i = 0; i < 3; ++i) {
             bool got =
                 world.call("fgetws", [&] { return fgetws(wide.data(), 8, stream); }) != nullptr;
             world.note("length", got ? std::wcslen(wide.data()) : 99);
             note_state(world, stream);
           }
         }},
    });

const Rows terminal_rows("Stdio input of a terminal",
                         {
                             {"lines",
                              [](World& world) {
                                auto [user, program] = terminal(world);
                                Stream stream(program, "r");
                                auto peer =
                                    speaker(world, user, {"on", "e\ntwo\n", "three\n"}, false);
                                for (int i = 0; i < 3; ++i) line(world, stream);
                              }},
                             {"its end stays until it is cleared",
                              [](World& world) {
                                auto [user, program] = terminal(world);
                                Stream stream(program, "r");
                                auto peer = speaker(world, user, {"ab\4", "\4", "more\n"}, false);
                                line(world, stream);
                                line(world, stream);
                                character(world, stream);
                                clearerr(stream);
                                line(world, stream);
                              }},
                             {"its user is gone",
                              [](World& world) {
                                auto [user, program] = terminal(world);
                                Stream stream(program, "r");
                                say(user, "ab\n");
                                line(world, stream);
                                auto peer = speaker(world, user, {});
                                line(world, stream);
                                line(world, stream);
                              }},
                             {"its user goes while it is read",
                              [](World& world) {
                                auto [user, program] = terminal(world);
                                auto peer = speaker(world, user, {});
                                for (int i = 0; i < 2; ++i) {
                                  char byte = 0;
                                  world.call("read",
                                             [&, fd = program] { return read(fd, &byte, 1); });
                                }
                              }},
                         });

}  // namespace
