// The truth about readv, writev and their kin.

#include "monkey/truth_io.hpp"

#include <fcntl.h>
#include <limits.h>

using namespace fern::truth;

namespace {

constexpr std::size_t much = 1 << 20;

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
           auto peer = world.will_send(in, {"wxyz"});
           Parts got{1, 2, 9};
           note_data(world, got, world.call("readv", [&, out = out] {
             return readv(out, got.parts.data(), got.count());
           }));
         }},
        {"waits for a socket",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.will_send(there, {"wxyz"});
           Parts got{1, 2, 9};
           note_data(world, got, world.call("readv", [&, here = here] {
             return readv(here, got.parts.data(), got.count());
           }));
         }},
        {"much in three parts",
         [](World& world) {
           for (auto [out, in] : {world.pipe(), world.pair(), world.tcp()}) {
             Parts sent{much / 2, 0, much / 2, 17};
             note_drained(world, out, in, [&, in = in] {
               world.call("writev",
                          [&, to = in] { return writev(to, sent.parts.data(), sent.count()); });
             });
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

}  // namespace
