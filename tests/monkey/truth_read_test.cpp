// The truth about read.

#include "monkey/truth_io.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

using namespace fern::truth;

namespace {

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
                   auto peer = world.will_send(in, {"ab"});
                   read_once(world, out);
                 }},
                {"waits for a socket",
                 [](World& world) {
                   auto [here, there] = world.tcp();
                   auto peer = world.will_send(there, {"ab"});
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
                   auto peer = world.will_send(in, {"ab"});
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

}  // namespace
