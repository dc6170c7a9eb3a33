// The truth about what becomes of descriptors.

#include "monkey/truth_io.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cstdlib>

using namespace fern::truth;

namespace {

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
           auto peer = world.will_send(there, {"x"});
           read_once(world, here);
           flags_of(world, here);
           auto [out, in] = world.pipe();
           auto writer = world.will_send(in, {"x"});
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
