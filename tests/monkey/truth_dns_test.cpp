// The truth about look-ups, asked of a name server on this machine.

#include "monkey/look_ups.hpp"
#include "monkey/truth_server.hpp"

#include <netdb.h>
#include <sys/un.h>

#include <csignal>

using namespace fern::truth;
using fern::testing::text_of;

namespace {

void ask(World& world, const char* host, const char* service, const addrinfo* hints) {
  addrinfo* list = nullptr;
  int error =
      look_up(world, "getaddrinfo", [&] { return getaddrinfo(host, service, hints, &list); });
  if (error != 0) return;
  world.note("addresses", text_of(list));
  freeaddrinfo(list);
}

void ask(World& world, const char* host, const char* service = "80", int flags = 0,
         int family = AF_UNSPEC, int type = SOCK_STREAM, int protocol = 0) {
  addrinfo hints{};
  hints.ai_flags = flags;
  hints.ai_family = family;
  hints.ai_socktype = type;
  hints.ai_protocol = protocol;
  ask(world, host, service, &hints);
}

const Rows address_rows(
    "Getaddrinfo",
    {
        {"hosts that are numbers",
         [](World& world) {
           for (const char* host :
                {"127.0.0.1", "127.1", "0x7f.1", "2130706433", "256.1.1.1", "1.2.3.4.5", "::1",
                 "fe80::1%lo", "fe80::1%nowhere", "::ffff:1.2.3.4", "1::2::3", "1.2.3.4 "}) {
             ask(world, host);
             ask(world, host, "80", AI_NUMERICHOST);
             ask(world, host, "80", AI_CANONNAME, AF_INET);
             ask(world, host, "80", AI_V4MAPPED, AF_INET6);
           }
         }},
        {"services",
         [](World& world) {
           for (const char* service : {"80", "http", "domain", "no-such-service", "", "-1", "65535",
                                       "65536", "0080", "80x", " 80"}) {
             ask(world, "127.0.0.1", service);
             ask(world, "127.0.0.1", service, AI_NUMERICSERV);
             ask(world, "127.0.0.1", service, 0, AF_INET, SOCK_DGRAM);
             ask(world, nullptr, service, AI_PASSIVE, AF_UNSPEC, 0);
           }
         }},
        {"nobody",
         [](World& world) {
           for (int flags : {0, AI_PASSIVE, AI_NUMERICHOST, AI_CANONNAME}) {
             ask(world, nullptr, "80", flags);
             ask(world, nullptr, nullptr, flags);
             ask(world, "127.0.0.1", nullptr, flags);
           }
           ask(world, nullptr, nullptr, nullptr);
           ask(world, nullptr, "80", nullptr);
           ask(world, "127.0.0.1", nullptr, nullptr);
           ask(world, "listed.fern.test", nullptr, nullptr);
         }},
        {"families, types and protocols",
         [](World& world) {
           for (const char* host : {"127.0.0.1", "both.fern.test"}) {
             for (int family : {AF_INET, AF_INET6, AF_UNIX, 77, -1}) {
               ask(world, host, "80", 0, family);
             }
             ask(world, host, "80", 0, AF_UNSPEC, 77);
             ask(world, host, "80", 0, AF_UNSPEC, SOCK_RAW);
             ask(world, host, "http", 0, AF_UNSPEC, SOCK_RAW);
             ask(world, host, "80", 0, AF_UNSPEC, SOCK_STREAM, IPPROTO_UDP);
             ask(world, host, "80", 0, AF_UNSPEC, 0, IPPROTO_UDP);
             ask(world, host, "80", 0, AF_UNSPEC, 0, 255);
           }
         }},
        {"flags that nobody knows",
         [](World& world) {
           for (const char* host : {"127.0.0.1", "both.fern.test"}) {
             ask(world, host, "80", 1 << 20);
             ask(world, host, "80", 1 << 20 | AI_NUMERICHOST);
           }
         }},
        {"names of /etc/hosts",
         [](World& world) {
           for (const char* host :
                {"localhost", "listed.fern.test", "listed", "LISTED.fern.TEST"}) {
             ask(world, host);
             ask(world, host, "80", AI_CANONNAME, AF_INET);
             ask(world, host, "80", 0, AF_INET6);
             ask(world, host, "80", AI_NUMERICHOST);
             ask(world, host, "no-such-service");
           }
         },
         In::Greenlet, permitted},
        {"names that the server knows",
         [](World& world) {
           for (const char* host : {"both", "both.fern.test", "both.fern.test.", "alias.fern.test",
                                    "six.fern.test", "plain-a.fern.test"}) {
             ask(world, host);
             ask(world, host, "http", AI_CANONNAME, AF_INET);
             ask(world, host, "80", AI_V4MAPPED, AF_INET6);
             ask(world, host, "80", AI_V4MAPPED | AI_ALL, AF_INET6);
             ask(world, host, "80", AI_ADDRCONFIG);
             ask(world, host, nullptr, nullptr);
           }
         },
         In::Greenlet, permitted},
        {"names that nobody knows",
         [](World& world) {
           for (const char* host :
                {"missing", "missing.fern.test", "", ".", "..", "two words", "a..b", "-", "*"}) {
             ask(world, host);
             ask(world, host, "80", AI_CANONNAME, AF_INET);
           }
           ask(world, std::string(300, 'x').c_str());
           ask(world, (std::string(70, 'x') + ".fern.test").c_str());
         },
         In::Greenlet, permitted},
        {"a server that fails, and one that does not want to",
         [](World& world) {
           for (const char* host : {"broken.fern.test", "refused.fern.test"}) {
             ask(world, host);
             ask(world, host, "80", 0, AF_INET);
           }
         },
         In::Greenlet, permitted},
        {"a late answer",
         [](World& world) {
           server->hold(1 << 20);
           auto peer = world.when_waiting([] { server->hold(0); });
           ask(world, "held-late.fern.test");
         },
         In::Greenlet, permitted},
        {"no answer at all",
         [](World& world) {
           addrinfo hints{};
           hints.ai_family = AF_INET;
           addrinfo* list = nullptr;
           world.waiting_call("getaddrinfo", [&] {
             return getaddrinfo("silent.fern.test.", nullptr, &hints, &list);
           });
         },
         In::Greenlet, permitted},
        {"a handler does not end it",
         [](World& world) {
           server->hold(1 << 20);
           Handles handles(SIGUSR1);
           auto peer = world.when_waiting([&world] {
             pthread_kill(world.thread(), SIGUSR1);
             world.until_waiting();
             server->hold(0);
           });
           ask(world, "held-handled.fern.test");
           world.note("handled", Handles::count());
         },
         In::Main, permitted},
    },
    keeps_heap);

struct Address {
  explicit Address(const char* text, int port = 80) {
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
      four.sin_family = AF_INET;
      four.sin_port = htons(static_cast<in_port_t>(port));
      size = sizeof four;
    } else {
      inet_pton(AF_INET6, text, &six.sin6_addr);
      six.sin6_family = AF_INET6;
      six.sin6_port = htons(static_cast<in_port_t>(port));
      size = sizeof six;
    }
  }
  const sockaddr* plain() const { return reinterpret_cast<const sockaddr*>(&six); }
  union {
    sockaddr_in6 six{};
    sockaddr_in four;
  };
  socklen_t size;
};

void name(World& world, const sockaddr* address, socklen_t size, int flags = 0,
          socklen_t host_size = 100, socklen_t service_size = 100) {
  char host[100] = "unwritten";
  char service[100] = "unwritten";
  int error = look_up(world, "getnameinfo", [&] {
    return getnameinfo(address, size, host, host_size, service, service_size, flags);
  });
  if (error != 0) return;
  world.note("host", host);
  world.note("service", service);
}

const Rows name_rows(
    "Getnameinfo",
    {
        {"addresses of all kinds, with all flags",
         [](World& world) {
           for (const char* text :
                {"10.0.0.2", "10.0.0.99", "127.0.0.5", "127.0.0.1", "::1", "2001:db8::2"}) {
             Address address(text);
             for (int flags :
                  {0, NI_NUMERICHOST, NI_NUMERICSERV, NI_NUMERICHOST | NI_NUMERICSERV, NI_NAMEREQD,
                   NI_NAMEREQD | NI_NUMERICHOST, NI_DGRAM, NI_NOFQDN, 1 << 16}) {
               name(world, address.plain(), address.size, flags);
             }
           }
         },
         In::Greenlet, permitted},
        {"services",
         [](World& world) {
           for (int port : {0, 53, 80, 514, 65535}) {
             Address address("127.0.0.5", port);
             name(world, address.plain(), address.size);
             name(world, address.plain(), address.size, NI_DGRAM | NI_NUMERICHOST);
           }
         },
         In::Greenlet, permitted},
        {"room that is too small, or none",
         [](World& world) {
           Address address("127.0.0.5");
           for (int flags : {0, NI_NUMERICHOST | NI_NUMERICSERV}) {
             for (socklen_t room : {0U, 1U, 3U, 9U, 10U, 16U, 17U}) {
               name(world, address.plain(), address.size, flags, room, 100);
               name(world, address.plain(), address.size, flags, 100, room);
               name(world, address.plain(), address.size, flags, room, room);
             }
             char text[100] = "unwritten";
             look_up(world, "getnameinfo", [&] {
               return getnameinfo(address.plain(), address.size, nullptr, 0, nullptr, 0, flags);
             });
             look_up(world, "getnameinfo", [&] {
               return getnameinfo(address.plain(), address.size, nullptr, 77, text, 100, flags);
             });
             look_up(world, "getnameinfo", [&] {
               return getnameinfo(address.plain(), address.size, text, 100, nullptr, 77, flags);
             });
             world.note("text", text);
           }
         },
         In::Greenlet, permitted},
        {"what is no address",
         [](World& world) {
           Address address("127.0.0.5");
           for (socklen_t size : {0U, 1U, 2U, 8U, 15U, 17U}) name(world, address.plain(), size);
           address.four.sin_family = 77;
           name(world, address.plain(), address.size);
           sockaddr_un path{};
           path.sun_family = AF_UNIX;
           name(world, reinterpret_cast<sockaddr*>(&path), sizeof path, NI_NUMERICHOST);
         },
         In::Greenlet, permitted},
    },
    keeps_heap);

}  // namespace
