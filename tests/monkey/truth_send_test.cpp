// The truth about send, sendto and sendmsg.

#include "monkey/truth.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>

#include <array>
#include <vector>

using namespace fern::truth;

namespace {

constexpr std::size_t much = 4 << 20;
const std::string bytes(much, 's');

ssize_t send_once(World& world, int fd, std::size_t size = 3, int flags = 0) {
  return world.call("send", [&] { return send(fd, bytes.data(), size, flags); });
}

// How much fits into a connection differs; whether it was some, and all, does not.
void note_part(World& world, ssize_t sent, std::size_t all) {
  world.note("a part", sent > 0 && static_cast<std::size_t>(sent) < all);
}

sockaddr_in name_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return address;
}

int bound_udp(World& world) {
  sockaddr_in address = loopback();
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  return world.own(fd);
}

// TCP's buffers grow by themselves, now and then by more than a row sends.
void keep_small(int here, int there) {
  int size = 64 * 1024;
  setsockopt(here, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  setsockopt(there, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

// What does not fit is sent in part, and its size is not the row's.
template <class Call>
void part(World& world, std::string_view what, std::size_t all, Call call) {
  ssize_t sent = 0;
  world.call(what, [&] {
    sent = call();
    return sent < 0 ? -1 : 0;
  });
  note_part(world, sent, all);
}

// A queue of messages is full until the peer has taken all of them.
void message_waits(World& world, int type) {
  auto [here, there] = world.pair(type);
  while (send(here, "x", 1, MSG_DONTWAIT) == 1) {
  }
  auto peer = world.when_waiting([there] {
    char byte;
    while (recv(there, &byte, 1, MSG_DONTWAIT) == 1) {
    }
  });
  send_once(world, here);
}

const Rows send_rows(
    "Send",
    {
        {"there is room",
         [](World& world) {
           auto [here, there] = world.pair();
           send_once(world, here);
           world.note("arrived", read_all(there, 8));
         }},
        {"nothing",
         [](World& world) {
           auto [here, there] = world.pair();
           send_once(world, here, 0);
           world.note("arrived", read_all(there, 8));
         }},
        {"nothing, as a datagram",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           send_once(world, here, 0);
           char byte;
           world.call("recv", [&, there = there] { return recv(there, &byte, 1, MSG_DONTWAIT); });
         }},
        {"all of much, as it is taken",
         [](World& world) {
           auto [here, there] = world.pair();
           std::size_t arrived = 0;
           {
             auto peer = world.when_waiting([&, there = there] { arrived = drain(there); });
             send_once(world, here, much);
             shutdown(here, SHUT_WR);
           }
           world.note("arrived", arrived);
         }},
        {"all of much over loopback, as it is taken",
         [](World& world) {
           auto [here, there] = world.tcp();
           std::size_t arrived = 0;
           {
             auto peer = world.when_waiting([&, there = there] { arrived = drain(there); });
             send_once(world, here, much);
             shutdown(here, SHUT_WR);
           }
           world.note("arrived", arrived);
         }},
        {"waits for room",
         [](World& world) {
           auto [here, there] = world.pair();
           std::size_t before = fill(here);
           auto peer = world.when_waiting([there, before] { read_all(there, before); });
           send_once(world, here);
         }},
        {"a packet waits for room", [](World& world) { message_waits(world, SOCK_SEQPACKET); }},
        {"a unix datagram waits for room", [](World& world) { message_waits(world, SOCK_DGRAM); }},
        {"the peer has closed",
         [](World& world) {
           auto [here, there] = world.pair();
           Handles pipes(SIGPIPE);
           world.close(there);
           send_once(world, here);
           world.note("SIGPIPE", Handles::count());
         }},
        {"the peer has closed, told quietly",
         [](World& world) {
           auto [here, there] = world.pair();
           Handles pipes(SIGPIPE);
           world.close(there);
           send_once(world, here, 3, MSG_NOSIGNAL);
           world.note("SIGPIPE", Handles::count());
         }},
        {"its own end is shut",
         [](World& world) {
           auto [here, there] = world.tcp();
           Handles pipes(SIGPIPE);
           shutdown(here, SHUT_WR);
           send_once(world, here);
           send_once(world, here, 0);
           world.note("SIGPIPE", Handles::count());
         }},
        {"after a reset",
         [](World& world) {
           auto [here, there] = world.tcp();
           Handles pipes(SIGPIPE);
           reset(world, there);
           send_once(world, here);
           send_once(world, here);
           send_once(world, here, 3, MSG_NOSIGNAL);
           world.note("SIGPIPE", Handles::count());
         }},
        {"the peer closes while it waits",
         [](World& world) {
           auto [here, there] = world.pair();
           Handles pipes(SIGPIPE);
           fill(here);
           auto peer = world.when_waiting([there, &world] { world.close(there); });
           send_once(world, here);
           send_once(world, here);
           world.note("SIGPIPE", Handles::count());
         }},
        {"the peer resets while it waits",
         [](World& world) {
           auto [here, there] = world.tcp();
           Handles pipes(SIGPIPE);
           fill(here);
           auto peer = world.when_waiting([there, &world] { reset(world, there); });
           send_once(world, here);
           send_once(world, here);
           world.note("SIGPIPE", Handles::count());
         }},
        {"the peer resets when a part has gone",
         [](World& world) {
           auto [here, there] = world.tcp();
           Handles pipes(SIGPIPE);
           auto peer = world.when_waiting([there, &world] { reset(world, there); });
           part(world, "send", much, [here] { return send(here, bytes.data(), bytes.size(), 0); });
           send_once(world, here);
           send_once(world, here);
           world.note("SIGPIPE", Handles::count());
         }},
        {"the unix peer closes when a part has gone",
         [](World& world) {
           auto [here, there] = world.pair();
           Handles pipes(SIGPIPE);
           auto peer = world.when_waiting([there, &world] { world.close(there); });
           part(world, "send", much, [here] { return send(here, bytes.data(), bytes.size(), 0); });
           world.note("SIGPIPE", Handles::count());
           send_once(world, here);
           world.note("SIGPIPE", Handles::count());
         }},
        {"shut by another when a part has gone",
         [](World& world) {
           auto [here, there] = world.tcp();
           Handles pipes(SIGPIPE);
           auto peer = world.when_waiting([here] { shutdown(here, SHUT_WR); });
           part(world, "send", much, [here] { return send(here, bytes.data(), bytes.size(), 0); });
           world.note("SIGPIPE", Handles::count());
           send_once(world, here);
           world.note("SIGPIPE", Handles::count());
         }},
        {"ends at its time limit",
         [](World& world) {
           auto [here, there] = world.pair();
           set_limit(here, SO_SNDTIMEO, 30);
           fill(here);
           world.waiting_call("send", [here] { return send(here, "abc", 3, 0); });
         }},
        {"ends at its time limit with a part",
         [](World& world) {
           auto [here, there] = world.tcp();
           keep_small(here, there);
           set_limit(here, SO_SNDTIMEO, 30);
           part(world, "send", much, [here] { return send(here, bytes.data(), bytes.size(), 0); });
         }},
        {"does not wait on what is non-blocking",
         [](World& world) {
           auto [here, there] = world.pair();
           set_nonblocking(here);
           part(world, "send", much, [here] { return send(here, bytes.data(), bytes.size(), 0); });
           fill(here);
           send_once(world, here);
         }},
        {"does not wait when told so",
         [](World& world) {
           auto [here, there] = world.tcp();
           keep_small(here, there);
           part(world, "send", much,
                [here] { return send(here, bytes.data(), bytes.size(), MSG_DONTWAIT); });
           fill(here);
           send_once(world, here, 3, MSG_DONTWAIT);
         }},
        {"a datagram that is too long",
         [](World& world) {
           int to = bound_udp(world);
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = name_of(to);
           connect(here, reinterpret_cast<sockaddr*>(&name), sizeof name);
           send_once(world, here, 65508);
           send_once(world, here, 65507);
         }},
        {"a unix datagram that is too long",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           send_once(world, here, much);
         }},
        {"a datagram to nobody",
         [](World& world) {
           int to = bound_udp(world);
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = name_of(to);
           connect(here, reinterpret_cast<sockaddr*>(&name), sizeof name);
           world.close(to);
           send_once(world, here);
           send_once(world, here);
           send_once(world, here);
         }},
        {"without a connection",
         [](World& world) {
           Handles pipes(SIGPIPE);
           send_once(world, world.own(socket(AF_INET, SOCK_STREAM, 0)));
           send_once(world, world.own(socket(AF_INET, SOCK_DGRAM, 0)));
           send_once(world, world.own(socket(AF_UNIX, SOCK_STREAM, 0)));
           send_once(world, world.own(socket(AF_UNIX, SOCK_DGRAM, 0)));
           world.note("SIGPIPE", Handles::count());
         }},
        {"flags that mean nothing here",
         [](World& world) {
           auto [here, there] = world.tcp();
           send_once(world, here, 3, MSG_MORE);
           send_once(world, here, 3, MSG_CONFIRM);
           send_once(world, here, 3, MSG_EOR);
           send_once(world, here, 3, 1 << 27);
           world.note("arrived", read_all(there, 12));
         }},
        {"urgent",
         [](World& world) {
           auto [here, there] = world.tcp();
           send_once(world, here, 3, MSG_OOB);
           auto [one, other] = world.pair(SOCK_DGRAM);
           send_once(world, one, 3, MSG_OOB);
         }},
        {"a bad descriptor",
         [](World& world) {
           send_once(world, -1);
           send_once(world, world.closed_fd());
           send_once(world, -1, 3, MSG_DONTWAIT);
         }},
        {"what is no socket",
         [](World& world) {
           auto [here, there] = world.pipe();
           send_once(world, there);
           send_once(world, there, 3, MSG_DONTWAIT);
         }},
        {"from nowhere",
         [](World& world) {
           auto [here, there] = world.tcp();
           world.call("send", [here] { return send(here, null(), 3, 0); });
           world.call("send", [here] { return send(here, wild(), 3, 0); });
           world.call("send", [here] { return send(here, wild(), 0, 0); });
           world.call("send", [here] { return send(here, wild(), much, 0); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"from nowhere to somebody who has closed",
         [](World& world) {
           auto [here, there] = world.pair();
           Handles pipes(SIGPIPE);
           world.close(there);
           world.call("send", [here] { return send(here, wild(), 3, 0); });
           world.note("SIGPIPE", Handles::count());
         },
         In::Greenlet, FERN_TRUTH_WILD},
    });

const Rows sendto_rows(
    "Sendto",
    {
        {"a datagram to somebody",
         [](World& world) {
           int to = bound_udp(world);
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = name_of(to);
           world.call("sendto", [&] {
             return sendto(here, "abc", 3, 0, reinterpret_cast<sockaddr*>(&name), sizeof name);
           });
           world.note("arrived", read_all(to, 3));
         }},
        {"a connection needs no address",
         [](World& world) {
           auto [here, there] = world.tcp();
           world.call("sendto", [here] { return sendto(here, "abc", 3, 0, nullptr, 0); });
           world.note("arrived", read_all(there, 3));
         }},
        {"a unix connection wants no address",
         [](World& world) {
           auto [here, there] = world.pair();
           sockaddr_in name = loopback(1);
           world.call("sendto", [&, here = here] {
             return sendto(here, "abc", 3, 0, reinterpret_cast<sockaddr*>(&name), sizeof name);
           });
         }},
        {"a connection does not mind an address",
         [](World& world) {
           auto [here, there] = world.tcp();
           sockaddr_in name = loopback(1);
           world.call("sendto", [&, here = here] {
             return sendto(here, "abc", 3, 0, reinterpret_cast<sockaddr*>(&name), sizeof name);
           });
           world.note("arrived", read_all(there, 3));
         }},
        {"nobody's address",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           world.call("sendto", [&] { return sendto(here, "abc", 3, 0, nullptr, 0); });
         }},
        {"an address of another family",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = loopback(1);
           name.sin_family = AF_UNIX;
           world.call("sendto", [&] {
             return sendto(here, "abc", 3, 0, reinterpret_cast<sockaddr*>(&name), sizeof name);
           });
         }},
        {"half an address",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = loopback(1);
           world.call("sendto", [&] {
             return sendto(here, "abc", 3, 0, reinterpret_cast<sockaddr*>(&name), 6);
           });
         }},
        {"more than an address",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           std::array<char, 1024> name{};
           world.call("sendto", [&] {
             return sendto(here, "abc", 3, 0, reinterpret_cast<sockaddr*>(name.data()), 1024);
           });
         }},
        {"an address that is nowhere",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           world.call("sendto", [&] { return sendto(here, "abc", 3, 0, wild<sockaddr>(), 16); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"port nothing",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = loopback(0);
           world.call("sendto", [&] {
             return sendto(here, "abc", 3, 0, reinterpret_cast<sockaddr*>(&name), sizeof name);
           });
         }},
        {"everybody, without having asked",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = loopback(1);
           name.sin_addr.s_addr = htonl(INADDR_BROADCAST);
           world.call("sendto", [&] {
             return sendto(here, "abc", 3, 0, reinterpret_cast<sockaddr*>(&name), sizeof name);
           });
         }},
        {"all of much",
         [](World& world) {
           auto [here, there] = world.tcp();
           std::size_t arrived = 0;
           {
             auto peer = world.when_waiting([&, there = there] { arrived = drain(there); });
             world.call("sendto", [&, here = here] {
               return sendto(here, bytes.data(), bytes.size(), 0, nullptr, 0);
             });
             shutdown(here, SHUT_WR);
           }
           world.note("arrived", arrived);
         }},
        {"a bad descriptor",
         [](World& world) {
           world.call("sendto", [] { return sendto(-1, "abc", 3, 0, nullptr, 0); });
         }},
        {"what is no socket",
         [](World& world) {
           auto [here, there] = world.pipe();
           world.call("sendto", [there] { return sendto(there, "abc", 3, 0, nullptr, 0); });
         }},
    });

// A message of parts of these sizes.
struct Message {
  explicit Message(std::initializer_list<std::size_t> sizes) {
    std::size_t all = 0;
    for (std::size_t size : sizes) all += size;
    for (std::size_t i = 0; i < all; ++i) bytes += static_cast<char>('a' + i % 23);
    std::size_t at = 0;
    for (std::size_t size : sizes) {
      parts.push_back({bytes.data() + at, size});
      at += size;
    }
    header.msg_iov = parts.data();
    header.msg_iovlen = parts.size();
  }
  std::string bytes;
  std::vector<iovec> parts;
  msghdr header{};
};

ssize_t send_message(World& world, int fd, const Message& message, int flags = 0) {
  return world.call("sendmsg", [&] { return sendmsg(fd, &message.header, flags); });
}

void much_in_parts(World& world, std::pair<int, int> ends, const Message& message) {
  auto [here, there] = ends;
  std::string arrived;
  {
    auto peer = world.when_waiting([&, there = there] {
      std::string room(65536, 0);
      for (;;) {
        ssize_t got = recv(there, room.data(), room.size(), 0);
        if (got <= 0) return;
        arrived.append(room, 0, static_cast<std::size_t>(got));
      }
    });
    send_message(world, here, message);
    shutdown(here, SHUT_WR);
  }
  world.note("equal", arrived == message.bytes);
}

const Rows sendmsg_rows(
    "Sendmsg",
    {
        {"parts of all kinds",
         [](World& world) {
           auto [here, there] = world.pair();
           send_message(world, here, Message{1, 0, 5, 2, 0});
           world.note("arrived", read_all(there, 8));
         }},
        {"no parts",
         [](World& world) {
           auto [here, there] = world.pair();
           send_message(world, here, Message{});
           send_message(world, here, Message{0, 0});
         }},
        {"no parts are a datagram",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           send_message(world, here, Message{});
           char byte;
           world.call("recv", [&, there = there] { return recv(there, &byte, 1, MSG_DONTWAIT); });
         }},
        {"much in three parts",
         [](World& world) {
           much_in_parts(world, world.tcp(), Message{much / 2, 0, much / 2, 17});
         }},
        {"much in three parts to a unix peer",
         [](World& world) { much_in_parts(world, world.pair(), Message{17, much / 2, 0, much}); }},
        {"much in a hundred parts",
         [](World& world) {
           Message message{100 * 20'011};
           message.parts.clear();
           for (std::size_t i = 0; i < 100; ++i) {
             message.parts.push_back({message.bytes.data() + i * 20'011, 20'011});
           }
           message.header.msg_iov = message.parts.data();
           message.header.msg_iovlen = 100;
           much_in_parts(world, world.tcp(), message);
         }},
        {"more parts than there may be",
         [](World& world) {
           auto [here, there] = world.pair();
           Message message{1};
           message.parts.resize(1025, message.parts[0]);
           message.header.msg_iov = message.parts.data();
           message.header.msg_iovlen = 1025;
           send_message(world, here, message);
           message.header.msg_iovlen = 1024;
           send_message(world, here, message);
         }},
        {"a part of less than nothing",
         [](World& world) {
           auto [here, there] = world.pair();
           Message message{1};
           message.parts[0].iov_len = static_cast<std::size_t>(-1);
           send_message(world, here, message);
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"no message",
         [](World& world) {
           auto [here, there] = world.pair();
           world.call("sendmsg", [here] { return sendmsg(here, null<msghdr>(), 0); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"a message that is nowhere",
         [](World& world) {
           auto [here, there] = world.pair();
           world.call("sendmsg", [here] { return sendmsg(here, wild<msghdr>(), 0); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"parts that are nowhere",
         [](World& world) {
           auto [here, there] = world.pair();
           Message message{1};
           message.header.msg_iov = wild<iovec>();
           send_message(world, here, message);
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"a part that is nowhere",
         [](World& world) {
           auto [here, there] = world.tcp();
           Message message{2, 2};
           message.parts[1].iov_base = wild();
           send_message(world, here, message);
           world.note("arrived", read_all(there, 8));
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"a descriptor with much data goes once",
         [](World& world) {
           auto [here, there] = world.pair();
           Message message{much};
           alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
           message.header.msg_control = room;
           message.header.msg_controllen = sizeof room;
           cmsghdr* control = CMSG_FIRSTHDR(&message.header);
           control->cmsg_level = SOL_SOCKET;
           control->cmsg_type = SCM_RIGHTS;
           control->cmsg_len = CMSG_LEN(sizeof(int));
           *reinterpret_cast<int*>(CMSG_DATA(control)) = STDERR_FILENO;
           std::size_t descriptors = 0;
           std::size_t arrived = 0;
           {
             auto peer = world.when_waiting([&, there = there] {
               std::string bytes(65536, 0);
               for (;;) {
                 iovec part{bytes.data(), bytes.size()};
                 alignas(cmsghdr) char got_room[CMSG_SPACE(sizeof(int))] = {};
                 msghdr got{};
                 got.msg_iov = &part;
                 got.msg_iovlen = 1;
                 got.msg_control = got_room;
                 got.msg_controllen = sizeof got_room;
                 ssize_t size = recvmsg(there, &got, 0);
                 if (size <= 0) return;
                 arrived += static_cast<std::size_t>(size);
                 if (cmsghdr* one = CMSG_FIRSTHDR(&got); one != nullptr) {
                   ++descriptors;
                   close(*reinterpret_cast<int*>(CMSG_DATA(one)));
                 }
               }
             });
             send_message(world, here, message);
             shutdown(here, SHUT_WR);
           }
           world.note("arrived", arrived);
           world.note("descriptors", descriptors);
         }},
        {"a descriptor that is none",
         [](World& world) {
           auto [here, there] = world.pair();
           Message message{1};
           alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
           message.header.msg_control = room;
           message.header.msg_controllen = sizeof room;
           cmsghdr* control = CMSG_FIRSTHDR(&message.header);
           control->cmsg_level = SOL_SOCKET;
           control->cmsg_type = SCM_RIGHTS;
           control->cmsg_len = CMSG_LEN(sizeof(int));
           *reinterpret_cast<int*>(CMSG_DATA(control)) = -1;
           send_message(world, here, message);
         }},
        {"waits for room",
         [](World& world) {
           auto [here, there] = world.pair();
           std::size_t before = fill(here);
           auto peer = world.when_waiting([there, before] { read_all(there, before); });
           send_message(world, here, Message{1, 2});
         }},
        {"does not wait when it is not to",
         [](World& world) {
           auto [here, there] = world.pair();
           fill(here);
           send_message(world, here, Message{1, 2}, MSG_DONTWAIT);
           set_nonblocking(here);
           send_message(world, here, Message{1, 2});
         }},
        {"ends at its limit",
         [](World& world) {
           auto [here, there] = world.pair();
           set_limit(here, SO_SNDTIMEO, 30);
           fill(here);
           Message message{1, 2};
           world.waiting_call("sendmsg",
                              [&, here = here] { return sendmsg(here, &message.header, 0); });
         }},
        {"the peer has closed",
         [](World& world) {
           auto [here, there] = world.pair();
           Handles pipes(SIGPIPE);
           world.close(there);
           send_message(world, here, Message{1, 2});
           send_message(world, here, Message{1, 2}, MSG_NOSIGNAL);
           world.note("SIGPIPE", Handles::count());
         }},
        {"to an address",
         [](World& world) {
           int to = bound_udp(world);
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = name_of(to);
           Message message{1, 2};
           message.header.msg_name = &name;
           message.header.msg_namelen = sizeof name;
           send_message(world, here, message);
           world.note("arrived", read_all(to, 3));
         }},
        {"a bad descriptor", [](World& world) { send_message(world, -1, Message{1}); }},
        {"what is no socket",
         [](World& world) {
           auto [here, there] = world.pipe();
           send_message(world, there, Message{1});
         }},
    });

}  // namespace
