// The truth about gethostbyname and its kin, about res_query, and about getaddrinfo_a.

#include "monkey/look_ups.hpp"
#include "monkey/truth_server.hpp"

#include <arpa/nameser.h>
#include <resolv.h>

#include <array>
#include <csignal>
#include <vector>

using namespace fern::truth;
using fern::testing::text_of;

namespace {

// What is asked for, by those who do not say in errno why not.
template <class Call>
void host(World& world, const char* what, Call call) {
  const hostent* found = nullptr;
  h_errno = 77;
  world.call(what, [&] {
    int before = errno;
    found = call();
    if (found != nullptr || h_errno != NETDB_INTERNAL) errno = before;
    return found != nullptr;
  });
  if (found == nullptr) {
    world.note("h_errno", h_errno);
  } else {
    world.note("host", text_of(found));
  }
}

template <class Call>
void host_into(World& world, const char* what, std::size_t size, Call call) {
  alignas(16) std::array<char, 2048> room{};
  hostent into{};
  hostent* found = &into;
  int error = 77;
  h_errno = 78;
  world.call(what, [&] {
    int before = errno;
    int result = call(&into, room.data(), size, &found, &error);
    if (result == 0) errno = before;
    return result;
  });
  world.note("error", error);
  world.note("found", found == nullptr ? "nobody" : text_of(found));
}

constexpr const char* names[] = {"both.fern.test",
                                 "both",
                                 "alias.fern.test",
                                 "six.fern.test",
                                 "listed.fern.test",
                                 "missing.fern.test",
                                 "127.0.0.1",
                                 "127.1",
                                 "::1",
                                 "broken.fern.test",
                                 "",
                                 "a b",
                                 "refused.fern.test",
                                 "plain-h.fern.test",
                                 "256.1.1.1"};

const Rows host_rows(
    "Hosts",
    {
        {"by name",
         [](World& world) {
           for (const char* name : names) {
             host(world, "gethostbyname", [&] { return gethostbyname(name); });
           }
         },
         In::Greenlet, permitted},
        {"by name and family",
         [](World& world) {
           for (const char* name : names) {
             for (int family : {AF_INET, AF_INET6, AF_UNIX, 77}) {
               host(world, "gethostbyname2", [&] { return gethostbyname2(name, family); });
             }
           }
         },
         In::Greenlet, permitted},
        {"by address",
         [](World& world) {
           for (const char* text : {"10.0.0.2", "10.0.0.99", "127.0.0.5", "127.0.0.1"}) {
             in_addr address{};
             inet_pton(AF_INET, text, &address);
             host(world, "gethostbyaddr",
                  [&] { return gethostbyaddr(&address, sizeof address, AF_INET); });
             for (socklen_t size : {0U, 3U, 16U}) {
               in6_addr larger{};
               host(world, "gethostbyaddr", [&] { return gethostbyaddr(&larger, size, AF_INET); });
             }
             host(world, "gethostbyaddr",
                  [&] { return gethostbyaddr(&address, sizeof address, AF_UNIX); });
           }
           in6_addr six{};
           for (const char* text : {"::1", "2001:db8::2", "::"}) {
             inet_pton(AF_INET6, text, &six);
             host(world, "gethostbyaddr",
                  [&] { return gethostbyaddr(&six, sizeof six, AF_INET6); });
           }
         },
         In::Greenlet, permitted},
        {"by name, in a room of one's own",
         [](World& world) {
           for (const char* name : names) {
             for (std::size_t size : {0UL, 1UL, 30UL, 80UL, 100UL, 120UL, 2048UL}) {
               host_into(world, "gethostbyname_r", size,
                         [&](auto... into) { return gethostbyname_r(name, into...); });
               host_into(world, "gethostbyname2_r", size,
                         [&](auto... into) { return gethostbyname2_r(name, AF_INET6, into...); });
             }
           }
         },
         In::Greenlet, permitted},
        {"by address, in a room of one's own",
         [](World& world) {
           for (const char* text : {"10.0.0.2", "10.0.0.99", "127.0.0.5"}) {
             in_addr address{};
             inet_pton(AF_INET, text, &address);
             for (std::size_t size : {0UL, 30UL, 80UL, 120UL, 2048UL}) {
               host_into(world, "gethostbyaddr_r", size, [&](auto... into) {
                 return gethostbyaddr_r(&address, sizeof address, AF_INET, into...);
               });
             }
             host_into(world, "gethostbyaddr_r", 2048, [&](auto... into) {
               return gethostbyaddr_r(&address, 3, AF_INET, into...);
             });
           }
         },
         In::Greenlet, permitted},
        {"late, and not at all",
         [](World& world) {
           server->hold(1 << 20);
           {
             auto peer = world.when_waiting([] { server->hold(0); });
             host(world, "gethostbyname", [] { return gethostbyname("held-host.fern.test"); });
           }
           host(world, "gethostbyname", [] { return gethostbyname("silent.fern.test."); });
         },
         In::Greenlet, permitted},
    },
    keeps_heap);

// The answer behind its number.
template <class Call>
void question(World& world, const char* what, int room, Call call) {
  std::array<unsigned char, 512> answer{};
  h_errno = 77;
  int size = world.call(what, [&] {
    int before = errno;
    int result = call(answer.data(), room);
    errno = before;
    return result;
  });
  world.note("h_errno", h_errno);
  std::string text;
  for (int i = 2; i < std::min(size, room); ++i) {
    text += " " + std::to_string(answer[static_cast<std::size_t>(i)]);
  }
  world.note("answer", text);
  world.note("code", answer[3] & 15);
}

const Rows question_rows(
    "Questions to name servers",
    {
        {"of all kinds",
         [](World& world) {
           for (const char* name :
                {"both.fern.test", "both", "alias.fern.test", "missing.fern.test",
                 "broken.fern.test", "refused.fern.test", "", "two words"}) {
             for (int type : {ns_t_a, ns_t_aaaa, ns_t_mx}) {
               question(world, "res_query", 512, [&](auto* to, int size) {
                 return res_query(name, ns_c_in, type, to, size);
               });
               question(world, "res_search", 512, [&](auto* to, int size) {
                 return res_search(name, ns_c_in, type, to, size);
               });
               question(world, "res_querydomain", 512, [&](auto* to, int size) {
                 return res_querydomain(name, "fern.test", ns_c_in, type, to, size);
               });
             }
           }
         },
         In::Greenlet, permitted},
        {"with little room",
         [](World& world) {
           for (int room : {512, 0, 1, 11, 12, 20, 40}) {
             question(world, "res_query", room, [&](auto* to, int size) {
               return res_query("both.fern.test", ns_c_in, ns_t_a, to, size);
             });
           }
         },
         In::Greenlet, permitted},
        {"late, and not at all",
         [](World& world) {
           server->hold(1 << 20);
           {
             auto peer = world.when_waiting([] { server->hold(0); });
             question(world, "res_query", 512, [&](auto* to, int size) {
               return res_query("held-question.fern.test", ns_c_in, ns_t_a, to, size);
             });
           }
           question(world, "res_query", 512, [&](auto* to, int size) {
             return res_query("silent.fern.test", ns_c_in, ns_t_a, to, size);
           });
         },
         In::Greenlet, permitted},
    },
    keeps_heap);

// TSan does not survive threads that glibc makes for itself.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FERN_TRUTH_TSAN
#endif
#endif
#ifdef FERN_TRUTH_TSAN
constexpr bool asynchronous = false;
#else
const bool asynchronous = permitted;
#endif

// Requests for these names, whose answers go at the end.
struct Requests {
  explicit Requests(std::initializer_list<const char*> hosts) {
    requests.reserve(hosts.size());
    for (const char* name : hosts) {
      gaicb request{};
      request.ar_name = name;
      request.ar_service = "80";
      requests.push_back(request);
      list.push_back(&requests.back());
    }
  }
  Requests(const Requests&) = delete;
  Requests& operator=(const Requests&) = delete;
  ~Requests() {
    fern::monkey::native_scope native;
    for (gaicb& each : requests) {
      while (gai_error(&each) == EAI_INPROGRESS) usleep(1000);
      if (each.ar_result != nullptr) freeaddrinfo(each.ar_result);
    }
  }
  int count() const { return static_cast<int>(list.size()); }
  void note(World& world) {
    for (gaicb& each : requests) {
      world.note("gai_error", gai_error(&each));
      if (gai_error(&each) == 0) world.note("addresses", text_of(each.ar_result));
    }
  }
  std::vector<gaicb> requests;
  std::vector<gaicb*> list;
};

void suspend(World& world, const Requests& all, const timespec* limit = nullptr) {
  look_up(world, "gai_suspend", [&] { return gai_suspend(all.list.data(), all.count(), limit); });
}

const Rows request_rows(
    "Getaddrinfo_a",
    {
        {"all of a list",
         [](World& world) {
           Requests all({"both.fern.test", "missing.fern.test", "127.0.0.1", "broken.fern.test"});
           all.list.insert(all.list.begin() + 1, nullptr);
           look_up(world, "getaddrinfo_a",
                   [&] { return getaddrinfo_a(GAI_WAIT, all.list.data(), all.count(), nullptr); });
           all.note(world);
           suspend(world, all);
         },
         In::Greenlet, asynchronous},
        {"nobody",
         [](World& world) {
           Requests none({});
           for (int mode : {GAI_WAIT, GAI_NOWAIT, 77}) {
             look_up(world, "getaddrinfo_a",
                     [&] { return getaddrinfo_a(mode, none.list.data(), 0, nullptr); });
           }
           suspend(world, none);
           Requests one({"127.0.0.1"});
           one.list[0] = nullptr;
           look_up(world, "getaddrinfo_a",
                   [&] { return getaddrinfo_a(GAI_WAIT, one.list.data(), 1, nullptr); });
           suspend(world, one);
         },
         In::Greenlet, asynchronous},
        {"gai_suspend waits for one",
         [](World& world) {
           server->hold(1 << 20);
           Requests all({"held-first.fern.test"});
           look_up(world, "getaddrinfo_a", [&] {
             return getaddrinfo_a(GAI_NOWAIT, all.list.data(), all.count(), nullptr);
           });
           world.note("gai_error", gai_error(all.list[0]));
           {
             auto peer = world.when_waiting([] { server->hold(0); });
             suspend(world, all);
           }
           all.note(world);
           suspend(world, all);
           world.note("gai_cancel", gai_cancel(all.list[0]));
         },
         In::Greenlet, asynchronous},
        {"gai_suspend ends at its limit",
         [](World& world) {
           server->hold(1 << 20);
           Requests all({"held-second.fern.test"});
           look_up(world, "getaddrinfo_a", [&] {
             return getaddrinfo_a(GAI_NOWAIT, all.list.data(), all.count(), nullptr);
           });
           timespec none{};
           timespec soon{0, 20'000'000};
           suspend(world, all, &none);
           suspend(world, all, &soon);
           server->hold(0);
         },
         In::Greenlet, asynchronous},
        {"a handler ends gai_suspend",
         [](World& world) {
           server->hold(1 << 20);
           Requests all({"held-third.fern.test"});
           Handles handles(SIGUSR1);
           look_up(world, "getaddrinfo_a", [&] {
             return getaddrinfo_a(GAI_NOWAIT, all.list.data(), all.count(), nullptr);
           });
           {
             auto peer = world.when_waiting([&] { pthread_kill(world.thread(), SIGUSR1); });
             suspend(world, all);
           }
           world.note("handled", Handles::count());
           server->hold(0);
         },
         In::Main, asynchronous},
    },
    keeps_heap);

}  // namespace
