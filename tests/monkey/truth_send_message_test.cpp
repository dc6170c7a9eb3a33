// The truth about sendmsg.

#include "monkey/truth_parts.hpp"
#include "monkey/truth_send.hpp"

#include <fcntl.h>

using namespace fern::truth;

namespace {

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
  world.note("equal", arrived == message.text);
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
             message.parts.push_back({message.text.data() + i * 20'011, 20'011});
           }
           message.use_parts();
           much_in_parts(world, world.tcp(), message);
         }},
        {"more parts than there may be",
         [](World& world) {
           auto [here, there] = world.pair();
           Message message{1};
           message.parts.resize(1025, message.parts[0]);
           message.use_parts();
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
           message.carry(STDERR_FILENO);
           std::size_t descriptors = 0;
           std::size_t arrived = 0;
           {
             auto peer = world.when_waiting([&, there = there] {
               Message got{65536};
               for (;;) {
                 got.make_room();
                 ssize_t size = recvmsg(there, &got.header, 0);
                 if (size <= 0) return;
                 arrived += static_cast<std::size_t>(size);
                 if (const int* fd = got.carried(); fd != nullptr) {
                   ++descriptors;
                   close(*fd);
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
           message.carry(-1);
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
