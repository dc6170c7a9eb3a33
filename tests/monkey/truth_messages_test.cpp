// The truth about recvmmsg and sendmmsg.

#include "monkey/truth.hpp"

#include <vector>

using namespace fern::truth;

namespace {

constexpr std::size_t much = 1 << 20;

// As many messages of one part each, of such a size.
struct Messages {
  explicit Messages(unsigned count, std::size_t size = 8)
      : bytes(count, std::string(size, 'm')), parts(count), headers(count) {
    for (unsigned i = 0; i < count; ++i) {
      parts[i] = {bytes[i].data(), size};
      headers[i].msg_hdr.msg_iov = &parts[i];
      headers[i].msg_hdr.msg_iovlen = 1;
    }
  }
  std::vector<std::string> bytes;
  std::vector<iovec> parts;
  std::vector<mmsghdr> headers;
};

int receive(World& world, int fd, unsigned count, int flags = 0, timespec* timeout = nullptr) {
  Messages messages(count);
  int got = world.call(
      "recvmmsg", [&] { return recvmmsg(fd, messages.headers.data(), count, flags, timeout); });
  for (int i = 0; i < got; ++i) {
    auto each = static_cast<std::size_t>(i);
    world.note("message", messages.bytes[each].substr(0, messages.headers[each].msg_len));
    world.note("msg_flags", messages.headers[each].msg_hdr.msg_flags);
  }
  return got;
}

int transmit(World& world, int fd, Messages& messages, int flags = 0) {
  int sent = world.call("sendmmsg", [&] {
    return sendmmsg(fd, messages.headers.data(), static_cast<unsigned>(messages.headers.size()),
                    flags);
  });
  for (int i = 0; i < sent && i < 4; ++i) {
    world.note("msg_len", messages.headers[static_cast<std::size_t>(i)].msg_len);
  }
  return sent;
}

int transmit(World& world, int fd, unsigned count, int flags = 0) {
  Messages messages(count);
  return transmit(world, fd, messages, flags);
}

void say(int fd, std::initializer_list<const char*> messages) {
  for (const char* each : messages) {
    EXPECT_EQ(send(fd, each, std::string_view(each).size(), 0),
              static_cast<ssize_t>(std::string_view(each).size()));
  }
}

const Rows receive_rows(
    "Recvmmsg",
    {
        {"takes what is there",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           say(there, {"a", "bc", "def"});
           receive(world, here, 2);
           receive(world, here, 1);
         }},
        {"takes what is there of a connection",
         [](World& world) {
           auto [here, there] = world.tcp();
           say(there, {"abcdefgh", "ij"});
           receive(world, here, 1);
           receive(world, here, 2, MSG_WAITFORONE);
         }},
        {"cuts what is too long",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           say(there, {"abcdefghij", "k"});
           receive(world, here, 2);
         }},
        {"waits until all have come",
         [](World& world) {
           for (auto [here, there] : {world.pair(SOCK_DGRAM), world.udp()}) {
             auto peer = world.when_waiting([&world, to = there] {
               say(to, {"a", "bc"});
               world.until_waiting();
               say(to, {"def", "g"});
             });
             receive(world, here, 3);
           }
         }},
        {"MSG_WAITFORONE takes what is there",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           say(there, {"a", "bc"});
           receive(world, here, 4, MSG_WAITFORONE);
         }},
        {"MSG_WAITFORONE waits for one",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           auto peer = world.when_waiting([to = there] { say(to, {"a"}); });
           receive(world, here, 4, MSG_WAITFORONE);
         }},
        {"MSG_DONTWAIT takes what is there, or says that there is nothing",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           say(there, {"a", "bc"});
           receive(world, here, 4, MSG_DONTWAIT);
           receive(world, here, 4, MSG_DONTWAIT);
           receive(world, here, 4, MSG_DONTWAIT | MSG_WAITFORONE);
         }},
        {"does not wait on what is non-blocking",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           set_nonblocking(here);
           receive(world, here, 4);
           say(there, {"a", "bc"});
           receive(world, here, 4);
           receive(world, here, 4, MSG_WAITFORONE);
         }},
        {"ends at its socket's limit",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           set_limit(here, SO_RCVTIMEO, 30);
           receive(world, here, 2);
           say(there, {"a"});
           receive(world, here, 2);
           receive(world, here, 2, MSG_WAITFORONE);
         }},
        {"with no time at all waits for one message",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           auto peer = world.when_waiting([to = there] { say(to, {"a"}); });
           timespec none{};
           receive(world, here, 3, 0, &none);
           world.note("left", none.tv_sec * 1000 + none.tv_nsec);
         }},
        {"with no time at all takes one message of two",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           say(there, {"a", "bc"});
           timespec none{};
           receive(world, here, 2, 0, &none);
           receive(world, here, 2, MSG_DONTWAIT);
         }},
        {"says how much of its time is left",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           auto peer = world.when_waiting([to = there] { say(to, {"a", "bc"}); });
           timespec minutes{600, 0};
           receive(world, here, 2, 0, &minutes);
           world.note("left", minutes.tv_sec < 600 && minutes.tv_sec > 300);
         }},
        {"keeps its time when nothing has come",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           set_limit(here, SO_RCVTIMEO, 30);
           timespec minutes{600, 7};
           receive(world, here, 2, 0, &minutes);
           world.note("left", minutes.tv_sec + minutes.tv_nsec);
           receive(world, here, 2, MSG_DONTWAIT, &minutes);
           world.note("left", minutes.tv_sec + minutes.tv_nsec);
         }},
        {"with what is no time",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           say(there, {"a"});
           for (timespec time : {timespec{0, 1'000'000'000}, timespec{0, -1}, timespec{-1, 0}}) {
             receive(world, here, 1, 0, &time);
           }
         }},
        {"an error behind the first message is the next call's",
         [](World& world) {
           auto [here, there] = world.udp();
           say(there, {"a", "bc"});
           Messages messages(2);
           messages.parts[1].iov_base = wild();
           world.call("recvmmsg", [&, fd = here] {
             return recvmmsg(fd, messages.headers.data(), 2, 0, nullptr);
           });
           receive(world, here, 2, MSG_DONTWAIT);
           receive(world, here, 2, MSG_DONTWAIT);
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"hears of a port without a listener",
         [](World& world) {
           auto [here, there] = world.udp();
           world.close(here);
           say(there, {"a"});
           receive(world, there, 2);
         }},
        {"the end of a stream is all messages",
         [](World& world) {
           for (auto [here, there] : {world.pair(), world.tcp()}) {
             world.close(there);
             receive(world, here, 3);
           }
         }},
        {"the end of a stream behind a message",
         [](World& world) {
           for (auto [here, there] : {world.pair(), world.tcp()}) {
             auto peer = world.when_waiting([&world, to = there] {
               say(to, {"a"});
               world.until_waiting();
               world.close(to);
             });
             receive(world, here, 3);
           }
         }},
        {"a reset while it waits",
         [](World& world) {
           auto [here, there] = world.tcp();
           auto peer = world.when_waiting([&world, to = there] { reset(world, to); });
           receive(world, here, 3);
         }},
        {"no messages",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           receive(world, here, 0);
           receive(world, -1, 0);
           world.call("recvmmsg", [fd = here] { return recvmmsg(fd, nullptr, 0, 0, nullptr); });
         }},
        {"what is no socket",
         [](World& world) {
           auto [out, in] = world.pipe();
           receive(world, out, 1);
           receive(world, -1, 1);
           receive(world, world.closed_fd(), 1);
         }},
        {"flags that nobody knows",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           say(there, {"a", "bc"});
           receive(world, here, 1, 1 << 27);
           receive(world, here, 1, MSG_OOB);
         }},
        {"the queue of errors is not waited for",
         [](World& world) {
           auto [here, there] = world.udp();
           say(there, {"a"});
           receive(world, here, 1, MSG_ERRQUEUE);
         }},
        {"a unix socket has no queue of errors",
         [](World& world) {
           for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
             auto [here, there] = world.pair(type);
             auto peer = world.when_waiting([to = there] { say(to, {"a"}); });
             receive(world, here, 1, MSG_ERRQUEUE);
           }
         }},
        {"nowhere",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           say(there, {"a"});
           for (auto* messages : {null<mmsghdr>(), wild<mmsghdr>()}) {
             world.call("recvmmsg",
                        [&, fd = here] { return recvmmsg(fd, messages, 1, 0, nullptr); });
           }
           Messages messages(1);
           world.call("recvmmsg", [&, fd = here] {
             return recvmmsg(fd, messages.headers.data(), 1, 0, wild<timespec>());
           });
         },
         In::Greenlet, FERN_TRUTH_WILD},
    });

const Rows send_rows(
    "Sendmmsg",
    {
        {"there is room",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           transmit(world, here, 3);
           receive(world, there, 4, MSG_DONTWAIT);
         }},
        {"all of much to a stream, as it is taken",
         [](World& world) {
           for (auto [here, there] : {world.pair(), world.tcp()}) {
             std::size_t arrived = 0;
             {
               auto peer = world.when_waiting([&, from = there] { arrived = drain(from); });
               Messages messages(3, much);
               transmit(world, here, messages);
               shutdown(here, SHUT_WR);
             }
             world.note("arrived", arrived);
           }
         }},
        {"datagrams wait for room",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           while (send(here, "x", 1, MSG_DONTWAIT) == 1) {
           }
           auto peer = world.when_waiting([from = there] {
             char byte;
             while (recv(from, &byte, 1, MSG_DONTWAIT) == 1) {
             }
           });
           transmit(world, here, 3);
         }},
        {"not waiting sends what there is room for",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           transmit(world, here, 900, MSG_DONTWAIT);
           transmit(world, here, 3, MSG_DONTWAIT);
           set_nonblocking(here);
           transmit(world, here, 3);
           read_all(there, 8);
           transmit(world, here, 3);
         }},
        {"ends at its socket's limit",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           set_limit(here, SO_SNDTIMEO, 30);
           transmit(world, here, 900);
           transmit(world, here, 3);
         }},
        {"a message that is too long behind a good one",
         [](World& world) {
           auto [here, there] = world.udp();
           Messages messages(3);
           std::string longer(70'000, 'l');
           messages.parts[1] = {longer.data(), longer.size()};
           transmit(world, there, messages);
           receive(world, here, 4, MSG_DONTWAIT);
           messages.parts[0] = messages.parts[1];
           transmit(world, there, messages);
         }},
        {"more messages than one call takes",
         [](World& world) {
           auto [here, there] = world.udp();
           transmit(world, there, 1100);
         }},
        {"the peer has closed",
         [](World& world) {
           for (auto [here, there] : {world.pair(), world.pair(SOCK_SEQPACKET)}) {
             Handles pipes(SIGPIPE);
             world.close(there);
             transmit(world, here, 2);
             transmit(world, here, 2, MSG_NOSIGNAL);
             world.note("SIGPIPE", Handles::count());
           }
         }},
        {"the peer closes while the second waits",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_SEQPACKET);
           Handles pipes(SIGPIPE);
           auto peer = world.when_waiting([&world, to = there] { world.close(to); });
           Messages messages(2, 150'000);
           transmit(world, here, messages);
         }},
        {"no messages",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           transmit(world, here, 0U);
           transmit(world, -1, 0U);
         }},
        {"what is no socket",
         [](World& world) {
           auto [out, in] = world.pipe();
           transmit(world, in, 2);
           transmit(world, -1, 2);
         }},
        {"nobody's address",
         [](World& world) {
           int fd = world.own(socket(AF_UNIX, SOCK_DGRAM, 0));
           transmit(world, fd, 2);
           int stream = world.own(socket(AF_INET, SOCK_STREAM, 0));
           transmit(world, stream, 2, MSG_NOSIGNAL);
         }},
        {"flags that nobody knows",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           transmit(world, here, 1, 1 << 27);
           transmit(world, here, 1, MSG_OOB);
         }},
        {"nowhere",
         [](World& world) {
           auto [here, there] = world.pair(SOCK_DGRAM);
           for (auto* messages : {null<mmsghdr>(), wild<mmsghdr>()}) {
             world.call("sendmmsg", [&, fd = here] { return sendmmsg(fd, messages, 1, 0); });
           }
           Messages messages(2);
           messages.parts[1].iov_base = wild();
           transmit(world, here, messages);
           receive(world, there, 4, MSG_DONTWAIT);
         },
         In::Greenlet, FERN_TRUTH_WILD},
    });

}  // namespace
