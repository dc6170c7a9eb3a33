// The truth about connect, accept and shutdown.

#include "monkey/truth.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>

#include <array>
#include <cstddef>
#include <cstdio>

using namespace fern::truth;

namespace {

const sockaddr* plain(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

struct Listener {
  explicit Listener(World& world, int backlog = 8, int type = SOCK_STREAM) {
    fd = world.own(socket(AF_INET, type, 0));
    name = loopback();
    socklen_t size = sizeof name;
    bind(fd, plain(name), size);
    if (backlog >= 0) listen(fd, backlog);
    getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
  }
  int fd;
  sockaddr_in name;
};

int tcp_socket(World& world, int flags = 0) {
  return world.own(socket(AF_INET, SOCK_STREAM | flags, 0));
}

// A listener whose queue is full answers nobody.
struct BlackHole {
  explicit BlackHole(World& world) : listener(world, 0) {
    for (int i = 0; i < 3; ++i) {
      connect(tcp_socket(world, SOCK_NONBLOCK), plain(listener.name), sizeof listener.name);
    }
    usleep(1000);
  }
  Listener listener;
};

int connect_to(World& world, int fd, const sockaddr_in& name) {
  return world.call("connect", [&] { return connect(fd, plain(name), sizeof name); });
}

void note_error(World& world, int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  world.note("SO_ERROR", error);
}

const Rows connect_rows(
    "Connect",
    {
        {"to a listener",
         [](World& world) {
           Listener listener(world);
           int fd = tcp_socket(world);
           connect_to(world, fd, listener.name);
           note_error(world, fd);
           world.call("send", [&] { return send(fd, "x", 1, 0); });
         }},
        {"to a unix listener",
         [](World& world) {
           UnixListener listener(world, 8);
           int fd = world.own(socket(AF_UNIX, SOCK_STREAM, 0));
           world.call("connect", [&] { return listener.connect_to(fd); });
           world.call("send", [&] { return send(fd, "x", 1, 0); });
         }},
        {"to nobody",
         [](World& world) {
           Listener listener(world);
           world.close(listener.fd);
           int fd = tcp_socket(world);
           connect_to(world, fd, listener.name);
           note_error(world, fd);
         }},
        {"to nobody again and again",
         [](World& world) {
           Listener listener(world);
           world.close(listener.fd);
           int fd = tcp_socket(world);
           for (int i = 0; i < 3; ++i) connect_to(world, fd, listener.name);
           char byte;
           world.call("recv", [&] { return recv(fd, &byte, 1, 0); });
         }},
        {"to somebody after nobody",
         [](World& world) {
           Listener nobody(world);
           world.close(nobody.fd);
           Listener listener(world);
           int fd = tcp_socket(world);
           connect_to(world, fd, nobody.name);
           connect_to(world, fd, listener.name);
         }},
        {"to a unix nobody",
         [](World& world) {
           UnixListener listener(world, 8);
           world.close(listener.fd);
           int fd = world.own(socket(AF_UNIX, SOCK_STREAM, 0));
           world.call("connect", [&] { return listener.connect_to(fd); });
         }},
        {"to what is bound but does not listen",
         [](World& world) {
           Listener bound(world, -1);
           connect_to(world, tcp_socket(world), bound.name);
         }},
        {"to a unix name of another type",
         [](World& world) {
           UnixListener listener(world, 8);
           int fd = world.own(socket(AF_UNIX, SOCK_DGRAM, 0));
           world.call("connect", [&] { return listener.connect_to(fd); });
         }},
        {"twice",
         [](World& world) {
           Listener listener(world);
           int fd = tcp_socket(world);
           connect_to(world, fd, listener.name);
           connect_to(world, fd, listener.name);
         }},
        {"twice over unix",
         [](World& world) {
           UnixListener listener(world, 8);
           int fd = world.own(socket(AF_UNIX, SOCK_STREAM, 0));
           for (int i = 0; i < 2; ++i) {
             world.call("connect", [&] { return listener.connect_to(fd); });
           }
         }},
        {"of a listener",
         [](World& world) {
           Listener listener(world);
           connect_to(world, listener.fd, listener.name);
         }},
        {"non-blocking is in progress, then already, then connected",
         [](World& world) {
           Listener listener(world);
           int fd = tcp_socket(world, SOCK_NONBLOCK);
           connect_to(world, fd, listener.name);
           // Over loopback the connection is there by now.
           connect_to(world, fd, listener.name);
           connect_to(world, fd, listener.name);
         }},
        {"non-blocking to nobody",
         [](World& world) {
           Listener listener(world);
           world.close(listener.fd);
           int fd = tcp_socket(world, SOCK_NONBLOCK);
           connect_to(world, fd, listener.name);
           connect_to(world, fd, listener.name);
         }},
        {"non-blocking to a black hole",
         [](World& world) {
           BlackHole hole(world);
           int fd = tcp_socket(world, SOCK_NONBLOCK);
           connect_to(world, fd, hole.listener.name);
           connect_to(world, fd, hole.listener.name);
           note_error(world, fd);
         }},
        {"to a black hole ends at its limit",
         [](World& world) {
           BlackHole hole(world);
           int fd = tcp_socket(world);
           set_limit(fd, SO_SNDTIMEO, 30);
           world.waiting_call("connect", [&] {
             return connect(fd, plain(hole.listener.name), sizeof hole.listener.name);
           });
           world.waiting_call("connect", [&] {
             return connect(fd, plain(hole.listener.name), sizeof hole.listener.name);
           });
           note_error(world, fd);
         }},
        {"to a black hole waits until it is shut",
         [](World& world) {
           BlackHole hole(world);
           int fd = tcp_socket(world);
           auto peer = world.when_waiting([fd] { shutdown(fd, SHUT_RDWR); });
           connect_to(world, fd, hole.listener.name);
         }},
        {"waits for what was begun without blocking",
         [](World& world) {
           BlackHole hole(world);
           int fd = tcp_socket(world, SOCK_NONBLOCK);
           connect_to(world, fd, hole.listener.name);
           fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
           set_limit(fd, SO_SNDTIMEO, 30);
           world.waiting_call("connect", [&] {
             return connect(fd, plain(hole.listener.name), sizeof hole.listener.name);
           });
         }},
        {"to a full unix listener waits for room",
         [](World& world) {
           UnixListener listener(world, 0);
           listener.fill(world);
           int fd = world.own(socket(AF_UNIX, SOCK_STREAM, 0));
           auto peer =
               world.when_waiting([&] { world.own(accept(listener.fd, nullptr, nullptr)); });
           world.call("connect", [&] { return listener.connect_to(fd); });
         }},
        {"to a full unix listener, not waiting",
         [](World& world) {
           UnixListener listener(world, 0);
           listener.fill(world);
           int fd = world.own(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
           world.call("connect", [&] { return listener.connect_to(fd); });
         }},
        {"to a full unix listener ends at its limit",
         [](World& world) {
           UnixListener listener(world, 0);
           listener.fill(world);
           int fd = world.own(socket(AF_UNIX, SOCK_STREAM, 0));
           set_limit(fd, SO_SNDTIMEO, 30);
           world.waiting_call("connect", [&] { return listener.connect_to(fd); });
         }},
        {"to a full unix listener that closes",
         [](World& world) {
           UnixListener listener(world, 0);
           listener.fill(world);
           int fd = world.own(socket(AF_UNIX, SOCK_STREAM, 0));
           auto peer = world.when_waiting([&] { world.close(listener.fd); });
           world.call("connect", [&] { return listener.connect_to(fd); });
         }},
        {"of datagrams",
         [](World& world) {
           Listener to(world, -1, SOCK_DGRAM);
           int fd = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           connect_to(world, fd, to.name);
           connect_to(world, fd, to.name);
           sockaddr_in nothing{};
           nothing.sin_family = AF_UNSPEC;
           connect_to(world, fd, nothing);
           world.call("send", [&] { return send(fd, "x", 1, 0); });
         }},
        {"to nothing at all ends a connection",
         [](World& world) {
           Listener listener(world);
           int fd = tcp_socket(world);
           connect_to(world, fd, listener.name);
           sockaddr_in nothing{};
           nothing.sin_family = AF_UNSPEC;
           connect_to(world, fd, nothing);
           connect_to(world, fd, listener.name);
         }},
        {"to another family",
         [](World& world) {
           sockaddr_in name = loopback(1);
           name.sin_family = AF_INET6;
           connect_to(world, tcp_socket(world), name);
           name.sin_family = 77;
           connect_to(world, tcp_socket(world), name);
         }},
        {"to half an address",
         [](World& world) {
           int fd = tcp_socket(world);
           sockaddr_in name = loopback(1);
           for (socklen_t size : {socklen_t{0}, socklen_t{1}, socklen_t{8}}) {
             world.call("connect", [&] { return connect(fd, plain(name), size); });
           }
           world.call("connect",
                      [&] { return connect(fd, plain(name), static_cast<socklen_t>(-1)); });
           std::array<char, 4096> long_name{};
           world.call("connect", [&] {
             return connect(fd, reinterpret_cast<sockaddr*>(long_name.data()), 4096);
           });
         }},
        {"to a network that is out of reach",
         [](World& world) {
           sockaddr_in name = loopback(htons(1));
           name.sin_addr.s_addr = htonl(INADDR_BROADCAST);
           connect_to(world, tcp_socket(world), name);
         }},
        {"to an address that is nowhere",
         [](World& world) {
           int fd = tcp_socket(world);
           world.call("connect", [&] { return connect(fd, null<sockaddr>(), 16); });
           world.call("connect", [&] { return connect(fd, wild<sockaddr>(), 16); });
           world.call("connect", [&] { return connect(fd, wild<sockaddr>(), 0); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"a bad descriptor",
         [](World& world) {
           connect_to(world, -1, loopback(1));
           connect_to(world, world.closed_fd(), loopback(1));
         }},
        {"what is no socket",
         [](World& world) {
           auto [here, there] = world.pipe();
           connect_to(world, here, loopback(1));
           connect_to(world, world.own(open("/dev/null", O_RDWR)), loopback(1));
         }},
        {"what is only a path",
         [](World& world) {
           connect_to(world, world.own(open("/dev/null", O_PATH)), loopback(1));
         }},
    });

// What accept says of a peer: everything but its port.
void accept_once(World& world, int fd, int flags = 0, socklen_t room = sizeof(sockaddr_storage)) {
  sockaddr_storage from{};
  socklen_t size = room;
  int got = world.open_call(
      "accept4", [&] { return accept4(fd, reinterpret_cast<sockaddr*>(&from), &size, flags); });
  world.note("family", from.ss_family);
  world.note("size", size);
  if (got < 0) return;
  world.note("flags", fcntl(got, F_GETFL));
  world.note("descriptor flags", fcntl(got, F_GETFD));
}

void connect_natively(World& world, const sockaddr_in& name) {
  int fd = tcp_socket(world, SOCK_NONBLOCK);
  connect(fd, plain(name), sizeof name);
}

const Rows accept_rows(
    "Accept",
    {
        {"somebody who is there",
         [](World& world) {
           Listener listener(world);
           connect_natively(world, listener.name);
           accept_once(world, listener.fd);
         }},
        {"waits for somebody",
         [](World& world) {
           Listener listener(world);
           auto peer = world.when_waiting([&] { connect_natively(world, listener.name); });
           accept_once(world, listener.fd);
         }},
        {"waits for somebody over unix",
         [](World& world) {
           UnixListener listener(world, 8);
           int client = world.own(socket(AF_UNIX, SOCK_STREAM, 0));
           auto peer = world.when_waiting([&] { listener.connect_to(client); });
           accept_once(world, listener.fd);
         }},
        {"by its old name",
         [](World& world) {
           Listener listener(world);
           auto peer = world.when_waiting([&] { connect_natively(world, listener.name); });
           int got =
               world.open_call("accept", [&] { return accept(listener.fd, nullptr, nullptr); });
           world.note("flags", fcntl(got, F_GETFL));
         }},
        {"gives what it is asked for",
         [](World& world) {
           Listener listener(world);
           for (int flags : {int{SOCK_NONBLOCK}, int{SOCK_CLOEXEC}, SOCK_NONBLOCK | SOCK_CLOEXEC}) {
             auto peer = world.when_waiting([&] { connect_natively(world, listener.name); });
             accept_once(world, listener.fd, flags);
           }
         }},
        {"does not inherit that its listener is non-blocking",
         [](World& world) {
           Listener listener(world);
           connect_natively(world, listener.name);
           usleep(1000);
           set_nonblocking(listener.fd);
           accept_once(world, listener.fd);
         }},
        {"does not wait on what is non-blocking",
         [](World& world) {
           Listener listener(world);
           set_nonblocking(listener.fd);
           accept_once(world, listener.fd);
         }},
        {"ends at its limit",
         [](World& world) {
           Listener listener(world);
           set_limit(listener.fd, SO_RCVTIMEO, 30);
           world.waiting_call("accept", [&] { return accept(listener.fd, nullptr, nullptr); });
         }},
        {"its listener's limits are inherited",
         [](World& world) {
           Listener listener(world);
           set_limit(listener.fd, SO_RCVTIMEO, 30'000);
           connect_natively(world, listener.name);
           int got =
               world.open_call("accept", [&] { return accept(listener.fd, nullptr, nullptr); });
           timeval limit{};
           socklen_t size = sizeof limit;
           getsockopt(got, SOL_SOCKET, SO_RCVTIMEO, &limit, &size);
           world.note("limit", limit.tv_sec);
         }},
        {"with room for half an address",
         [](World& world) {
           Listener listener(world);
           auto peer = world.when_waiting([&] { connect_natively(world, listener.name); });
           accept_once(world, listener.fd, 0, 4);
         }},
        {"with less than no room",
         [](World& world) {
           Listener listener(world);
           connect_natively(world, listener.name);
           accept_once(world, listener.fd, 0, static_cast<socklen_t>(-1));
           set_nonblocking(listener.fd);
           accept_once(world, listener.fd);
         }},
        {"somebody who is gone again",
         [](World& world) {
           Listener listener(world);
           int client = tcp_socket(world);
           connect(client, plain(listener.name), sizeof listener.name);
           reset(world, client);
           accept_once(world, listener.fd);
         }},
        {"when its listener is shut",
         [](World& world) {
           Listener listener(world);
           auto peer = world.when_waiting([&] { shutdown(listener.fd, SHUT_RD); });
           accept_once(world, listener.fd);
           accept_once(world, listener.fd);
         }},
        {"when its unix listener is shut",
         [](World& world) {
           UnixListener listener(world, 8);
           auto peer = world.when_waiting([&] { shutdown(listener.fd, SHUT_RDWR); });
           accept_once(world, listener.fd);
         }},
        {"flags that nobody knows",
         [](World& world) {
           Listener listener(world);
           accept_once(world, listener.fd, 1);
           accept_once(world, listener.fd, MSG_DONTWAIT);
         }},
        {"what does not listen", [](World& world) { accept_once(world, tcp_socket(world)); }},
        {"what is bound and does not listen",
         [](World& world) { accept_once(world, Listener(world, -1).fd); }},
        {"what has a connection",
         [](World& world) {
           auto [here, there] = world.tcp();
           accept_once(world, here);
           auto [one, other] = world.pair();
           accept_once(world, one);
         }},
        {"what takes datagrams",
         [](World& world) {
           accept_once(world, Listener(world, -1, SOCK_DGRAM).fd);
           auto [one, other] = world.pair(SOCK_DGRAM);
           accept_once(world, one);
         }},
        {"what is no socket",
         [](World& world) {
           auto [here, there] = world.pipe();
           accept_once(world, here);
           accept_once(world, world.own(open("/dev/null", O_RDWR)));
         }},
        {"a bad descriptor",
         [](World& world) {
           accept_once(world, -1);
           accept_once(world, world.closed_fd());
         }},
        {"an address that is nowhere",
         [](World& world) {
           Listener listener(world);
           connect_natively(world, listener.name);
           socklen_t size = 16;
           world.call("accept", [&] { return accept(listener.fd, wild<sockaddr>(), &size); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"an address without a size",
         [](World& world) {
           Listener listener(world);
           connect_natively(world, listener.name);
           sockaddr_in from{};
           world.call("accept", [&] {
             return accept(listener.fd, reinterpret_cast<sockaddr*>(&from), null<socklen_t>());
           });
         },
         In::Greenlet, FERN_TRUTH_WILD},
    });

int shut(World& world, int fd, int how) {
  return world.call("shutdown", [&] { return shutdown(fd, how); });
}

const Rows shutdown_rows("Shutdown",
                         {
                             {"each half",
                              [](World& world) {
                                auto [here, there] = world.tcp();
                                shut(world, here, SHUT_WR);
                                shut(world, here, SHUT_RD);
                                shut(world, here, SHUT_RDWR);
                              }},
                             {"of a connection that was reset",
                              [](World& world) {
                                auto [here, there] = world.tcp();
                                reset(world, there);
                                usleep(1000);
                                shut(world, here, SHUT_RDWR);
                              }},
                             {"of a unix peer that is gone",
                              [](World& world) {
                                auto [here, there] = world.pair();
                                world.close(there);
                                shut(world, here, SHUT_RDWR);
                              }},
                             {"in no way that there is",
                              [](World& world) {
                                auto [here, there] = world.tcp();
                                shut(world, here, 3);
                                shut(world, here, -1);
                              }},
                             {"without a connection",
                              [](World& world) {
                                shut(world, tcp_socket(world), SHUT_RD);
                                shut(world, world.own(socket(AF_UNIX, SOCK_STREAM, 0)), SHUT_RD);
                                shut(world, world.own(socket(AF_INET, SOCK_DGRAM, 0)), SHUT_RD);
                              }},
                             {"of a listener",
                              [](World& world) {
                                Listener listener(world);
                                shut(world, listener.fd, SHUT_RD);
                                shut(world, listener.fd, SHUT_RD);
                              }},
                             {"a bad descriptor",
                              [](World& world) {
                                shut(world, -1, SHUT_RD);
                                shut(world, world.closed_fd(), SHUT_RD);
                                shut(world, -1, 7);
                              }},
                             {"what is no socket",
                              [](World& world) {
                                auto [here, there] = world.pipe();
                                shut(world, here, SHUT_RD);
                              }},
                         });

}  // namespace
