// The truth about splice, tee, vmsplice and sendfile.

#include "monkey/truth.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <array>
#include <vector>

using namespace fern::truth;

namespace {

constexpr std::size_t page = 4096;

// Two parts of three bytes.
struct Parts {
  std::array<char, 6> bytes{'a', 'b', 'c', 'd', 'e', 'f'};
  std::array<iovec, 2> parts{iovec{bytes.data(), 3}, iovec{bytes.data() + 3, 3}};
};

void note_file(World& world, int fd) {
  char bytes[64];
  ssize_t size = pread(fd, bytes, sizeof bytes, 0);
  world.note("file", std::string_view(bytes, size > 0 ? static_cast<std::size_t>(size) : 0));
  world.note("position", lseek(fd, 0, SEEK_CUR));
}

ssize_t splice_once(World& world, int in, int out, std::size_t size = 8, unsigned flags = 0) {
  return world.call("splice", [=] { return splice(in, nullptr, out, nullptr, size, flags); });
}

const Rows splice_rows(
    "Splice",
    {
        {"from a place of a file, and to one",
         [](World& world) {
           int from = file(world, "0123456789");
           int to = file(world, "");
           auto [out, in] = world.pipe();
           off64_t at = 7;
           world.call("splice", [&, in = in] { return splice(from, &at, in, nullptr, 8, 0); });
           world.note("at", at);
           off64_t there = 2;
           world.call("splice", [&, out = out] { return splice(out, nullptr, to, &there, 8, 0); });
           world.note("there", there);
           note_file(world, from);
           note_file(world, to);
           world.call("splice", [&, in = in] { return splice(from, &at, in, nullptr, 8, 0); });
         }},
        {"from one pipe to another",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [other_out, other_in] = world.pipe();
           (void)!write(in, "abcdef", 6);
           splice_once(world, out, other_in, 4);
           world.note("arrived", read_all(other_out, 8));
           fill(other_in);
           auto peer = world.when_waiting([from = other_out] { read_all(from, 3 * page); });
           splice_once(world, out, other_in);
         }},
        {"the end of what is read",
         [](World& world) {
           for (auto [out, in] : {world.pipe(), world.pair(), world.tcp()}) {
             auto [other_out, other_in] = world.pipe();
             auto peer = world.when_waiting([&world, to = in] { world.close(to); });
             splice_once(world, out, other_in);
           }
         }},
        {"nobody reads any more",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [other_out, other_in] = world.pipe();
           auto [here, there] = world.pair();
           Handles pipes(SIGPIPE);
           (void)!write(in, "abcdef", 6);
           world.close(other_out);
           world.close(there);
           splice_once(world, out, other_in);
           splice_once(world, out, here);
           world.note("SIGPIPE", Handles::count());
         }},
        {"splice waits for a pipe",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [here, there] = world.pair();
           auto peer = world.will_send(in, {"abc"});
           world.call("splice", [out, here] { return splice(out, nullptr, here, nullptr, 8, 0); });
           world.call("splice", [out, here] {
             return splice(out, nullptr, here, nullptr, 8, SPLICE_F_NONBLOCK);
           });
           world.note("arrived", read_all(there, 8));
         }},
        {"does not wait when it is not to",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [other_out, other_in] = world.pipe();
           auto [here, there] = world.pair();
           splice_once(world, out, other_in, 8, SPLICE_F_NONBLOCK);
           set_nonblocking(here);
           splice_once(world, here, in);
           fill(here);
           (void)!write(in, "abcdef", 6);
           splice_once(world, out, here);
           fill(other_in);
           splice_once(world, out, other_in, 8, SPLICE_F_NONBLOCK);
           set_nonblocking(other_in);
           splice_once(world, out, other_in);
         }},
        {"waits for a socket",
         [](World& world) {
           for (auto [here, there] : {world.pair(), world.tcp()}) {
             auto [out, in] = world.pipe();
             auto peer = world.when_waiting([to = there] { (void)!write(to, "abc", 3); });
             splice_once(world, here, in);
             world.note("arrived", read_all(out, 8));
           }
         }},
        {"what does not do",
         [](World& world) {
           int from = file(world, "0123456789");
           auto [out, in] = world.pipe();
           auto [here, there] = world.pair();
           (void)!write(in, "abcdef", 6);
           splice_once(world, from, here);
           splice_once(world, here, there);
           splice_once(world, out, in);
           splice_once(world, in, out);
           splice_once(world, out, out);
           splice_once(world, out, -1);
           splice_once(world, -1, in);
           splice_once(world, world.closed_fd(), in);
           splice_once(world, out, here, 0);
           splice_once(world, -1, -1, 0);
           splice_once(world, out, here, 8, 1U << 20);
           int reads = world.own(open("/dev/null", O_RDONLY));
           splice_once(world, out, reads);
           off64_t at = 0;
           world.call("splice",
                      [&, o = out, h = here] { return splice(o, &at, h, nullptr, 8, 0); });
           world.call("splice",
                      [&, o = out, h = here] { return splice(o, nullptr, h, &at, 8, 0); });
         }},
        {"nowhere",
         [](World& world) {
           int from = file(world, "0123456789");
           auto [out, in] = world.pipe();
           world.call("splice",
                      [&, in = in] { return splice(from, wild<off64_t>(), in, nullptr, 8, 0); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
    });

const Rows tee_rows(
    "Tee and vmsplice",
    {
        {"tee leaves what it has seen",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [other_out, other_in] = world.pipe();
           (void)!write(in, "abcdef", 6);
           for (int i = 0; i < 2; ++i) {
             world.call("tee", [o = out, i = other_in] { return tee(o, i, 4, 0); });
           }
           world.note("first", read_all(out, 8));
           world.note("other", read_all(other_out, 16));
           world.call("tee", [o = out, i = other_in] { return tee(o, i, 4, SPLICE_F_NONBLOCK); });
           auto peer = world.when_waiting([&world, to = in] { world.close(to); });
           world.call("tee", [o = out, i = other_in] { return tee(o, i, 4, 0); });
         }},
        {"tee waits for a pipe",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [other_out, other_in] = world.pipe();
           auto peer = world.will_send(in, {"abc"});
           world.call("tee", [out, other_in] { return tee(out, other_in, 8, 0); });
           world.note("arrived", read_all(other_out, 8));
         }},
        {"tee waits for room",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [other_out, other_in] = world.pipe();
           (void)!write(in, "abcdef", 6);
           fill(other_in);
           world.call("tee", [o = out, i = other_in] { return tee(o, i, 4, SPLICE_F_NONBLOCK); });
           auto peer = world.when_waiting([from = other_out] { read_all(from, 3 * page); });
           world.call("tee", [o = out, i = other_in] { return tee(o, i, 4, 0); });
         }},
        {"tee of what does not do",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [here, there] = world.pair();
           (void)!write(in, "abcdef", 6);
           world.call("tee", [o = out, i = in] { return tee(o, i, 4, 0); });
           world.call("tee", [o = out, i = here] { return tee(o, i, 4, 0); });
           world.call("tee", [o = here, i = in] { return tee(o, i, 4, 0); });
           world.call("tee", [i = in] { return tee(-1, i, 4, 0); });
           world.call("tee", [o = out] { return tee(o, -1, 4, 0); });
           world.call("tee", [o = out, i = in] { return tee(o, i, 4, 1 << 20); });
           world.call("tee", [] { return tee(-1, -1, 0, 0); });
         }},
        {"tee to nobody",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [other_out, other_in] = world.pipe();
           Handles pipes(SIGPIPE);
           (void)!write(in, "abcdef", 6);
           world.close(other_out);
           world.call("tee", [o = out, i = other_in] { return tee(o, i, 4, 0); });
           world.note("SIGPIPE", Handles::count());
         }},
        {"vmsplice fills a pipe, and waits for room",
         [](World& world) {
           auto [out, in] = world.pipe();
           Parts parts;
           world.call("vmsplice", [&, i = in] { return vmsplice(i, parts.parts.data(), 2, 0); });
           world.note("arrived", read_all(out, 8));
           std::size_t before = fill(in);
           world.call("vmsplice", [&, i = in] {
             return vmsplice(i, parts.parts.data(), 2, SPLICE_F_NONBLOCK);
           });
           auto peer = world.when_waiting([=, from = out] { read_all(from, before); });
           world.call("vmsplice", [&, i = in] { return vmsplice(i, parts.parts.data(), 1, 0); });
         }},
        {"vmsplice reads a pipe, and waits for it",
         [](World& world) {
           auto [out, in] = world.pipe();
           Parts parts;
           world.call("vmsplice", [&, o = out] {
             return vmsplice(o, parts.parts.data(), 2, SPLICE_F_NONBLOCK);
           });
           auto peer = world.when_waiting([to = in] { (void)!write(to, "wxyz", 4); });
           world.call("vmsplice", [&, o = out] { return vmsplice(o, parts.parts.data(), 2, 0); });
           world.note("data", std::string_view(parts.bytes.data(), 6));
         }},
        {"vmsplice of what does not do",
         [](World& world) {
           auto [out, in] = world.pipe();
           auto [here, there] = world.pair();
           std::vector<iovec> parts(IOV_MAX + 1);
           for (int fd : {here, -1, world.closed_fd()}) {
             world.call("vmsplice", [&] { return vmsplice(fd, parts.data(), 1, 0); });
           }
           for (std::size_t count : {0, IOV_MAX + 1}) {
             world.call("vmsplice", [&, i = in] { return vmsplice(i, parts.data(), count, 0); });
           }
           world.call("vmsplice", [&, i = in] { return vmsplice(i, parts.data(), 1, 1 << 20); });
         }},
    });

ssize_t send_file(World& world, int out, int in, std::size_t size = 8) {
  return world.call("sendfile", [=] { return sendfile(out, in, nullptr, size); });
}

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
           note_file(world, from);
         }},
        {"all of much",
         [](World& world) {
           constexpr std::size_t much = 1 << 20;
           int from = file(world, std::string(much, 'w'));
           auto [here, there] = world.tcp();
           note_drained(world, there, here, [&, to = here] { send_file(world, to, from, much); });
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

const Rows sendfile_kinds_rows(
    "Sendfile to all kinds",
    {
        {"to a pipe, what there is room for",
         [](World& world) {
           int from = file(world, std::string(32 * page, 'f'));
           auto [out, in] = world.pipe();
           fcntl(in, F_SETPIPE_SZ, static_cast<int>(2 * page));
           send_file(world, in, from, 3);
           world.note("arrived", read_all(out, 8));
           std::size_t before = fill(in);
           auto peer = world.when_waiting([=, o = out] { read_all(o, before); });
           send_file(world, in, from, 7);
         }},
        {"to a file, and from nothing",
         [](World& world) {
           int from = file(world, "0123456789");
           int to = file(world, "xyz");
           send_file(world, to, from);
           send_file(world, to, from);
           send_file(world, to, from);
           send_file(world, to, from, 0);
           note_file(world, to);
           int null_device = world.own(open("/dev/null", O_RDWR));
           lseek(from, 0, SEEK_SET);
           send_file(world, null_device, from);
         }},
        {"does not wait on what is non-blocking",
         [](World& world) {
           int from = file(world, "0123456789");
           for (auto [here, there] : {world.pair(), world.tcp()}) {
             set_nonblocking(here);
             send_file(world, here, from, 3);
             fill(here);
             send_file(world, here, from, 3);
           }
           auto [out, in] = world.pipe(O_NONBLOCK);
           fill(in);
           send_file(world, in, from, 3);
         }},
        {"ends at its socket's limit",
         [](World& world) {
           int from = file(world, "0123456789");
           auto [here, there] = world.pair();
           set_limit(here, SO_SNDTIMEO, 30);
           fill(here);
           send_file(world, here, from);
         }},
        {"the peer has closed",
         [](World& world) {
           int from = file(world, "0123456789");
           auto [here, there] = world.pair();
           auto [out, in] = world.pipe();
           Handles pipes(SIGPIPE);
           world.close(there);
           world.close(out);
           send_file(world, here, from);
           send_file(world, in, from);
           world.note("SIGPIPE", Handles::count());
         }},
        {"what does not do",
         [](World& world) {
           int from = file(world, "0123456789");
           auto [out, in] = world.pipe();
           auto [here, there] = world.pair();
           (void)!write(in, "ab", 2);
           send_file(world, here, out);
           send_file(world, here, -1);
           send_file(world, -1, from);
           send_file(world, here, here);
           send_file(world, out, from);
           send_file(world, -1, -1, 0);
           send_file(world, in, world.own(open("/tmp", O_RDONLY)));
           int appends = file(world, "x");
           fcntl(appends, F_SETFL, O_APPEND);
           send_file(world, appends, from);
           off_t beyond = 1000;
           world.call("sendfile", [&, h = here] { return sendfile(h, from, &beyond, 8); });
         }},
        {"nowhere",
         [](World& world) {
           int from = file(world, "0123456789");
           auto [here, there] = world.pair();
           world.call("sendfile", [&, h = here] { return sendfile(h, from, wild<off_t>(), 8); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
    });

}  // namespace
