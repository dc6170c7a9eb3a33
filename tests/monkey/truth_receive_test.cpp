// The truth about recv, recvfrom and recvmsg.

#include "monkey/truth.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include <array>
#include <vector>

using namespace fern::truth;

namespace {

std::string_view text(const char* bytes, ssize_t size) {
  return {bytes, size < 0 ? 0 : static_cast<std::size_t>(size)};
}

// A receiver of datagrams on loopback, and a sender to it.
std::pair<int, int> udp(World& world) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  int here = socket(AF_INET, SOCK_DGRAM, 0);
  bind(here, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(here, reinterpret_cast<sockaddr*>(&address), &size);
  int there = socket(AF_INET, SOCK_DGRAM, 0);
  connect(there, reinterpret_cast<sockaddr*>(&address), size);
  return world.own({here, there});
}

// A message of parts of these sizes in one buffer.
struct Message {
  explicit Message(std::initializer_list<std::size_t> sizes) {
    std::size_t at = 0;
    for (std::size_t size : sizes) {
      parts.push_back({bytes.data() + at, size});
      at += size;
    }
    header.msg_iov = parts.data();
    header.msg_iovlen = parts.size();
  }
  void note(World& world, ssize_t got) const {
    world.note("data", text(bytes.data(), got));
    world.note("msg_flags", header.msg_flags);
    world.note("msg_namelen", header.msg_namelen);
    world.note("msg_controllen", header.msg_controllen);
  }
  std::array<char, 4096> bytes{};
  std::vector<iovec> parts;
  msghdr header{};
};

void receive_once(World& world, int fd, std::size_t size = 8, int flags = 0) {
  char bytes[64] = {};
  ssize_t got = world.call("recv", [&] { return recv(fd, bytes, size, flags); });
  world.note("data", text(bytes, std::min<ssize_t>(got, 64)));
}

void receive_within_limit(World& world, int fd, std::size_t size = 8, int flags = 0) {
  char bytes[64] = {};
  auto begin = std::chrono::steady_clock::now();
  ssize_t got = world.waiting_call("recv", [&] { return recv(fd, bytes, size, flags); });
  world.note("waited", std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(30));
  world.note("data", text(bytes, got));
}

void waits_for_the_rest(World& world, std::pair<int, int> ends) {
  int there = ends.second;
  auto peer = world.when_waiting([there, &world] {
    send(there, "ab", 2, 0);
    world.until_waiting();
    send(there, "cdef", 4, 0);
  });
  receive_once(world, ends.first, 5, MSG_WAITALL);
  receive_once(world, ends.first);
}

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
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
           receive_once(world, here);
         }},
        {"waits for what is sent over loopback",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
           receive_once(world, here);
         }},
        {"waits for a datagram",
         [](World& world) {
           auto [here, there] = udp(world);
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
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
           auto [here, there] = udp(world);
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
           auto [here, there] = udp(world);
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
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
           receive_once(world, here);
         }},
        {"waits for ever with a limit of nothing",
         [](World& world) {
           auto [here, there] = world.tcp();
           set_limit(here, SO_RCVTIMEO, 0);
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
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
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
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
        {"with room for nothing takes nothing of a stream",
         [](World& world) {
           auto [here, there] = world.tcp();
           send(there, "ab", 2, 0);
           receive_once(world, here, 0);
           receive_once(world, here);
         }},
        {"with room for nothing waits all the same",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
           receive_once(world, here, 0);
           receive_once(world, here);
         }},
        {"with room for nothing waits for a unix peer",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
           receive_once(world, here, 0);
           receive_once(world, here);
         }},
        {"with room for nothing throws a datagram away",
         [](World& world) {
           auto [here, there] = udp(world);
           send(there, "ab", 2, 0);
           send(there, "cd", 2, 0);
           receive_once(world, here, 0);
           receive_once(world, here);
         }},
        {"takes an empty datagram for one",
         [](World& world) {
           auto [here, there] = udp(world);
           auto peer = world.when_waiting([there] {
             send(there, "", 0, 0);
             send(there, "ab", 2, 0);
           });
           receive_once(world, here);
           receive_once(world, here);
         }},
        {"cuts a datagram",
         [](World& world) {
           auto [here, there] = udp(world);
           send(there, "abcdef", 6, 0);
           send(there, "gh", 2, 0);
           receive_once(world, here, 4);
           receive_once(world, here, 4);
         }},
        {"MSG_TRUNC says how long a datagram was",
         [](World& world) {
           auto [here, there] = udp(world);
           auto peer = world.when_waiting([there] { send(there, "abcdef", 6, 0); });
           receive_once(world, here, 4, MSG_TRUNC);
         }},
        {"MSG_TRUNC throws a stream's bytes away",
         [](World& world) {
           auto [here, there] = world.tcp();
           send(there, "abcdef", 6, 0);
           receive_once(world, here, 4, MSG_TRUNC);
           receive_once(world, here, 4);
         }},
        {"MSG_PEEK leaves what it saw",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([there] { send(there, "abc", 3, 0); });
           receive_once(world, here, 2, MSG_PEEK);
           receive_once(world, here, 8, MSG_PEEK);
           receive_once(world, here);
         }},
        {"MSG_PEEK and MSG_WAITALL over loopback",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there, &world] {
             send(there, "ab", 2, 0);
             world.until_waiting();
             send(there, "cd", 2, 0);
           });
           receive_once(world, here, 4, MSG_PEEK | MSG_WAITALL);
           receive_once(world, here, 4);
         }},
        {"MSG_PEEK and MSG_WAITALL to the end",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there, &world] {
             send(there, "ab", 2, 0);
             world.until_waiting();
             world.close(there);
           });
           receive_once(world, here, 4, MSG_PEEK | MSG_WAITALL);
           receive_once(world, here, 4);
         }},
        {"MSG_PEEK and MSG_WAITALL within a limit",
         [](World& world) {
           auto [here, there] = world.tcp();
           set_limit(here, SO_RCVTIMEO, 30);
           send(there, "ab", 2, 0);
           receive_within_limit(world, here, 4, MSG_PEEK | MSG_WAITALL);
           receive_once(world, here, 4);
         }},
        {"MSG_WAITALL waits for the rest",
         [](World& world) { waits_for_the_rest(world, world.pair()); }},
        {"MSG_WAITALL over loopback waits for the rest",
         [](World& world) { waits_for_the_rest(world, world.tcp()); }},
        {"MSG_WAITALL with all there does not wait",
         [](World& world) {
           auto [here, there] = world.tcp();
           send(there, "abcdef", 6, 0);
           receive_once(world, here, 5, MSG_WAITALL);
         }},
        {"MSG_WAITALL ends with the stream",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there, &world] {
             send(there, "ab", 2, 0);
             world.until_waiting();
             world.close(there);
           });
           receive_once(world, here, 5, MSG_WAITALL);
           receive_once(world, here, 5, MSG_WAITALL);
         }},
        {"MSG_WAITALL with a part tells of the reset afterwards",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there, &world] {
             send(there, "ab", 2, 0);
             world.until_waiting();
             reset(world, there);
           });
           receive_once(world, here, 5, MSG_WAITALL);
           receive_once(world, here, 5, MSG_WAITALL);
           receive_once(world, here, 5, MSG_WAITALL);
         }},
        {"MSG_WAITALL without anything tells of the reset",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there, &world] { reset(world, there); });
           receive_once(world, here, 5, MSG_WAITALL);
           receive_once(world, here, 5, MSG_WAITALL);
         }},
        {"MSG_WAITALL ends at its limit with a part",
         [](World& world) {
           auto [here, there] = world.tcp();
           set_limit(here, SO_RCVTIMEO, 30);
           send(there, "ab", 2, 0);
           receive_within_limit(world, here, 5, MSG_WAITALL);
           receive_within_limit(world, here, 5, MSG_WAITALL);
         }},
        {"MSG_WAITALL on what is non-blocking takes what is there",
         [](World& world) {
           auto [here, there] = world.tcp();
           set_nonblocking(here);
           receive_once(world, here, 5, MSG_WAITALL);
           send(there, "ab", 2, 0);
           receive_once(world, here, 5, MSG_WAITALL);
         }},
        {"MSG_WAITALL and MSG_DONTWAIT take what is there",
         [](World& world) {
           auto [here, there] = world.tcp();
           receive_once(world, here, 5, MSG_WAITALL | MSG_DONTWAIT);
           send(there, "ab", 2, 0);
           receive_once(world, here, 5, MSG_WAITALL | MSG_DONTWAIT);
         }},
        {"MSG_WAITALL takes one datagram",
         [](World& world) {
           auto [here, there] = udp(world);
           send(there, "ab", 2, 0);
           send(there, "cd", 2, 0);
           receive_once(world, here, 8, MSG_WAITALL);
         }},
        {"MSG_WAITALL takes one packet",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_SEQPACKET);
           auto peer = world.when_waiting([there] {
             send(there, "ab", 2, 0);
             send(there, "cd", 2, 0);
           });
           receive_once(world, here, 8, MSG_WAITALL);
           receive_once(world, here, 1);
         }},
        {"MSG_WAITALL of nothing",
         [](World& world) {
           auto [here, there] = world.tcp();
           send(there, "ab", 2, 0);
           receive_once(world, here, 0, MSG_WAITALL);
           receive_once(world, here);
         }},
        {"MSG_OOB without any",
         [](World& world) {
           auto [here, there] = world.tcp();
           receive_once(world, here, 1, MSG_OOB);
         }},
        {"MSG_OOB takes the urgent byte",
         [](World& world) {
           auto [here, there] = world.tcp();
           send(there, "abc", 3, MSG_OOB);
           receive_once(world, here, 1, MSG_OOB);
           receive_once(world, here);
         }},
        {"MSG_ERRQUEUE without anything",
         [](World& world) {
           auto [here, there] = udp(world);
           receive_once(world, here, 8, MSG_ERRQUEUE);
         }},
        {"MSG_ERRQUEUE of a unix socket means nothing",
         [](World& world) {
           for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
             auto [here, there] = world.pair(type);
             auto peer = world.when_waiting([to = there] { send(to, "ab", 2, 0); });
             receive_once(world, here, 8, MSG_ERRQUEUE);
           }
         }},
        {"MSG_CMSG_CLOEXEC and MSG_NOSIGNAL mean nothing here",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
           receive_once(world, here, 8, MSG_CMSG_CLOEXEC | MSG_NOSIGNAL);
         }},
        {"flags that nobody knows",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
           receive_once(world, here, 8, 1 << 27);
         }},
        {"SO_RCVLOWAT waits for as much",
         [](World& world) {
           auto [here, there] = world.tcp();
           int least = 4;
           setsockopt(here, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
           auto peer = world.when_waiting([there, &world] {
             send(there, "ab", 2, 0);
             world.until_waiting();
             send(there, "cd", 2, 0);
           });
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
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
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
           auto [here, there] = udp(world);
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

void receive_from(World& world, int fd, std::size_t size = 8, int flags = 0,
                  socklen_t room = sizeof(sockaddr_storage)) {
  char bytes[64] = {};
  sockaddr_storage from{};
  socklen_t from_size = room;
  ssize_t got = world.call("recvfrom", [&] {
    return recvfrom(fd, bytes, size, flags, reinterpret_cast<sockaddr*>(&from), &from_size);
  });
  world.note("data", text(bytes, std::min<ssize_t>(got, 64)));
  world.note("family", from.ss_family);
  world.note("address size", from_size);
  if (from.ss_family == AF_INET && from_size == sizeof(sockaddr_in)) {
    char name[64];
    inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in&>(from).sin_addr, name, sizeof name);
    world.note("address", name);
  }
}

const Rows recvfrom_rows(
    "Recvfrom", {
                    {"says who sent a datagram",
                     [](World& world) {
                       auto [here, there] = udp(world);
                       send(there, "ab", 2, 0);
                       receive_from(world, here);
                     }},
                    {"waits, and says who sent a datagram",
                     [](World& world) {
                       auto [here, there] = udp(world);
                       auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
                       receive_from(world, here);
                     }},
                    {"with room for half an address",
                     [](World& world) {
                       auto [here, there] = udp(world);
                       auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
                       receive_from(world, here, 8, 0, 5);
                     }},
                    {"with room for no address",
                     [](World& world) {
                       auto [here, there] = udp(world);
                       send(there, "ab", 2, 0);
                       receive_from(world, here, 8, 0, 0);
                     }},
                    {"with less than no room for the address",
                     [](World& world) {
                       auto [here, there] = udp(world);
                       send(there, "ab", 2, 0);
                       receive_from(world, here, 8, 0, static_cast<socklen_t>(-1));
                       receive_from(world, here, 8, MSG_DONTWAIT);
                     }},
                    {"a stream has no sender",
                     [](World& world) {
                       auto [here, there] = world.tcp();
                       auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
                       receive_from(world, here);
                     }},
                    {"a unix stream has no sender",
                     [](World& world) {
                       auto [here, there] = world.pair();
                       send(there, "ab", 2, 0);
                       receive_from(world, here);
                     }},
                    {"a nameless unix sender",
                     [](World& world) {
                       auto [here, there] = world.pair(SOCK_DGRAM);
                       auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
                       receive_from(world, here);
                     }},
                    {"a stream's end",
                     [](World& world) {
                       auto [here, there] = world.tcp();
                       world.close(there);
                       receive_from(world, here);
                     }},
                    {"MSG_WAITALL",
                     [](World& world) {
                       auto [here, there] = world.tcp();
                       auto peer = world.when_waiting([there, &world] {
                         send(there, "ab", 2, 0);
                         world.until_waiting();
                         send(there, "cd", 2, 0);
                       });
                       receive_from(world, here, 4, MSG_WAITALL);
                     }},
                    {"MSG_WAITALL of a unix stream",
                     [](World& world) {
                       auto [here, there] = world.pair();
                       auto peer = world.when_waiting([there, &world] {
                         send(there, "ab", 2, 0);
                         world.until_waiting();
                         send(there, "cd", 2, 0);
                       });
                       receive_from(world, here, 4, MSG_WAITALL);
                     }},
                    {"MSG_TRUNC",
                     [](World& world) {
                       auto [here, there] = udp(world);
                       send(there, "abcdef", 6, 0);
                       receive_from(world, here, 2, MSG_TRUNC);
                     }},
                    {"does not wait when told so",
                     [](World& world) {
                       auto [here, there] = udp(world);
                       receive_from(world, here, 8, MSG_DONTWAIT);
                     }},
                    {"does not wait on what is non-blocking",
                     [](World& world) {
                       auto [here, there] = udp(world);
                       set_nonblocking(here);
                       receive_from(world, here);
                     }},
                    {"ends at its limit",
                     [](World& world) {
                       auto [here, there] = udp(world);
                       set_limit(here, SO_RCVTIMEO, 30);
                       receive_from(world, here);
                     }},
                    {"an address but no room for its size",
                     [](World& world) {
                       auto [here, there] = udp(world);
                       send(there, "ab", 2, 0);
                       sockaddr_storage from{};
                       char bytes[8];
                       world.call("recvfrom", [&, here = here] {
                         return recvfrom(here, bytes, sizeof bytes, 0,
                                         reinterpret_cast<sockaddr*>(&from), null<socklen_t>());
                       });
                     },
                     In::Greenlet, FERN_TRUTH_WILD},
                    {"an address that is nowhere",
                     [](World& world) {
                       auto [here, there] = udp(world);
                       send(there, "ab", 2, 0);
                       char bytes[8];
                       socklen_t size = 16;
                       world.call("recvfrom", [&, here = here] {
                         return recvfrom(here, bytes, sizeof bytes, 0, wild<sockaddr>(), &size);
                       });
                       world.note("size", size);
                     },
                     In::Greenlet, FERN_TRUTH_WILD},
                    {"a bad descriptor", [](World& world) { receive_from(world, -1); }},
                    {"what is no socket",
                     [](World& world) {
                       auto [here, there] = world.pipe();
                       receive_from(world, here);
                       receive_from(world, here, 8, MSG_WAITALL);
                     }},
                });

const Rows recvmsg_rows(
    "Recvmsg",
    {
        {"spreads what is there over its parts",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "abcdef", 6, 0);
           Message message{2, 0, 3, 8};
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, 0);
           }));
         }},
        {"waits for what is sent",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there] { send(there, "abcdef", 6, 0); });
           Message message{2, 0, 3, 8};
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, 0);
           }));
         }},
        {"says that it cut a datagram",
         [](World& world) {
           auto [here, there] = udp(world);
           auto peer = world.when_waiting([there] { send(there, "abcdef", 6, 0); });
           Message message{2, 1};
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, 0);
           }));
         }},
        {"says where a record ends",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_SEQPACKET);
           auto peer = world.when_waiting([there] { send(there, "abcdef", 6, 0); });
           Message message{2, 8};
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, 0);
           }));
         }},
        {"says who sent it",
         [](World& world) {
           auto [here, there] = udp(world);
           auto peer = world.when_waiting([there] { send(there, "ab", 2, 0); });
           Message message{8};
           sockaddr_storage from{};
           message.header.msg_name = &from;
           message.header.msg_namelen = sizeof from;
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, 0);
           }));
           world.note("family", from.ss_family);
         }},
        {"without parts",
         [](World& world) {
           auto [here, there] = udp(world);
           send(there, "ab", 2, 0);
           Message message{};
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, 0);
           }));
         }},
        {"brings a descriptor",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([there] {
             Message sent{1};
             alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
             sent.header.msg_control = room;
             sent.header.msg_controllen = sizeof room;
             cmsghdr* control = CMSG_FIRSTHDR(&sent.header);
             control->cmsg_level = SOL_SOCKET;
             control->cmsg_type = SCM_RIGHTS;
             control->cmsg_len = CMSG_LEN(sizeof(int));
             *reinterpret_cast<int*>(CMSG_DATA(control)) = STDERR_FILENO;
             sendmsg(there, &sent.header, 0);
           });
           Message message{8};
           alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
           message.header.msg_control = room;
           message.header.msg_controllen = sizeof room;
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, MSG_CMSG_CLOEXEC);
           }));
           cmsghdr* control = CMSG_FIRSTHDR(&message.header);
           world.note("type", control == nullptr ? -1 : control->cmsg_type);
           if (control != nullptr) {
             int fd = world.own(*reinterpret_cast<int*>(CMSG_DATA(control)));
             world.note("close on exec", fcntl(fd, F_GETFD));
           }
         }},
        {"MSG_WAITALL stops behind a descriptor",
         [](World& world) {
           auto [here, there] = world.pair();
           auto peer = world.when_waiting([there, &world] {
             Message sent{1};
             alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
             sent.header.msg_control = room;
             sent.header.msg_controllen = sizeof room;
             cmsghdr* control = CMSG_FIRSTHDR(&sent.header);
             control->cmsg_level = SOL_SOCKET;
             control->cmsg_type = SCM_RIGHTS;
             control->cmsg_len = CMSG_LEN(sizeof(int));
             *reinterpret_cast<int*>(CMSG_DATA(control)) = STDERR_FILENO;
             sendmsg(there, &sent.header, 0);
             world.until_waiting();
             send(there, "cd", 2, 0);
           });
           Message message{2};
           alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
           message.header.msg_control = room;
           message.header.msg_controllen = sizeof room;
           ssize_t got = world.call(
               "recvmsg", [&, here = here] { return recvmsg(here, &message.header, MSG_WAITALL); });
           message.note(world, got);
           cmsghdr* control = CMSG_FIRSTHDR(&message.header);
           if (control != nullptr) world.own(*reinterpret_cast<int*>(CMSG_DATA(control)));
         }},
        {"has no room for a descriptor that comes",
         [](World& world) {
           auto [here, there] = world.pair();
           Message sent{1};
           alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
           sent.header.msg_control = room;
           sent.header.msg_controllen = sizeof room;
           cmsghdr* control = CMSG_FIRSTHDR(&sent.header);
           control->cmsg_level = SOL_SOCKET;
           control->cmsg_type = SCM_RIGHTS;
           control->cmsg_len = CMSG_LEN(sizeof(int));
           *reinterpret_cast<int*>(CMSG_DATA(control)) = STDERR_FILENO;
           sendmsg(there, &sent.header, 0);
           Message message{8};
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, 0);
           }));
         }},
        {"MSG_WAITALL fills all parts",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there, &world] {
             send(there, "abc", 3, 0);
             world.until_waiting();
             send(there, "defghijk", 8, 0);
           });
           Message message{2, 0, 3, 4};
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, MSG_WAITALL);
           }));
         }},
        {"MSG_WAITALL fills a hundred parts",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there, &world] {
             send(there, "abc", 3, 0);
             world.until_waiting();
             send(there, std::string(97, 'x').data(), 97, 0);
           });
           Message message{};
           for (std::size_t i = 0; i < 100; ++i) message.parts.push_back({&message.bytes[i], 1});
           message.header.msg_iov = message.parts.data();
           message.header.msg_iovlen = message.parts.size();
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, MSG_WAITALL);
           }));
         }},
        {"MSG_WAITALL with a part tells of the reset afterwards",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there, &world] {
             send(there, "abc", 3, 0);
             world.until_waiting();
             reset(world, there);
           });
           for (int i = 0; i < 2; ++i) {
             Message message{2, 0, 3, 4};
             message.note(world, world.call("recvmsg", [&, here = here] {
               return recvmsg(here, &message.header, MSG_WAITALL);
             }));
           }
         }},
        {"MSG_WAITALL ends at its limit with a part",
         [](World& world) {
           auto [here, there] = world.pair();
           set_limit(here, SO_RCVTIMEO, 30);
           send(there, "abc", 3, 0);
           Message message{2, 8};
           message.note(world, world.waiting_call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, MSG_WAITALL);
           }));
         }},
        {"more parts than there may be",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "ab", 2, 0);
           Message message{};
           message.parts.resize(1025, {message.bytes.data(), 1});
           message.header.msg_iov = message.parts.data();
           for (std::size_t parts : {std::size_t{1024}, std::size_t{1025}}) {
             message.header.msg_iovlen = parts;
             world.call("recvmsg",
                        [&, here = here] { return recvmsg(here, &message.header, MSG_DONTWAIT); });
             world.call("recvmsg, all", [&, here = here] {
               return recvmsg(here, &message.header, MSG_WAITALL | MSG_DONTWAIT);
             });
           }
         }},
        {"a part of less than nothing",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "ab", 2, 0);
           Message message{2};
           message.parts[0].iov_len = static_cast<std::size_t>(-1);
           world.call("recvmsg", [&, here = here] { return recvmsg(here, &message.header, 0); });
           world.call("recvmsg, all",
                      [&, here = here] { return recvmsg(here, &message.header, MSG_WAITALL); });
         }},
        {"no message",
         [](World& world) {
           auto [here, there] = world.pair();
           world.call("recvmsg", [here] { return recvmsg(here, null<msghdr>(), 0); });
           world.call("recvmsg, all",
                      [here] { return recvmsg(here, null<msghdr>(), MSG_WAITALL); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"a message that is nowhere",
         [](World& world) {
           auto [here, there] = world.pair();
           world.call("recvmsg", [here] { return recvmsg(here, wild<msghdr>(), 0); });
           world.call("recvmsg, all",
                      [here] { return recvmsg(here, wild<msghdr>(), MSG_WAITALL); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"parts that are nowhere",
         [](World& world) {
           auto [here, there] = world.pair();
           send(there, "ab", 2, 0);
           Message message{1};
           message.header.msg_iov = wild<iovec>();
           message.header.msg_iovlen = 2;
           world.call("recvmsg", [&, here = here] { return recvmsg(here, &message.header, 0); });
           world.call("recvmsg, all",
                      [&, here = here] { return recvmsg(here, &message.header, MSG_WAITALL); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"a part that is nowhere",
         [](World& world) {
           auto [here, there] = world.tcp();
           send(there, "abcd", 4, 0);
           Message message{2, 2};
           message.parts[1].iov_base = wild();
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, 0);
           }));
           receive_once(world, here, 8, MSG_DONTWAIT);
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"does not wait when it is not to",
         [](World& world) {
           auto [here, there] = world.pair();
           Message message{8};
           world.call("recvmsg",
                      [&, here = here] { return recvmsg(here, &message.header, MSG_DONTWAIT); });
           set_nonblocking(here);
           world.call("recvmsg", [&, here = here] { return recvmsg(here, &message.header, 0); });
           message.note(world, 0);
         }},
        {"a bad descriptor",
         [](World& world) {
           Message message{8};
           world.call("recvmsg", [&] { return recvmsg(-1, &message.header, 0); });
           world.call("recvmsg, all", [&] { return recvmsg(-1, &message.header, MSG_WAITALL); });
         }},
        {"what is no socket",
         [](World& world) {
           auto [here, there] = world.pipe();
           Message message{8};
           world.call("recvmsg", [&, here = here] { return recvmsg(here, &message.header, 0); });
         }},
        {"the end",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([there, &world] { world.close(there); });
           Message message{8};
           message.note(world, world.call("recvmsg", [&, here = here] {
             return recvmsg(here, &message.header, 0);
           }));
         }},
    });

}  // namespace
