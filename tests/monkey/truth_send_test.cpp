// The truth about send.

#include "monkey/truth_send.hpp"

using namespace fern::truth;

namespace {

const std::string bytes(much, 's');

ssize_t send_once(World& world, int fd, std::size_t size = 3, int flags = 0) {
  return world.call("send", [&] { return send(fd, bytes.data(), size, flags); });
}

// How much fits into a connection differs; whether it was some, and all, does not.
void note_part(World& world, ssize_t sent, std::size_t all) {
  world.note("a part", sent > 0 && static_cast<std::size_t>(sent) < all);
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
           note_drained(world, there, here, [&, here = here] { send_once(world, here, much); });
         }},
        {"all of much over loopback, as it is taken",
         [](World& world) {
           auto [here, there] = world.tcp();
           note_drained(world, there, here, [&, here = here] { send_once(world, here, much); });
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
           auto [to, here] = world.udp();
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
           auto [to, here] = world.udp();
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

}  // namespace
