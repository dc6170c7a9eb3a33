// The truth about recvmsg.

#include "monkey/truth_parts.hpp"
#include "monkey/truth_receive.hpp"

#include <fcntl.h>

using namespace fern::truth;

namespace {

ssize_t try_message(World& world, int fd, Message& message, int flags = 0) {
  return world.call("recvmsg", [&] { return recvmsg(fd, &message.header, flags); });
}

void note_message(World& world, const Message& message, ssize_t got) {
  note_data(world, message, got);
  world.note("msg_flags", message.header.msg_flags);
  world.note("msg_namelen", message.header.msg_namelen);
  world.note("msg_controllen", message.header.msg_controllen);
}

void receive_message(World& world, int fd, Message& message, int flags = 0) {
  note_message(world, message, try_message(world, fd, message, flags));
}

const Rows recvmsg_rows(
    "Recvmsg", {
                   {"spreads what is there over its parts",
                    [](World& world) {
                      auto [here, there] = world.pair();
                      send(there, "abcdef", 6, 0);
                      Message message{2, 0, 3, 8};
                      receive_message(world, here, message);
                    }},
                   {"waits for what is sent",
                    [](World& world) {
                      auto [here, there] = world.tcp();
                      auto peer = world.will_send(there, {"abcdef"});
                      Message message{2, 0, 3, 8};
                      receive_message(world, here, message);
                    }},
                   {"says that it cut a datagram",
                    [](World& world) {
                      auto [here, there] = world.udp();
                      auto peer = world.will_send(there, {"abcdef"});
                      Message message{2, 1};
                      receive_message(world, here, message);
                    }},
                   {"says where a record ends",
                    [](World& world) {
                      auto [here, there] = world.pair(SOCK_SEQPACKET);
                      auto peer = world.will_send(there, {"abcdef"});
                      Message message{2, 8};
                      receive_message(world, here, message);
                    }},
                   {"says who sent it",
                    [](World& world) {
                      auto [here, there] = world.udp();
                      auto peer = world.will_send(there, {"ab"});
                      Message message{8};
                      sockaddr_storage from{};
                      message.header.msg_name = &from;
                      message.header.msg_namelen = sizeof from;
                      receive_message(world, here, message);
                      world.note("family", from.ss_family);
                    }},
                   {"without parts",
                    [](World& world) {
                      auto [here, there] = world.udp();
                      send(there, "ab", 2, 0);
                      Message message{};
                      receive_message(world, here, message);
                    }},
                   {"brings a descriptor",
                    [](World& world) {
                      auto [here, there] = world.pair();
                      auto peer = world.when_waiting([there] {
                        Message sent{1};
                        sent.carry(STDERR_FILENO);
                        sendmsg(there, &sent.header, 0);
                      });
                      Message message{8};
                      message.make_room();
                      receive_message(world, here, message, MSG_CMSG_CLOEXEC);
                      cmsghdr* control = CMSG_FIRSTHDR(&message.header);
                      world.note("type", control == nullptr ? -1 : control->cmsg_type);
                      if (const int* fd = message.carried()) {
                        world.note("close on exec", fcntl(world.own(*fd), F_GETFD));
                      }
                    }},
                   {"MSG_WAITALL stops behind a descriptor",
                    [](World& world) {
                      auto [here, there] = world.pair();
                      auto peer = world.when_waiting([there, &world] {
                        Message sent{1};
                        sent.carry(STDERR_FILENO);
                        sendmsg(there, &sent.header, 0);
                        world.until_waiting();
                        send(there, "cd", 2, 0);
                      });
                      Message message{2};
                      message.make_room();
                      receive_message(world, here, message, MSG_WAITALL);
                      if (const int* fd = message.carried()) world.own(*fd);
                    }},
                   {"has no room for a descriptor that comes",
                    [](World& world) {
                      auto [here, there] = world.pair();
                      Message sent{1};
                      sent.carry(STDERR_FILENO);
                      sendmsg(there, &sent.header, 0);
                      Message message{8};
                      receive_message(world, here, message);
                    }},
                   {"MSG_WAITALL fills all parts",
                    [](World& world) {
                      auto [here, there] = world.tcp();
                      auto peer = world.will_send(there, {"abc", "defghijk"});
                      Message message{2, 0, 3, 4};
                      receive_message(world, here, message, MSG_WAITALL);
                    }},
                   {"MSG_WAITALL fills a hundred parts",
                    [](World& world) {
                      auto [here, there] = world.tcp();
                      auto peer = world.will_send(there, {"abc", std::string(97, 'x')});
                      Message message(std::vector<std::size_t>(100, 1));
                      receive_message(world, here, message, MSG_WAITALL);
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
                        receive_message(world, here, message, MSG_WAITALL);
                      }
                    }},
                   {"MSG_WAITALL ends at its limit with a part",
                    [](World& world) {
                      auto [here, there] = world.pair();
                      set_limit(here, SO_RCVTIMEO, 30);
                      send(there, "abc", 3, 0);
                      Message message{2, 8};
                      note_message(world, message, world.waiting_call("recvmsg", [&, here = here] {
                        return recvmsg(here, &message.header, MSG_WAITALL);
                      }));
                    }},
                   {"more parts than there may be",
                    [](World& world) {
                      auto [here, there] = world.pair();
                      send(there, "ab", 2, 0);
                      Message message{1};
                      message.parts.resize(1025, message.parts[0]);
                      message.use_parts();
                      for (std::size_t parts : {std::size_t{1024}, std::size_t{1025}}) {
                        message.header.msg_iovlen = parts;
                        try_message(world, here, message, MSG_DONTWAIT);
                        try_message(world, here, message, MSG_WAITALL | MSG_DONTWAIT);
                      }
                    }},
                   {"a part of less than nothing",
                    [](World& world) {
                      auto [here, there] = world.pair();
                      send(there, "ab", 2, 0);
                      Message message{2};
                      message.parts[0].iov_len = static_cast<std::size_t>(-1);
                      try_message(world, here, message);
                      try_message(world, here, message, MSG_WAITALL);
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
                      try_message(world, here, message);
                      try_message(world, here, message, MSG_WAITALL);
                    },
                    In::Greenlet, FERN_TRUTH_WILD},
                   {"a part that is nowhere",
                    [](World& world) {
                      auto [here, there] = world.tcp();
                      send(there, "abcd", 4, 0);
                      Message message{2, 2};
                      message.parts[1].iov_base = wild();
                      receive_message(world, here, message);
                      receive_once(world, here, 8, MSG_DONTWAIT);
                    },
                    In::Greenlet, FERN_TRUTH_WILD},
                   {"does not wait when it is not to",
                    [](World& world) {
                      auto [here, there] = world.pair();
                      Message message{8};
                      try_message(world, here, message, MSG_DONTWAIT);
                      set_nonblocking(here);
                      try_message(world, here, message);
                      note_message(world, message, 0);
                    }},
                   {"a bad descriptor",
                    [](World& world) {
                      Message message{8};
                      try_message(world, -1, message);
                      try_message(world, -1, message, MSG_WAITALL);
                    }},
                   {"what is no socket",
                    [](World& world) {
                      auto [here, there] = world.pipe();
                      Message message{8};
                      try_message(world, here, message);
                    }},
                   {"the end",
                    [](World& world) {
                      auto [here, there] = world.tcp();
                      auto peer = world.when_waiting([there, &world] { world.close(there); });
                      Message message{8};
                      receive_message(world, here, message);
                    }},
               });

}  // namespace
