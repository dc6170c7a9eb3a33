// The truth about read and write in all their shapes, and about what becomes of descriptors.

#include "monkey/truth_parts.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include <array>
#include <cstdlib>
#include <vector>

using namespace fern::truth;

namespace {

constexpr std::size_t much = 1 << 20;
const std::string bytes(much, 'w');

ssize_t read_once(World& world, int fd, std::size_t size = 8) {
  char got[64] = {};
  ssize_t result = world.call("read", [&] { return read(fd, got, size); });
  world.note("data", std::string_view(got, result < 0 ? 0 : static_cast<std::size_t>(result)));
  return result;
}

ssize_t write_once(World& world, int fd, std::size_t size = 3) {
  return world.call("write", [&] { return write(fd, bytes.data(), size); });
}

const Rows read_rows(
    "Read", {
                {"what is in a pipe",
                 [](World& world) {
                   auto [out, in] = world.pipe();
                   (void)!write(in, "abcdef", 6);
                   read_once(world, out, 4);
                   read_once(world, out);
                 }},
                {"waits for a pipe",
                 [](World& world) {
                   auto [out, in] = world.pipe();
                   auto peer = world.when_waiting([in] { (void)!write(in, "ab", 2); });
                   read_once(world, out);
                 }},
                {"waits for a socket",
                 [](World& world) {
                   auto [here, there] = world.tcp();
                   auto peer = world.when_waiting([there] { (void)!write(there, "ab", 2); });
                   read_once(world, here);
                 }},
                {"the end of a pipe",
                 [](World& world) {
                   auto [out, in] = world.pipe();
                   auto peer = world.when_waiting([&world, in] { world.close(in); });
                   read_once(world, out);
                   read_once(world, out);
                 }},
                {"the end of a socket",
                 [](World& world) {
                   auto [here, there] = world.pair();
                   auto peer = world.when_waiting([&world, there] { world.close(there); });
                   read_once(world, here);
                 }},
                {"a reset",
                 [](World& world) {
                   auto [here, there] = world.tcp();
                   auto peer = world.when_waiting([&world, there] { reset(world, there); });
                   read_once(world, here);
                   read_once(world, here);
                 }},
                {"nothing of what is there",
                 [](World& world) {
                   auto [out, in] = world.pipe();
                   read_once(world, out, 0);
                   (void)!write(in, "ab", 2);
                   read_once(world, out, 0);
                   auto [here, there] = world.tcp();
                   read_once(world, here, 0);
                   auto [one, other] = world.pair();
                   read_once(world, one, 0);
                 }},
                {"nothing of a datagram",
                 [](World& world) {
                   auto [here, there] = world.pair(SOCK_DGRAM);
                   (void)!write(there, "ab", 2);
                   read_once(world, here, 0);
                   read_once(world, here);
                 }},
                {"does not wait on what is non-blocking",
                 [](World& world) {
                   auto [out, in] = world.pipe(O_NONBLOCK);
                   read_once(world, out);
                   (void)!write(in, "ab", 2);
                   read_once(world, out);
                   auto [here, there] = world.pair(SOCK_STREAM | SOCK_NONBLOCK);
                   read_once(world, here);
                 }},
                {"does not wait on a pipe that F_SETFL or FIONBIO made non-blocking",
                 [](World& world) {
                   auto [out, in] = world.pipe();
                   set_nonblocking(out);
                   read_once(world, out);
                   int off = 0;
                   ioctl(out, FIONBIO, &off);
                   auto peer = world.when_waiting([in] { (void)!write(in, "ab", 2); });
                   read_once(world, out);
                 }},
                {"a socket's limit",
                 [](World& world) {
                   auto [here, there] = world.pair();
                   set_limit(here, SO_RCVTIMEO, 30);
                   char byte;
                   world.waiting_call("read", [&, here = here] { return read(here, &byte, 1); });
                 }},
                {"packets of a pipe",
                 [](World& world) {
                   auto [out, in] = world.pipe(O_DIRECT);
                   auto peer = world.when_waiting([in] {
                     (void)!write(in, "abcdef", 6);
                     (void)!write(in, "gh", 2);
                   });
                   read_once(world, out, 4);
                   read_once(world, out, 4);
                 }},
                {"an eventfd",
                 [](World& world) {
                   int fd = world.own(eventfd(0, 0));
                   auto peer = world.when_waiting([fd] { eventfd_write(fd, 7); });
                   eventfd_t value = 0;
                   world.call("read", [&] { return read(fd, &value, 8); });
                   world.note("value", value);
                   eventfd_write(fd, 7);
                   world.call("read", [&] { return read(fd, &value, 4); });
                   world.call("read", [&] { return read(fd, &value, 8); });
                 }},
                {"eventfd_read and eventfd_write",
                 [](World& world) {
                   int fd = world.own(eventfd(0, 0));
                   eventfd_t value = 0;
                   auto peer = world.when_waiting([fd, &world] {
                     eventfd_write(fd, 7);
                     world.until_waiting();
                     eventfd_t taken;
                     eventfd_read(fd, &taken);
                   });
                   world.call("eventfd_read", [&] { return eventfd_read(fd, &value); });
                   world.note("value", value);
                   world.call("eventfd_write", [&] { return eventfd_write(fd, UINT64_MAX - 1); });
                   world.call("eventfd_write", [&] { return eventfd_write(fd, 1); });
                   world.call("eventfd_write", [&] { return eventfd_write(fd, UINT64_MAX); });
                 }},
                {"an eventfd that counts down",
                 [](World& world) {
                   int fd = world.own(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
                   eventfd_t value = 0;
                   for (int i = 0; i < 3; ++i) {
                     world.call("read", [&] { return read(fd, &value, 8); });
                     world.note("value", value);
                   }
                 }},
                {"a timerfd",
                 [](World& world) {
                   int fd = world.own(timerfd_create(CLOCK_MONOTONIC, 0));
                   itimerspec time{{}, {0, 20'000'000}};
                   timerfd_settime(fd, 0, &time, nullptr);
                   std::uint64_t times = 0;
                   world.call("read", [&] { return read(fd, &times, 4); });
                   world.waiting_call("read", [&] { return read(fd, &times, 8); });
                   world.note("times", times);
                 }},
                {"a file",
                 [](World& world) {
                   int fd = file(world, "abcdefgh");
                   read_once(world, fd, 6);
                   read_once(world, fd, 6);
                   read_once(world, fd, 6);
                   read_once(world, fd, 0);
                 }},
                {"a file at a place of it",
                 [](World& world) {
                   int fd = file(world, "abcdefgh");
                   char got[8] = {};
                   world.call("pread", [&] { return pread(fd, got, 3, 4); });
                   world.note("data", got);
                   world.call("pread", [&] { return pread(fd, got, 3, 8); });
                   world.call("pread", [&] { return pread(fd, got, 3, -1); });
                   world.call("pwrite", [&] { return pwrite(fd, "XY", 2, 2); });
                   world.call("pwrite", [&] { return pwrite(fd, "XY", 2, -1); });
                   read_once(world, fd);
                 }},
                {"a pipe at a place of it",
                 [](World& world) {
                   auto [out, in] = world.pipe();
                   char got[8];
                   world.call("pread", [&, out = out] { return pread(out, got, 3, 0); });
                   world.call("pwrite", [in] { return pwrite(in, "XY", 2, 0); });
                 }},
                {"/dev/null, /dev/zero and a folder",
                 [](World& world) {
                   read_once(world, world.own(open("/dev/null", O_RDONLY)));
                   read_once(world, world.own(open("/dev/zero", O_RDONLY)));
                   read_once(world, world.own(open("/", O_RDONLY)));
                 }},
                {"the wrong end",
                 [](World& world) {
                   auto [out, in] = world.pipe();
                   read_once(world, in);
                   write_once(world, out);
                 }},
                {"a bad descriptor",
                 [](World& world) {
                   read_once(world, -1);
                   read_once(world, world.closed_fd());
                   write_once(world, -1);
                   write_once(world, world.closed_fd());
                 }},
                {"sockets that have no connection",
                 [](World& world) {
                   Handles pipes(SIGPIPE);
                   read_once(world, world.own(socket(AF_INET, SOCK_STREAM, 0)));
                   write_once(world, world.own(socket(AF_INET, SOCK_STREAM, 0)));
                   read_once(world, world.own(socket(AF_UNIX, SOCK_STREAM, 0)));
                   world.note("SIGPIPE", Handles::count());
                 }},
                {"nowhere",
                 [](World& world) {
                   auto [out, in] = world.pipe();
                   (void)!write(in, "ab", 2);
                   world.call("read", [out] { return read(out, null(), 2); });
                   world.call("write", [in] { return write(in, wild(), 2); });
                   auto [here, there] = world.tcp();
                   (void)!write(there, "ab", 2);
                   world.call("read", [here] { return read(here, wild(), 2); });
                   world.call("write", [here] { return write(here, wild(), 2); });
                   world.call("read", [here] { return read(here, wild(), SSIZE_MAX); });
                   read_once(world, here);
                 },
                 In::Greenlet, FERN_TRUTH_WILD},
            });

const Rows write_rows(
    "Write", {
                 {"there is room",
                  [](World& world) {
                    auto [out, in] = world.pipe();
                    write_once(world, in);
                    write_once(world, in, 0);
                    world.note("arrived", read_all(out, 8));
                  }},
                 {"all of much to a pipe",
                  [](World& world) {
                    auto [out, in] = world.pipe();
                    std::size_t arrived = 0;
                    {
                      auto peer = world.when_waiting([&, out = out] { arrived = drain(out); });
                      write_once(world, in, much);
                      world.close(in);
                    }
                    world.note("arrived", arrived);
                  }},
                 {"all of much to a socket",
                  [](World& world) {
                    auto [here, there] = world.tcp();
                    std::size_t arrived = 0;
                    {
                      auto peer =
                          world.when_waiting([&, there = there] { arrived = drain(there); });
                      write_once(world, here, much);
                      world.close(here);
                    }
                    world.note("arrived", arrived);
                  }},
                 {"waits for room in a pipe",
                  [](World& world) {
                    auto [out, in] = world.pipe();
                    std::size_t before = fill(in);
                    auto peer = world.when_waiting([out, before] { read_all(out, before); });
                    write_once(world, in);
                  }},
                 {"less than a page is never split",
                  [](World& world) {
                    auto [out, in] = world.pipe();
                    std::size_t before = fill(in);
                    // There is room for a part, and not for all.
                    auto peer = world.when_waiting([out, before, &world] {
                      read_all(out, before);
                      world.until_waiting();
                    });
                    write_once(world, in, PIPE_BUF);
                  }},
                 {"less than a page is not split without blocking",
                  [](World& world) {
                    auto [out, in] = world.pipe(O_NONBLOCK);
                    fcntl(in, F_SETPIPE_SZ, 2 * 4096);
                    write_once(world, in, 4096 + 1000);
                    write_once(world, in, 4000);
                    write_once(world, in, 96);
                    write_once(world, in, 4096);
                    world.note("arrived", read_all(out, much).size());
                  }},
                 {"more than a page is split without blocking",
                  [](World& world) {
                    auto [out, in] = world.pipe(O_NONBLOCK);
                    fcntl(in, F_SETPIPE_SZ, 4 * 4096);
                    write_once(world, in, 5 * 4096);
                    write_once(world, in, 5 * 4096);
                  }},
                 {"a reader that has closed",
                  [](World& world) {
                    auto [out, in] = world.pipe();
                    Handles pipes(SIGPIPE);
                    world.close(out);
                    write_once(world, in);
                    write_once(world, in, 0);
                    world.note("SIGPIPE", Handles::count());
                  }},
                 {"a reader that closes while it waits",
                  [](World& world) {
                    auto [out, in] = world.pipe();
                    Handles pipes(SIGPIPE);
                    fill(in);
                    auto peer = world.when_waiting([&world, out] { world.close(out); });
                    write_once(world, in);
                    world.note("SIGPIPE", Handles::count());
                  }},
                 {"a reader that closes when a part has gone",
                  [](World& world) {
                    auto [out, in] = world.pipe();
                    Handles pipes(SIGPIPE);
                    auto peer = world.when_waiting([&world, out] { world.close(out); });
                    write_once(world, in, much);
                    world.note("SIGPIPE", Handles::count());
                    write_once(world, in);
                    world.note("SIGPIPE", Handles::count());
                  }},
                 {"a peer that has closed",
                  [](World& world) {
                    auto [here, there] = world.pair();
                    Handles pipes(SIGPIPE);
                    world.close(there);
                    write_once(world, here);
                    world.note("SIGPIPE", Handles::count());
                  }},
                 {"a socket's limit",
                  [](World& world) {
                    auto [here, there] = world.pair();
                    set_limit(here, SO_SNDTIMEO, 30);
                    fill(here);
                    world.waiting_call("write", [here] { return write(here, "abc", 3); });
                  }},
                 {"does not wait on what is non-blocking",
                  [](World& world) {
                    auto [out, in] = world.pipe();
                    fill(in);
                    set_nonblocking(in);
                    write_once(world, in);
                    write_once(world, in, much);
                  }},
                 {"an eventfd of the wrong size",
                  [](World& world) {
                    int fd = world.own(eventfd(0, 0));
                    write_once(world, fd, 4);
                    std::uint64_t value = UINT64_MAX;
                    world.call("write", [&] { return write(fd, &value, 8); });
                  }},
                 {"a file, a full one, one that is read only",
                  [](World& world) {
                    int fd = file(world, "");
                    write_once(world, fd, 5000);
                    write_once(world, fd, 0);
                    world.note("size", lseek(fd, 0, SEEK_END));
                    write_once(world, world.own(open("/dev/full", O_WRONLY)));
                    write_once(world, world.own(open("/dev/null", O_RDONLY)));
                  }},
             });

const Rows vector_rows(
    "Readv and writev",
    {
        {"parts of all kinds",
         [](World& world) {
           auto [out, in] = world.pipe();
           Parts sent{1, 0, 5, 2, 0};
           world.call("writev",
                      [&, in = in] { return writev(in, sent.parts.data(), sent.count()); });
           Parts got{0, 3, 0, 9};
           note_data(world, got, world.call("readv", [&, out = out] {
             return readv(out, got.parts.data(), got.count());
           }));
         }},
        {"waits for a pipe",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto peer = world.when_waiting([in] { (void)!write(in, "wxyz", 4); });
           Parts got{1, 2, 9};
           note_data(world, got, world.call("readv", [&, out = out] {
             return readv(out, got.parts.data(), got.count());
           }));
         }},
        {"waits for a socket",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there] { (void)!write(there, "wxyz", 4); });
           Parts got{1, 2, 9};
           note_data(world, got, world.call("readv", [&, here = here] {
             return readv(here, got.parts.data(), got.count());
           }));
         }},
        {"much in three parts",
         [](World& world) {
           for (auto [out, in] : {world.pipe(), world.pair(), world.tcp()}) {
             Parts sent{much / 2, 0, much / 2, 17};
             std::size_t arrived = 0;
             {
               auto peer = world.when_waiting([&, from = out] { arrived = drain(from); });
               world.call("writev",
                          [&, to = in] { return writev(to, sent.parts.data(), sent.count()); });
               world.close(in);
             }
             world.note("arrived", arrived);
           }
         }},
        {"no parts, and parts of nothing",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [here, there] = world.pair();
           for (auto [from, to] : {std::pair(out, in), std::pair(here, there)}) {
             Parts nothing{0, 0};
             for (int count : {0, 2}) {
               world.call("writev",
                          [&, fd = to] { return writev(fd, nothing.parts.data(), count); });
             }
             world.call("readv", [&, fd = from] { return readv(fd, nothing.parts.data(), 0); });
           }
         }},
        {"too many, and less than none",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [here, there] = world.pair();
           Parts one{1};
           one.parts.resize(IOV_MAX + 1, one.parts[0]);
           for (auto [from, to] : {std::pair(out, in), std::pair(here, there)}) {
             for (int count : {IOV_MAX + 1, -1}) {
               world.call("writev", [&, fd = to] { return writev(fd, one.parts.data(), count); });
               world.call("readv", [&, fd = from] { return readv(fd, one.parts.data(), count); });
             }
             world.call("writev", [&, fd = to] { return writev(fd, one.parts.data(), IOV_MAX); });
           }
         }},
        {"less than a page in parts is never split",
         [](World& world) {
           auto [out, in] = world.pipe(O_NONBLOCK);
           fcntl(in, F_SETPIPE_SZ, 2 * 4096);
           write_once(world, in, 4096 + 1000);
           Parts parts{2000, 0, 2096};
           world.call("writev", [&, in = in] { return writev(in, parts.parts.data(), 3); });
           world.call("writev", [&, in = in] { return writev(in, parts.parts.data(), 1); });
         }},
        {"a reader that has closed",
         [](World& world) {
           auto [out, in] = world.pipe();
           Handles pipes(SIGPIPE);
           world.close(out);
           Parts parts{1, 2};
           world.call("writev", [&, in = in] { return writev(in, parts.parts.data(), 2); });
           world.note("SIGPIPE", Handles::count());
         }},
        {"a file, at a place of it",
         [](World& world) {
           int fd = file(world, "abcdefgh");
           Parts got{2, 3};
           note_data(world, got,
                     world.call("preadv", [&] { return preadv(fd, got.parts.data(), 2, 2); }));
           note_data(world, got, world.call("preadv2", [&] {
             return preadv2(fd, got.parts.data(), 2, -1, 0);
           }));
           world.call("pwritev", [&] { return pwritev(fd, got.parts.data(), 2, 1); });
           world.call("preadv2", [&] { return preadv2(fd, got.parts.data(), 2, 0, 1 << 20); });
           read_once(world, fd);
         }},
        {"a bad descriptor",
         [](World& world) {
           Parts parts{1, 2};
           world.call("readv", [&] { return readv(-1, parts.parts.data(), 2); });
           world.call("writev", [&] { return writev(-1, parts.parts.data(), 2); });
         }},
        {"nowhere",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [here, there] = world.pair();
           (void)!write(in, "ab", 2);
           (void)!write(there, "ab", 2);
           for (auto [from, to] : {std::pair(out, in), std::pair(here, there)}) {
             world.call("readv", [fd = from] { return readv(fd, wild<iovec>(), 2); });
             world.call("writev", [fd = to] { return writev(fd, wild<iovec>(), 2); });
             Parts parts{1};
             parts.parts[0].iov_base = wild();
             world.call("readv", [&, fd = from] { return readv(fd, parts.parts.data(), 1); });
             world.call("writev", [&, fd = to] { return writev(fd, parts.parts.data(), 1); });
           }
         },
         In::Greenlet, FERN_TRUTH_WILD},
    });

const Rows sendfile_rows(
    "Sendfile",
    {
        {"to a socket",
         [](World& world) {
           int from = file(world, "abcdefgh");
           auto [here, there] = world.pair();
           world.call("sendfile", [&, here = here] { return sendfile(here, from, nullptr, 3); });
           off_t at = 5;
           world.call("sendfile", [&, here = here] { return sendfile(here, from, &at, 10); });
           world.note("at", at);
           world.call("sendfile", [&, here = here] { return sendfile(here, from, &at, 10); });
           world.call("sendfile", [&, here = here] { return sendfile(here, from, nullptr, 0); });
           world.note("arrived", read_all(there, 8));
           read_once(world, from);
         }},
        {"all of much",
         [](World& world) {
           int from = file(world, bytes);
           auto [here, there] = world.tcp();
           std::size_t arrived = 0;
           {
             auto peer = world.when_waiting([&, there = there] { arrived = drain(there); });
             world.call("sendfile",
                        [&, here = here] { return sendfile(here, from, nullptr, much); });
             world.close(here);
           }
           world.note("arrived", arrived);
         }},
        {"what does not do",
         [](World& world) {
           int from = file(world, "abcdefgh");
           auto [here, there] = world.pair();
           world.call("sendfile", [&, here = here] { return sendfile(here, -1, nullptr, 3); });
           world.call("sendfile", [&] { return sendfile(-1, from, nullptr, 3); });
           world.call("sendfile", [&, here = here, there = there] {
             return sendfile(here, there, nullptr, 3);
           });
           off_t at = -1;
           world.call("sendfile", [&, here = here] { return sendfile(here, from, &at, 3); });
         }},
    });

int flags_of(World& world, int fd) {
  return world.call("F_GETFL", [&] { return fcntl(fd, F_GETFL); });
}

const Rows descriptor_rows(
    "Descriptors",
    {
        {"F_GETFL says what F_SETFL set",
         [](World& world) {
           auto [here, there] = world.pair();
           flags_of(world, here);
           world.call("F_SETFL", [here] { return fcntl(here, F_SETFL, O_NONBLOCK); });
           flags_of(world, here);
           flags_of(world, there);
           world.call("F_SETFL", [here] { return fcntl(here, F_SETFL, O_APPEND); });
           flags_of(world, here);
           int on = 1;
           world.call("FIONBIO", [&, here = here] { return ioctl(here, FIONBIO, &on); });
           flags_of(world, here);
         }},
        {"what has been waited for keeps its flags",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there] { send(there, "x", 1, 0); });
           read_once(world, here);
           flags_of(world, here);
           auto [out, in] = world.pipe();
           auto writer = world.when_waiting([in] { (void)!write(in, "x", 1); });
           read_once(world, out);
           flags_of(world, out);
         }},
        {"duplicates",
         [](World& world) {
           auto [here, there] = world.pair();
           int other = world.open_call("dup", [here] { return dup(here); });
           set_nonblocking(other);
           flags_of(world, here);
           int third = world.own(open("/dev/null", O_RDONLY));
           world.call("dup2", [&, here = here] { return dup2(here, third) == third ? 0 : -1; });
           flags_of(world, third);
           world.call("dup2", [here] { return dup2(here, here) == here ? 0 : -1; });
           world.call("dup2", [here] { return dup2(here, -1); });
           world.call("dup2", [&] { return dup2(-1, third); });
           world.call("dup3", [here] { return dup3(here, here, 0); });
           world.call("dup3",
                      [&, here = here] { return dup3(here, third, O_CLOEXEC) == third ? 0 : -1; });
           world.note("descriptor flags", fcntl(third, F_GETFD));
           world.call("dup3", [&, here = here] { return dup3(here, third, 77); });
           world.call("dup", [] { return dup(-1); });
           int high =
               world.open_call("F_DUPFD", [here] { return fcntl(here, F_DUPFD_CLOEXEC, 300); });
           world.note("high", high >= 300);
         }},
        {"close",
         [](World& world) {
           int fd = dup(STDERR_FILENO);
           world.call("close", [&] { return close(fd); });
           world.call("close", [&] { return close(fd); });
           world.call("close", [] { return close(-1); });
         }},
        {"close_range",
         [](World& world) {
           int fd = fcntl(STDERR_FILENO, F_DUPFD, 900);
           auto number = static_cast<unsigned>(fd);
           world.call("close_range", [&] { return close_range(number, number, 0); });
           world.call("close", [&] { return close(fd); });
           world.call("close_range", [&] { return close_range(number, number - 1, 0); });
           world.call("close_range", [&] { return close_range(number, number, 1 << 20); });
         }},
        {"what is made",
         [](World& world) {
           int fds[2];
           for (int flags : {0, O_NONBLOCK, O_CLOEXEC, 77 << 20}) {
             world.call("pipe2", [&] {
               int result = pipe2(fds, flags);
               if (result == 0) {
                 world.own({fds[0], fds[1]});
               }
               return result;
             });
           }
           world.call("pipe", [] { return pipe(null<int>()); });
           for (int type : {int{SOCK_STREAM}, SOCK_STREAM | SOCK_NONBLOCK}) {
             int fd = world.open_call("socket", [&] { return socket(AF_INET, type, 0); });
             world.note("flags", fcntl(fd, F_GETFL));
           }
           world.call("socket", [] { return socket(AF_INET, 77, 0); });
         }},
        {"how much can be read",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "abc", 3, 0);
           int size = 0;
           world.call("FIONREAD", [&, here = here] { return ioctl(here, FIONREAD, &size); });
           world.note("size", size);
           world.call("ioctl", [here] { return ioctl(here, 0x7777, 0); });
           world.call("ioctl", [] { return ioctl(-1, FIONREAD, 0); });
           world.call("fcntl", [here] { return fcntl(here, 7777); });
           world.call("fcntl", [] { return fcntl(-1, F_GETFL); });
         }},
        {"splice waits for a pipe",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([in] { (void)!write(in, "abc", 3); });
           world.call("splice", [out, here] { return splice(out, nullptr, here, nullptr, 8, 0); });
           world.call("splice", [out, here] {
             return splice(out, nullptr, here, nullptr, 8, SPLICE_F_NONBLOCK);
           });
           world.note("arrived", read_all(there, 8));
         }},
        {"tee waits for a pipe",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [other_out, other_in] = world.pipe();
           auto peer = world.when_waiting([in] { (void)!write(in, "abc", 3); });
           world.call("tee", [out, other_in] { return tee(out, other_in, 8, 0); });
           world.note("arrived", read_all(other_out, 8));
         }},
        {"opening a fifo waits for the other end",
         [](World& world) {
           char folder[] = "/tmp/fern-truth-XXXXXX";
           if (mkdtemp(folder) == nullptr) return;
           std::string name = std::string(folder) + "/fifo";
           mkfifo(name.c_str(), 0600);
           {
             auto peer = world.when_waiting([&] { world.own(open(name.c_str(), O_WRONLY)); });
             world.open_call("open", [&] { return open(name.c_str(), O_RDONLY); });
           }
           world.open_call("open", [&] { return open(name.c_str(), O_RDONLY | O_NONBLOCK); });
           unlink(name.c_str());
           rmdir(folder);
         }},
        {"a lock on a file waits for the other's",
         [](World& world) {
           char name[] = "/tmp/fern-truth-XXXXXX";
           int one = world.own(mkstemp(name));
           int other = world.own(open(name, O_RDWR));
           unlink(name);
           struct flock lock{};
           lock.l_type = F_WRLCK;
           fcntl(one, F_OFD_SETLK, &lock);
           world.call("F_OFD_SETLK", [&] { return fcntl(other, F_OFD_SETLK, &lock); });
           auto peer = world.when_waiting([one] {
             struct flock free{};
             free.l_type = F_UNLCK;
             fcntl(one, F_OFD_SETLK, &free);
           });
           world.call("F_OFD_SETLKW", [&] { return fcntl(other, F_OFD_SETLKW, &lock); });
         }},
    });

}  // namespace
