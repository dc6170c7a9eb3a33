// The truth about writing by stdio to what makes its writer wait.

#include "monkey/truth_stream.hpp"

#include <fcntl.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

using namespace fern::truth;

namespace {

const std::string much(1 << 20, 'm');

void put(World& world, FILE* file, const char* text) {
  world.call("fputs", [&] { return fputs(text, file); });
}

void block(World& world, FILE* file, std::size_t size, std::size_t count) {
  std::size_t done = world.call("fwrite", [&] { return fwrite(much.data(), size, count, file); });
  world.note("items", done);
  note_state(world, file);
}

void flush(World& world, FILE* file) {
  world.call("fflush", [&] { return fflush(file); });
  note_state(world, file);
}

void close(World& world, Stream& stream) {
  int fd = fileno(stream);
  FILE* file = stream.release();
  world.call("fclose", [&] { return fclose(file); });
  world.note("closed", fcntl(fd, F_GETFD) < 0);
}

const Rows write_rows(
    "Stdio output",
    {
        {"what is fully buffered arrives when it is flushed",
         [](World& world) {
           for (auto [there, here] : {world.pipe(), world.pair(), world.tcp()}) {
             Stream stream(here, "w");
             put(world, stream, "one\ntwo");
             world.call("fputc", [&] { return fputc('x', stream); });
             world.call("fprintf", [&] { return fprintf(stream, "%d-%s\n", 7, "seven"); });
             block(world, stream, 3, 2);
             world.note("arrived", read_all(there, 64));
             flush(world, stream);
             flush(world, stream);
             world.note("arrived", read_all(there, 64));
           }
         }},
        {"lines arrive when they are complete",
         [](World& world) {
           for (auto [there, here] : {world.pipe(), world.pair()}) {
             Stream stream(here, "w", _IOLBF);
             put(world, stream, "ab");
             world.note("arrived", read_all(there, 64));
             put(world, stream, "c\nde");
             world.note("arrived", read_all(there, 64));
             world.call("fputc", [&] { return fputc('\n', stream); });
             world.note("arrived", read_all(there, 64));
             world.call("fprintf", [&] { return fprintf(stream, "x\ny%dz", 5); });
             world.note("arrived", read_all(there, 64));
             world.call("putc", [&] { return putc('p', stream); });
             world.note("arrived", read_all(there, 64));
             flush(world, stream);
             world.note("arrived", read_all(there, 64));
           }
         }},
        {"without a buffer everything arrives at once",
         [](World& world) {
           auto [there, here] = world.pair(SOCK_SEQPACKET);
           Stream stream(here, "w", _IONBF, 0);
           put(world, stream, "ab");
           world.note("arrived", read_all(there, 64));
           world.call("fputc", [&] { return fputc('c', stream); });
           world.note("arrived", read_all(there, 64));
           world.call("fprintf", [&] { return fprintf(stream, "%s%d", "de", 5); });
           world.note("arrived", read_all(there, 64));
           block(world, stream, 2, 2);
           world.note("arrived", read_all(there, 64));
           flush(world, stream);
         }},
        {"nothing",
         [](World& world) {
           auto [there, here] = world.pipe();
           Stream stream(here, "w");
           put(world, stream, "");
           block(world, stream, 0, 3);
           block(world, stream, 3, 0);
           world.call("fprintf", [&] { return fprintf(stream, "%s", ""); });
           flush(world, stream);
         }},
        {"characters are what is left of them",
         [](World& world) {
           auto [there, here] = world.pipe();
           Stream stream(here, "w", _IOFBF, 2);
           for (int c : {0, 97, 255, 256 + 98, -1, -200}) {
             world.call("fputc", [&] { return fputc(c, stream); });
           }
           flush(world, stream);
           world.note("arrived", read_all(there, 64).size());
         }},
        {"all of much, as it is taken",
         [](World& world) {
           for (int how : {_IOFBF, _IOLBF, _IONBF}) {
             for (auto [there, here] : {world.pipe(), world.pair()}) {
               note_drained(world, there, here, [&, here = here] {
                 Stream stream(here, "w", how);
                 block(world, stream, 1000, 1000);
                 put(world, stream, "end");
                 world.call("fprintf", [&] { return fprintf(stream, "%s!", much.c_str()); });
                 close(world, stream);
               });
             }
           }
         }},
        {"a flush waits for room",
         [](World& world) {
           for (auto [there, here] : {world.pipe(), world.pair(), world.tcp()}) {
             Stream stream(here, "w");
             std::size_t before = fill(here);
             put(world, stream, "abc");
             auto peer = world.when_waiting([=, from = there] { read_all(from, before); });
             flush(world, stream);
           }
         }},
        {"a close waits for room",
         [](World& world) {
           auto [there, here] = world.pipe();
           Stream stream(here, "w");
           std::size_t before = fill(here);
           put(world, stream, "abc");
           auto peer = world.when_waiting([=, from = there] { read_all(from, before); });
           close(world, stream);
         }},
        {"to nobody",
         [](World& world) {
           for (int how : {_IOFBF, _IOLBF, _IONBF}) {
             auto [there, here] = world.pair();
             Handles pipes(SIGPIPE);
             Stream stream(here, "w", how);
             world.close(there);
             put(world, stream, "abc\n");
             note_state(world, stream);
             flush(world, stream);
             flush(world, stream);
             clearerr(stream);
             block(world, stream, 2, 3);
             world.call("fprintf", [&] { return fprintf(stream, "%d\n", 7); });
             world.call("fputc", [&] { return fputc('x', stream); });
             flush(world, stream);
             put(world, stream, "more");
             close(world, stream);
             world.note("SIGPIPE", Handles::count());
           }
         }},
        {"what cannot be written is lost with its stream",
         [](World& world) {
           auto [there, here] = world.pipe();
           Handles pipes(SIGPIPE);
           Stream stream(here, "w");
           put(world, stream, "abc");
           world.close(there);
           close(world, stream);
           world.note("SIGPIPE", Handles::count());
         }},
        {"the reader goes in the middle",
         [](World& world) {
           for (auto [there, here] : {world.pipe(), world.pair()}) {
             Handles pipes(SIGPIPE);
             Stream stream(here, "w");
             {
               auto peer = world.when_waiting([&world, to = there] { world.close(to); });
               world.call("fwrite", [&] {
                 return fwrite(much.data(), 1, much.size(), stream) < much.size();
               });
             }
             note_state(world, stream);
             close(world, stream);
           }
         }},
        {"no room on what is non-blocking",
         [](World& world) {
           for (int how : {_IOFBF, _IOLBF, _IONBF}) {
             auto [there, here] = world.pair();
             set_nonblocking(here);
             std::size_t before = fill(here);
             Stream stream(here, "w", how);
             put(world, stream, "abc\n");
             flush(world, stream);
             world.note("read", read_all(there, before) == std::string(before, 'f'));
             put(world, stream, "def\n");
             flush(world, stream);
             world.note("arrived", read_all(there, 64));
           }
         }},
        {"a part on what is non-blocking",
         [](World& world) {
           auto [there, here] = world.pipe(O_NONBLOCK);
           fcntl(here, F_SETPIPE_SZ, 2 * 4096);
           Stream stream(here, "w", _IOFBF, 1024);
           block(world, stream, 1000, 20);
           world.note("arrived", read_all(there, much.size()).size());
           flush(world, stream);
           world.note("arrived", read_all(there, much.size()).size());
         }},
        {"ends at its socket's limit",
         [](World& world) {
           auto [there, here] = world.pair();
           set_limit(here, SO_SNDTIMEO, 30);
           fill(here);
           Stream stream(here, "w");
           put(world, stream, "abc");
           flush(world, stream);
         }},
        {"a handler while it waits for room",
         [](World& world) {
           for (int flags : {0, SA_RESTART}) {
             Handles handles(SIGUSR1, flags);
             auto [there, here] = world.pair();
             std::size_t before = fill(here);
             Stream stream(here, "w");
             put(world, stream, "abc");
             auto peer = world.when_waiting([&world, before, from = there] {
               pthread_kill(world.thread(), SIGUSR1);
               world.until_waiting();
               read_all(from, before);
             });
             flush(world, stream);
           }
         },
         In::Main},
        {"what is not for writing, and what is closed",
         [](World& world) {
           auto [there, here] = world.pair();
           Stream reads(here, "r");
           put(world, reads, "abc");
           world.call("fputc", [&] { return fputc('x', reads); });
           block(world, reads, 1, 2);
           world.call("fprintf", [&] { return fprintf(reads, "%d", 7); });
           flush(world, reads);
           Stream closed(here, "w");
           int number = fileno(closed);
           int kept = dup(number);
           ::close(number);
           put(world, closed, "abc");
           flush(world, closed);
           dup2(kept, number);
           ::close(kept);
         }},
        {"puts and printf go where stdout goes",
         [](World& world) {
           auto [there, here] = world.pipe();
           Stream stream(here, "w", _IOLBF);
           FILE* before = std::exchange(stdout, stream.file);
           world.call("puts", [] { return puts("line"); });
           world.call("printf", [] { return printf("%s-%d\n", "number", 7); });
           world.call("putchar", [] { return putchar('x'); });
           stdout = before;
           world.note("arrived", read_all(there, 64));
         }},
        {"wide characters",
         [](World& world) {
           auto [there, here] = world.pipe();
           Stream stream(here, "w");
           world.call("fputws", [&] { return fputws(L"wide", stream); });
           put(world, stream, "narrow");
           world.call("fwprintf", [&] { return fwprintf(stream, L"%d", 7); });
           flush(world, stream);
           world.note("arrived", read_all(there, 64));
         }},
        {"a terminal gets lines",
         [](World& world) {
           int user = world.own(posix_openpt(O_RDWR | O_NOCTTY));
           grantpt(user);
           unlockpt(user);
           int program = world.own(open(ptsname(user), O_RDWR | O_NOCTTY));
           FILE* file = fdopen(dup(program), "w");
           put(world, file, "ab");
           world.note("arrived", read_all(user, 64));
           put(world, file, "c\nd");
           world.note("arrived", read_all(user, 64));
           fclose(file);
           world.note("arrived", read_all(user, 64));
         }},
    });

}  // namespace
