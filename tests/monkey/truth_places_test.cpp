// The truth about preadv, pwritev and their kin.

#include "monkey/truth.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>

#include <array>
#include <vector>

using namespace fern::truth;

namespace {

// Two parts of three bytes.
struct Parts {
  std::array<char, 6> bytes{'a', 'b', 'c', 'd', 'e', 'f'};
  std::array<iovec, 2> parts{iovec{bytes.data(), 3}, iovec{bytes.data() + 3, 3}};
};

void read_at(World& world, int fd, off_t at, int flags = 0, int count = 2) {
  Parts got;
  ssize_t size =
      world.call("preadv2", [&] { return preadv2(fd, got.parts.data(), count, at, flags); });
  world.note("data",
             std::string_view(got.bytes.data(), size > 0 ? static_cast<std::size_t>(size) : 0));
}

void write_at(World& world, int fd, off_t at, int flags = 0, int count = 2) {
  Parts parts;
  world.call("pwritev2", [&] { return pwritev2(fd, parts.parts.data(), count, at, flags); });
}

void note_file(World& world, int fd) {
  char bytes[64];
  ssize_t size = pread(fd, bytes, sizeof bytes, 0);
  world.note("file", std::string_view(bytes, size > 0 ? static_cast<std::size_t>(size) : 0));
  world.note("position", lseek(fd, 0, SEEK_CUR));
}

const Rows place_rows(
    "Preadv and pwritev",
    {
        {"at a place of a file, and beyond its end",
         [](World& world) {
           int fd = file(world, "0123456789");
           for (off_t at : {0, 2, 7, 10, 1000}) {
             Parts got;
             world.call("preadv", [&] { return preadv(fd, got.parts.data(), 2, at); });
             world.note("data", std::string_view(got.bytes.data(), got.bytes.size()));
             char bytes[4] = {};
             world.call("pread", [&] { return pread(fd, bytes, 3, at); });
             world.note("data", bytes);
             read_at(world, fd, at);
           }
           Parts parts;
           world.call("pwritev", [&] { return pwritev(fd, parts.parts.data(), 2, 2); });
           world.call("pwrite", [&] { return pwrite(fd, "xy", 2, 12); });
           note_file(world, fd);
         }},
        {"at the position of a file",
         [](World& world) {
           int fd = file(world, "0123456789");
           read_at(world, fd, -1);
           write_at(world, fd, -1);
           read_at(world, fd, -1);
           note_file(world, fd);
         }},
        {"at places below nothing",
         [](World& world) {
           int fd = file(world, "0123456789");
           Parts parts;
           for (off_t at : {-1, -2}) {
             world.call("preadv", [&] { return preadv(fd, parts.parts.data(), 2, at); });
             world.call("pwritev", [&] { return pwritev(fd, parts.parts.data(), 2, at); });
             world.call("pread", [&] { return pread(fd, parts.bytes.data(), 2, at); });
             world.call("pwrite", [&] { return pwrite(fd, parts.bytes.data(), 2, at); });
           }
           read_at(world, fd, -2);
           write_at(world, fd, -2);
         }},
        {"what has no places",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [here, there] = world.pair();
           for (auto [from, to] : {std::pair(out, in), std::pair(here, there)}) {
             Parts parts;
             world.call("preadv", [&, fd = from] { return preadv(fd, parts.parts.data(), 2, 0); });
             world.call("pwritev", [&, fd = to] { return pwritev(fd, parts.parts.data(), 2, 0); });
             world.call("pread", [&, fd = from] { return pread(fd, parts.bytes.data(), 2, 0); });
             world.call("pwrite", [&, fd = to] { return pwrite(fd, parts.bytes.data(), 2, 0); });
             read_at(world, from, 0);
             write_at(world, to, 0);
           }
         }},
        {"no parts, too many, and less than none",
         [](World& world) {
           int fd = file(world, "0123456789");
           std::vector<iovec> parts(IOV_MAX + 1);
           for (int count : {0, -1, IOV_MAX + 1, IOV_MAX}) {
             world.call("preadv", [&] { return preadv(fd, parts.data(), count, 0); });
             world.call("pwritev", [&] { return pwritev(fd, parts.data(), count, 0); });
             for (off_t at : {0, -1}) {
               world.call("preadv2", [&] { return preadv2(fd, parts.data(), count, at, 0); });
               world.call("pwritev2", [&] { return pwritev2(fd, parts.data(), count, at, 0); });
             }
           }
         }},
        {"the wrong way, a folder, and no descriptor",
         [](World& world) {
           int reads = world.own(open("/dev/null", O_RDONLY));
           int writes = world.own(open("/dev/null", O_WRONLY));
           int folder = world.own(open("/tmp", O_RDONLY | O_DIRECTORY));
           for (int fd : {reads, writes, folder, -1, world.closed_fd()}) {
             Parts parts;
             world.call("preadv", [&] { return preadv(fd, parts.parts.data(), 2, 0); });
             world.call("pwritev", [&] { return pwritev(fd, parts.parts.data(), 2, 0); });
             read_at(world, fd, -1);
             write_at(world, fd, -1);
           }
         }},
        {"preadv2 without a place waits for a pipe and a socket",
         [](World& world) {
           for (auto [out, in] : {world.pipe(), world.pair(), world.tcp()}) {
             auto peer = world.when_waiting([to = in] { (void)!write(to, "wxyz", 4); });
             read_at(world, out, -1);
           }
         }},
        {"RWF_NOWAIT does not wait",
         [](World& world) {
           for (auto [out, in] : {world.pipe(), world.pair()}) {
             read_at(world, out, -1, RWF_NOWAIT);
             write_at(world, in, -1, RWF_NOWAIT);
             read_at(world, out, -1, RWF_NOWAIT);
             fill(in);
             write_at(world, in, -1, RWF_NOWAIT);
           }
         }},
        {"pwritev2 without a place waits for room",
         [](World& world) {
           for (auto [out, in] : {world.pipe(), world.pair()}) {
             std::size_t before = fill(in);
             auto peer = world.when_waiting([=, from = out] { read_all(from, before); });
             write_at(world, in, -1);
           }
         }},
        {"flags that nobody knows, and those of files",
         [](World& world) {
           int fd = file(world, "0123456789");
           auto [out, in] = world.pipe();
           for (int flags : {1 << 20, RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_APPEND}) {
             write_at(world, fd, 1, flags);
             write_at(world, fd, -1, flags);
             write_at(world, in, -1, flags);
             read_at(world, fd, 1, flags);
             read_at(world, out, -1, flags);
           }
           note_file(world, fd);
         }},
        {"nobody reads any more",
         [](World& world) {
           auto [out, in] = world.pipe();
           Handles pipes(SIGPIPE);
           world.close(out);
           write_at(world, in, -1);
           world.note("SIGPIPE", Handles::count());
         }},
        {"nowhere",
         [](World& world) {
           int fd = file(world, "0123456789");
           auto [out, in] = world.pipe();
           (void)!write(in, "ab", 2);
           for (auto* parts : {null<iovec>(), wild<iovec>()}) {
             world.call("preadv", [&] { return preadv(fd, parts, 1, 0); });
             world.call("pwritev", [&] { return pwritev(fd, parts, 1, 0); });
             world.call("preadv2", [&, fd = out] { return preadv2(fd, parts, 1, -1, 0); });
             world.call("pwritev2", [&, fd = in] { return pwritev2(fd, parts, 1, -1, 0); });
           }
           world.call("pread", [&] { return pread(fd, wild(), 3, 0); });
           world.call("pwrite", [&] { return pwrite(fd, wild(), 3, 0); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
    });

}  // namespace
