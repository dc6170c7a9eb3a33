// The truth about recv: what comes, its ends and its limits.

#include "monkey/truth_receive.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

using namespace fern::truth;

namespace {

const Rows recv_rows(
    "Recv",
    {
        {"takes what is there",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "abc", 3, 0);
           receive_once(world, here);
         }},
        {"takes no more than it has room for",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "abcdef", 6, 0);
           receive_once(world, here, 4);
           receive_once(world, here, 4);
         }},
        {"waits for what is sent",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.will_send(there, {"ab"});
           receive_once(world, here);
         }},
        {"waits for what is sent over loopback",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.will_send(there, {"ab"});
           receive_once(world, here);
         }},
        {"waits for a datagram",
         [](World& world) {
           auto [here, there] = world.udp();
           auto peer = world.will_send(there, {"ab"});
           receive_once(world, here);
         }},
        {"sees the end of a peer that has closed",
         [](World& world) {
           auto [here, there] = world.pair();
           world.close(there);
           receive_once(world, here);
           receive_once(world, here);
         }},
        {"sees the end of a peer that closes",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([there, &world] { world.close(there); });
           receive_once(world, here);
         }},
        {"sees what was sent before the end",
         [](World& world) {
           auto [here, there] = world.tcp();
           send(there, "ab", 2, 0);
           world.close(there);
           receive_once(world, here);
           receive_once(world, here);
         }},
        {"sees the end of a peer that shuts down",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there] { shutdown(there, SHUT_WR); });
           receive_once(world, here);
         }},
        {"sees the end of its own reading",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([here] { shutdown(here, SHUT_RD); });
           receive_once(world, here);
         }},
        {"sees the end after its own shutdown",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "ab", 2, 0);
           shutdown(here, SHUT_RD);
           receive_once(world, here);
           receive_once(world, here);
         }},
        {"hears of a reset once",
         [](World& world) {
           auto [here, there] = world.tcp();
           reset(world, there);
           receive_once(world, here);
           receive_once(world, here);
         }},
        {"hears of a reset while it waits",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there, &world] { reset(world, there); });
           receive_once(world, here);
           receive_once(world, here);
         }},
        {"hears of a unix peer that closed with something unread",
         [](World& world) {
           auto [here, there] = world.pair();
           send(here, "x", 1, 0);
           world.close(there);
           receive_once(world, here);
           receive_once(world, here);
         }},
        {"hears of a port without a listener",
         [](World& world) {
           auto [here, there] = world.udp();
           world.close(here);
           send(there, "x", 1, 0);
           receive_once(world, there);
         }},
        {"ends at its time limit",
         [](World& world) {
           auto [here, there] = world.pair();
           set_limit(here, SO_RCVTIMEO, 30);
           receive_within_limit(world, here);
         }},
        {"ends at its time limit over loopback",
         [](World& world) {
           auto [here, there] = world.tcp();
           set_limit(here, SO_RCVTIMEO, 30);
           receive_within_limit(world, here);
           receive_within_limit(world, here);
         }},
        {"ends at its time limit without a datagram",
         [](World& world) {
           auto [here, there] = world.udp();
           set_limit(here, SO_RCVTIMEO, 30);
           receive_within_limit(world, here);
         }},
        {"takes no notice of the time limit when there is something",
         [](World& world) {
           auto [here, there] = world.pair();
           set_limit(here, SO_RCVTIMEO, 1);
           send(there, "ab", 2, 0);
           receive_once(world, here);
         }},
        {"takes what comes within a limit of a minute",
         [](World& world) {
           auto [here, there] = world.tcp();
           set_limit(here, SO_RCVTIMEO, 60'000);
           auto peer = world.will_send(there, {"ab"});
           receive_once(world, here);
         }},
        {"waits for ever with a limit of nothing",
         [](World& world) {
           auto [here, there] = world.tcp();
           set_limit(here, SO_RCVTIMEO, 0);
           auto peer = world.will_send(there, {"ab"});
           receive_once(world, here);
         }},
        {"does not wait on what is non-blocking",
         [](World& world) {
           auto [here, there] = world.pair();
           set_nonblocking(here);
           receive_once(world, here);
           send(there, "ab", 2, 0);
           receive_once(world, here);
         }},
        {"does not wait on what was made non-blocking",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_STREAM | SOCK_NONBLOCK);
           receive_once(world, here);
         }},
        {"does not wait on what FIONBIO made non-blocking, and waits again",
         [](World& world) {
           auto [here, there] = world.pair();
           int on = 1;
           ioctl(here, FIONBIO, &on);
           receive_once(world, here);
           on = 0;
           ioctl(here, FIONBIO, &on);
           auto peer = world.will_send(there, {"ab"});
           receive_once(world, here);
         }},
        {"does not wait on what is non-blocking by its duplicate",
         [](World& world) {
           auto [here, there] = world.pair();
           int other = world.own(dup(here));
           set_nonblocking(other);
           receive_once(world, here);
         }},
        {"does not wait on what is non-blocking, limit or not",
         [](World& world) {
           auto [here, there] = world.pair();
           set_limit(here, SO_RCVTIMEO, 60'000);
           set_nonblocking(here);
           receive_once(world, here);
         }},
        {"does not wait when it is told so",
         [](World& world) {
           auto [here, there] = world.pair();
           receive_once(world, here, 8, MSG_DONTWAIT);
           send(there, "ab", 2, 0);
           receive_once(world, here, 8, MSG_DONTWAIT);
           world.close(there);
           receive_once(world, here, 8, MSG_DONTWAIT);
         }},
        {"SO_RCVLOWAT waits for as much",
         [](World& world) {
           auto [here, there] = world.tcp();
           int least = 4;
           setsockopt(here, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
           auto peer = world.will_send(there, {"ab", "cd"});
           receive_once(world, here);
         }},
        {"a bad descriptor", [](World& world) { receive_once(world, -1); }},
        {"a closed descriptor", [](World& world) { receive_once(world, world.closed_fd()); }},
        {"a bad descriptor, not waiting",
         [](World& world) { receive_once(world, -1, 8, MSG_DONTWAIT); }},
        {"a bad descriptor, waiting for all",
         [](World& world) { receive_once(world, -1, 8, MSG_WAITALL); }},
        {"what is no socket",
         [](World& world) {
           auto [here, there] = world.pipe();
           receive_once(world, here);
           receive_once(world, here, 8, MSG_WAITALL);
           receive_once(world, here, 8, MSG_DONTWAIT);
         }},
        {"a file", [](World& world) { receive_once(world, world.own(open("/dev/null", O_RDWR))); }},
        {"a socket that has no connection",
         [](World& world) { receive_once(world, world.own(socket(AF_INET, SOCK_STREAM, 0))); }},
        {"a unix socket that has no connection",
         [](World& world) { receive_once(world, world.own(socket(AF_UNIX, SOCK_STREAM, 0))); }},
        {"a listener",
         [](World& world) {
           int fd = world.own(socket(AF_INET, SOCK_STREAM, 0));
           listen(fd, 1);
           receive_once(world, fd);
         }},
        {"no room for what is there",
         [](World& world) {
           auto [here, there] = world.tcp();
           send(there, "ab", 2, 0);
           world.call("recv", [here] { return recv(here, null(), 8, 0); });
           receive_once(world, here);
         }},
        {"no room for what comes",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.will_send(there, {"ab"});
           world.call("recv", [here] { return recv(here, null(), 8, 0); });
         }},
        {"nowhere to put it",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "ab", 2, 0);
           world.call("recv", [here] { return recv(here, wild(), 8, 0); });
           world.call("recv", [here] { return recv(here, wild(), 8, MSG_WAITALL); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"nowhere to put a datagram",
         [](World& world) {
           auto [here, there] = world.udp();
           send(there, "ab", 2, 0);
           send(there, "cd", 2, 0);
           world.call("recv", [here] { return recv(here, null(), 8, 0); });
           receive_once(world, here);
         }},
        {"half a megabyte into room for a page",
         [](World& world) {
           auto [here, there] = world.tcp();
           std::string bytes(1 << 19, 'm');
           auto peer = world.when_waiting(
               [there, &bytes] { send(there, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
           std::string got(bytes.size(), 0);
           world.call("recv",
                      [here, &got] { return recv(here, got.data(), got.size(), MSG_WAITALL); });
           world.note("equal", got == bytes);
         }},
    });

}  // namespace
