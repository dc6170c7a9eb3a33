// The truth about write.

#include "monkey/truth_io.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/eventfd.h>

using namespace fern::truth;

namespace {

constexpr std::size_t much = 1 << 20;

const Rows write_rows("Write",
                      {
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
                             note_drained(world, out, in,
                                          [&, in = in] { write_once(world, in, much); });
                           }},
                          {"all of much to a socket",
                           [](World& world) {
                             auto [here, there] = world.tcp();
                             note_drained(world, there, here,
                                          [&, here = here] { write_once(world, here, much); });
                           }},
                          {"waits for room in a pipe",
                           [](World& world) {
                             auto [out, in] = world.pipe();
                             std::size_t before = fill(in);
                             auto peer =
                                 world.when_waiting([out, before] { read_all(out, before); });
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

}  // namespace
