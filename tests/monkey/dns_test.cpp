// Wrapped look-ups park their greenlet, and say what glibc says: asked of a name server on this
// machine, by glibc in threads and by c-ares.

#include "monkey/look_ups.hpp"
#include "monkey/name_server.hpp"
#include "monkey/patched.hpp"

#include <netdb.h>
#include <resolv.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using fern::testing::NameServer;
using fern::testing::text_of;

namespace {

const std::string server_address = fern::testing::address_in("127.77.");
const std::string other_address = fern::testing::address_in("127.78.");

// In a thread without a hub, where nothing is green.
template <class F>
auto natively(F f) {
  decltype(f()) result{};
  std::thread([&] { result = f(); }).join();
  return result;
}

class MonkeyDns : public MonkeyTest {
 protected:
  static void SetUpTestSuite() {
    static const bool once = fern::testing::see_etc(server_address);
    permitted = once;
  }
  void SetUp() override {
    if (!permitted) GTEST_SKIP() << "this process may not have an /etc of its own";
    may_keep_heap("the resolver's threads");
    server.emplace(server_address.c_str());
    if (!server->bound()) GTEST_SKIP() << "this process may not have port 53";
  }

  static inline bool permitted = false;
  std::optional<NameServer> server;
};

// One getaddrinfo as text: everything that it says.
std::string addresses_of(const char* host, const char* service, const addrinfo* hints) {
  addrinfo* list = nullptr;
  int error = getaddrinfo(host, service, hints, &list);
  std::ostringstream out;
  out << "error " << error;
  if (error == 0) {
    out << text_of(list);
    freeaddrinfo(list);
  }
  return out.str();
}

int look_up(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  int error = getaddrinfo(host.c_str(), "80", &hints, &list);
  int saved = errno;
  if (error == 0) freeaddrinfo(list);
  errno = saved;
  return error;
}

struct Case {
  const char* host;
  const char* service;
  int flags;
  int family;
  int type;
  int protocol;
  bool hints = true;
};

const Case cases[] = {
    {"both", "80", 0, AF_UNSPEC, SOCK_STREAM, 0},
    {"both.fern.test", "80", 0, AF_UNSPEC, 0, 0},
    {"both.fern.test", nullptr, 0, AF_INET, 0, 0},
    {"both.fern.test", nullptr, 0, AF_INET6, SOCK_DGRAM, 0},
    {"both.fern.test", "domain", 0, AF_UNSPEC, SOCK_DGRAM, IPPROTO_UDP},
    {"both.fern.test", "http", 0, AF_UNSPEC, 0, IPPROTO_TCP},
    {"both.fern.test", "no-such-service", 0, AF_UNSPEC, SOCK_STREAM, 0},
    {"both.fern.test", "80", AI_CANONNAME, AF_UNSPEC, SOCK_STREAM, 0},
    {"alias.fern.test", "80", AI_CANONNAME, AF_INET, SOCK_STREAM, 0},
    {"alias.fern.test", "80", AI_CANONNAME, AF_UNSPEC, SOCK_STREAM, 0},
    {"alias.fern.test", "80", 0, AF_INET6, SOCK_STREAM, 0},
    {"plain-1.fern.test", "80", AI_V4MAPPED, AF_INET6, SOCK_STREAM, 0},
    {"both.fern.test", "80", AI_V4MAPPED, AF_INET6, SOCK_STREAM, 0},
    {"both.fern.test", "80", AI_V4MAPPED | AI_ALL, AF_INET6, SOCK_STREAM, 0},
    {"plain-2.fern.test", "80", 0, AF_INET6, SOCK_STREAM, 0},
    {"six.fern.test", "80", 0, AF_INET, SOCK_STREAM, 0},
    {"six.fern.test", "80", 0, AF_UNSPEC, SOCK_STREAM, 0},
    {"missing.fern.test", "80", 0, AF_UNSPEC, SOCK_STREAM, 0},
    {"missing.fern.test", "80", AI_NUMERICHOST, AF_UNSPEC, SOCK_STREAM, 0},
    {"listed.fern.test", "80", 0, AF_INET, SOCK_STREAM, 0},
    {"localhost", "80", 0, AF_INET, SOCK_STREAM, 0},
    {"plain-3", nullptr, 0, AF_UNSPEC, SOCK_STREAM, 0, false},
    {"127.0.0.1", "80", 0, AF_UNSPEC, 0, 0},
    {"127.0.0.1", "http", AI_NUMERICHOST, AF_UNSPEC, SOCK_STREAM, 0},
    {"127.0.0.1", "http", AI_NUMERICHOST | AI_NUMERICSERV, AF_UNSPEC, SOCK_STREAM, 0},
    {"127.0.0.1", "80", 0, AF_INET6, SOCK_STREAM, 0},
    {"127.0.0.1", "80", AI_V4MAPPED, AF_INET6, SOCK_STREAM, 0},
    {"::1", "80", 0, AF_UNSPEC, SOCK_STREAM, 0},
    {nullptr, "80", AI_PASSIVE, AF_UNSPEC, SOCK_STREAM, 0},
    {nullptr, "80", 0, AF_INET, SOCK_STREAM, 0},
    {nullptr, nullptr, 0, AF_UNSPEC, SOCK_STREAM, 0},
    {"", "80", 0, AF_UNSPEC, SOCK_STREAM, 0},
    {"both.fern.test", "80", 0, AF_UNIX, SOCK_STREAM, 0},
    {"both.fern.test", "80", 0x800000, AF_UNSPEC, SOCK_STREAM, 0},
    {"both.fern.test", "80", 0, AF_UNSPEC, 77, 0},
    {"both.fern.test", "80", AI_CANONNAME, AF_UNSPEC, SOCK_STREAM, IPPROTO_UDP},
    {nullptr, "80", AI_CANONNAME, AF_UNSPEC, SOCK_STREAM, 0},
    {"two words.fern.test", "80", 0, AF_UNSPEC, SOCK_STREAM, 0},
};

// glibc orders ::ffff:0:0/96 by RFC 3484, c-ares as the IPv4 addresses that they are, by RFC 6724.
constexpr int mixes = AI_V4MAPPED | AI_ALL;

void expect_all_as_native(int but_with_flags = -1) {
  for (const Case& each : cases) {
    if (each.flags == but_with_flags) continue;
    addrinfo hints{};
    hints.ai_flags = each.flags;
    hints.ai_family = each.family;
    hints.ai_socktype = each.type;
    hints.ai_protocol = each.protocol;
    auto ask = [&] { return addresses_of(each.host, each.service, each.hints ? &hints : nullptr); };
    EXPECT_EQ(fern::spawn(ask).get(), natively(ask))
        << (each.host == nullptr ? "(null)" : each.host) << " "
        << (each.service == nullptr ? "(null)" : each.service) << ", flags " << each.flags
        << ", family " << each.family << ", type " << each.type;
  }
}

void expect_together(NameServer& server, int held, int asked) {
  server.hold(held);
  std::vector<fern::Greenlet<int>> askers;
  for (int i = 0; i < asked; ++i) {
    askers.push_back(
        fern::spawn([i] { return look_up("held-" + std::to_string(i) + ".fern.test"); }));
  }
  for (auto& asker : askers) EXPECT_EQ(asker.get(), 0);
}

// --- getaddrinfo

TEST_F(MonkeyDns, AddressesAreThoseOfGlibc) { expect_all_as_native(); }

TEST_F(MonkeyDns, FiftyLookUpsAreUnderWayAtOnce) { expect_together(*server, 50, 50); }

TEST_F(MonkeyDns, OfTwoHundredLookUpsSixtyFourAreUnderWayAtOnce) {
  expect_together(*server, 64, 200);
}

TEST_F(MonkeyDns, OthersRunWhileALookUpWaits) {
  server->hold(1000);
  auto asker = fern::spawn([] { return look_up("held-a.fern.test"); });
  while (server->questions() == 0) fern::sleep(1ms);
  EXPECT_FALSE(asker.ready());
  server->hold(1);
  EXPECT_EQ(asker.get(), 0);
}

TEST_F(MonkeyDns, NumericHostsAreAnsweredAtOnce) {
  int error = -1;
  fern::spawn([&] { error = look_up("192.0.2.7"); });
  fern::yield();
  EXPECT_EQ(error, 0);
}

TEST_F(MonkeyDns, AKillEndsALookUpAndTheAnswerIsThrownAway) {
  server->hold(1000);
  int error = 0;
  int number = 0;
  auto asker = fern::spawn([&] {
    error = look_up("held-b.fern.test");
    number = errno;
    EXPECT_EQ(look_up("both.fern.test"), EAI_SYSTEM);
    EXPECT_EQ(look_up("127.0.0.1"), 0);
  });
  while (server->questions() == 0) fern::sleep(1ms);
  asker.kill();
  EXPECT_EQ(error, EAI_SYSTEM);
  EXPECT_EQ(number, ECANCELED);
  server->hold(1);
  EXPECT_EQ(look_up("held-c.fern.test"), 0);
}

TEST_F(MonkeyDns, ATimeoutEndsALookUp) {
  server->hold(1000);
  {
    fern::Timeout timeout(20ms);
    EXPECT_EQ(look_up("held-d.fern.test"), EAI_SYSTEM);
    EXPECT_EQ(errno, ETIMEDOUT);
  }
  server->hold(1);
  EXPECT_EQ(look_up("held-e.fern.test"), 0);
}

TEST_F(MonkeyDns, WhatTheThreadHasSetInItsResolverCountsForItsLookUps) {
  NameServer other(other_address.c_str(), 9);
  ASSERT_TRUE(other.bound());
  auto ask = [] { return addresses_of("plain-4.fern.test", "80", nullptr); };
  ASSERT_EQ(res_init(), 0);
  in_addr kept = _res.nsaddr_list[0].sin_addr;
  inet_pton(AF_INET, other_address.c_str(), &_res.nsaddr_list[0].sin_addr);
  EXPECT_TRUE(fern::testing::says(ask(), "10.0.0.9"));
  _res.nsaddr_list[0].sin_addr = kept;
  EXPECT_TRUE(fern::testing::says(ask(), "10.0.0.1"));
  EXPECT_TRUE(fern::testing::says(natively(ask), "10.0.0.1"));
}

// --- c-ares

class MonkeyDnsByCAres : public MonkeyDns {
 protected:
  void SetUp() override {
    try {
      fern::monkey::patch_all({.resolver = fern::monkey::Resolver::CAres});
    } catch (const std::logic_error& error) {
      ASSERT_NE(std::string(error.what()).find("built without c-ares"), std::string::npos);
      GTEST_SKIP() << error.what();
    }
    MonkeyDns::SetUp();
  }
};

TEST_F(MonkeyDnsByCAres, AddressesAreThoseOfGlibc) { expect_all_as_native(mixes); }

TEST_F(MonkeyDnsByCAres, TwoHundredLookUpsAreUnderWayAtOnce) { expect_together(*server, 200, 200); }

TEST_F(MonkeyDnsByCAres, AKillEndsALookUp) {
  int error = 0;
  auto asker = fern::spawn([&] {
    error = look_up("silent.fern.test");
    EXPECT_EQ(errno, ECANCELED);
  });
  while (server->questions() == 0) fern::sleep(1ms);
  asker.kill();
  EXPECT_EQ(error, EAI_SYSTEM);
}

TEST_F(MonkeyDnsByCAres, ATimeoutEndsALookUp) {
  fern::Timeout timeout(20ms);
  EXPECT_EQ(look_up("silent.fern.test"), EAI_SYSTEM);
  EXPECT_EQ(errno, ETIMEDOUT);
}

// --- gethostbyname and its kin

std::string text_of(int result, const hostent* host, int error) {
  std::string said = std::to_string(result) + ", " + std::to_string(error) + ", ";
  return said + (host == nullptr ? "nobody" : text_of(host));
}

TEST_F(MonkeyDns, HostsByNameAreThoseOfGlibc) {
  for (const char* name : {"both.fern.test", "alias.fern.test", "both", "missing.fern.test",
                           "six.fern.test", "listed.fern.test", "127.0.0.1", "127.1", "::1"}) {
    auto four = [&] { return text_of(gethostbyname(name)); };
    EXPECT_EQ(fern::spawn(four).get(), natively(four)) << name;
    auto six = [&] { return text_of(gethostbyname2(name, AF_INET6)); };
    EXPECT_EQ(fern::spawn(six).get(), natively(six)) << name;
    for (std::size_t size : {0UL, 20UL, 90UL, 100UL, 110UL, 1000UL}) {
      auto into = [&] {
        alignas(16) char buffer[1024];
        hostent host;
        hostent* found;
        int error = 0;
        int result = gethostbyname_r(name, &host, buffer, size, &found, &error);
        return text_of(result, found, error);
      };
      EXPECT_EQ(fern::spawn(into).get(), natively(into)) << name << " in " << size;
      auto into_six = [&] {
        alignas(16) char buffer[1024];
        hostent host;
        hostent* found;
        int error = 0;
        int result = gethostbyname2_r(name, AF_INET6, &host, buffer + 8, size, &found, &error);
        return text_of(result, found, error);
      };
      EXPECT_EQ(fern::spawn(into_six).get(), natively(into_six)) << name << " in " << size;
    }
  }
}

TEST_F(MonkeyDns, HostsByAddressAreThoseOfGlibc) {
  for (const char* text : {"10.0.0.2", "10.0.0.99", "127.0.0.5"}) {
    in_addr address;
    inet_pton(AF_INET, text, &address);
    auto ask = [&] { return text_of(gethostbyaddr(&address, sizeof address, AF_INET)); };
    EXPECT_EQ(fern::spawn(ask).get(), natively(ask)) << text;
    auto into = [&] {
      char buffer[1024];
      hostent host;
      hostent* found;
      int error = 0;
      int result = gethostbyaddr_r(&address, sizeof address, AF_INET, &host, buffer, sizeof buffer,
                                   &found, &error);
      return text_of(result, found, error);
    };
    EXPECT_EQ(fern::spawn(into).get(), natively(into)) << text;
  }
}

TEST_F(MonkeyDns, EachGreenletHasAHostOfItsOwn) {
  auto first = fern::spawn([] {
    const hostent* host = gethostbyname("plain-5.fern.test");
    fern::yield();
    fern::sleep(1ms);
    return std::string(host->h_name);
  });
  auto second = fern::spawn([] { return std::string(gethostbyname("both.fern.test")->h_name); });
  EXPECT_EQ(second.get(), "both.fern.test");
  EXPECT_EQ(first.get(), "plain-5.fern.test");
}

TEST_F(MonkeyDns, AKillEndsALookUpByName) {
  server->hold(1000);
  auto asker = fern::spawn([] {
    EXPECT_EQ(gethostbyname("held-f.fern.test"), nullptr);
    EXPECT_EQ(errno, ECANCELED);
    EXPECT_EQ(h_errno, NETDB_INTERNAL);
  });
  while (server->questions() == 0) fern::sleep(1ms);
  asker.kill();
  EXPECT_TRUE(asker.killed());
  server->hold(1);
  EXPECT_EQ(look_up("held-g.fern.test"), 0);
}

// --- getnameinfo

TEST_F(MonkeyDns, NamesOfAddressesAreThoseOfGlibc) {
  for (const char* text : {"10.0.0.2", "10.0.0.99", "127.0.0.5"}) {
    for (int flags : {0, NI_NAMEREQD, NI_NUMERICHOST, NI_NUMERICSERV, NI_DGRAM, 0x10000}) {
      for (std::size_t size : {0UL, 4UL, 100UL}) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(53);
        inet_pton(AF_INET, text, &address.sin_addr);
        auto ask = [&] {
          char host[100] = "";
          char service[100] = "";
          int error = getnameinfo(reinterpret_cast<sockaddr*>(&address), sizeof address, host,
                                  static_cast<socklen_t>(size), service, sizeof service, flags);
          return error != 0 ? std::to_string(error) : std::string(host) + ":" + service;
        };
        EXPECT_EQ(fern::spawn(ask).get(), natively(ask)) << text << ", flags " << flags;
      }
    }
  }
}

// --- res_query and its kin

std::string answer_of(const std::function<int(unsigned char*, int)>& ask) {
  unsigned char answer[512] = {};
  h_errno = 0;
  int size = ask(answer, sizeof answer);
  std::ostringstream out;
  out << size << ", " << h_errno << ":";
  for (int i = 2; i < size; ++i) out << " " << static_cast<int>(answer[i]);  // behind its number
  if (size < 0) out << (answer[3] & 15);
  return out.str();
}

TEST_F(MonkeyDns, QuestionsOfTheResolversOwnAreAnsweredAsByGlibc) {
  for (const char* name : {"both.fern.test", "both", "missing.fern.test", "six.fern.test"}) {
    auto query = [&] {
      return answer_of([&](unsigned char* answer, int size) {
        return res_query(name, ns_c_in, ns_t_a, answer, size);
      });
    };
    EXPECT_EQ(fern::spawn(query).get(), natively(query)) << name;
    auto search = [&] {
      return answer_of([&](unsigned char* answer, int size) {
        return res_search(name, ns_c_in, ns_t_a, answer, size);
      });
    };
    EXPECT_EQ(fern::spawn(search).get(), natively(search)) << name;
    auto domain = [&] {
      return answer_of([&](unsigned char* answer, int size) {
        return res_querydomain(name, "fern.test", ns_c_in, ns_t_a, answer, size);
      });
    };
    EXPECT_EQ(fern::spawn(domain).get(), natively(domain)) << name;
    auto own = [&] {
      struct __res_state state{};
      EXPECT_EQ(res_ninit(&state), 0);
      std::string said = answer_of([&](unsigned char* answer, int size) {
        unsigned char question[512];
        int length = res_nmkquery(&state, ns_o_query, name, ns_c_in, ns_t_a, nullptr, 0, nullptr,
                                  question, sizeof question);
        return res_nsend(&state, question, length, answer, size);
      });
      said += answer_of([&](unsigned char* answer, int size) {
        return res_nsearch(&state, name, ns_c_in, ns_t_aaaa, answer, size);
      });
      said += std::to_string(state.res_h_errno);
      res_nclose(&state);
      return said;
    };
    EXPECT_EQ(fern::spawn(own).get(), natively(own)) << name;
  }
}

TEST_F(MonkeyDns, AKillEndsAQuestion) {
  server->hold(1000);
  auto asker = fern::spawn([] {
    unsigned char answer[512];
    EXPECT_EQ(res_query("held-h.fern.test", ns_c_in, ns_t_a, answer, sizeof answer), -1);
    EXPECT_EQ(errno, ECANCELED);
    EXPECT_EQ(h_errno, NETDB_INTERNAL);
  });
  while (server->questions() == 0) fern::sleep(1ms);
  asker.kill();
  EXPECT_TRUE(asker.killed());
  server->hold(1);
  EXPECT_EQ(look_up("held-i.fern.test"), 0);
}

// --- glibc's own asynchronous look-ups

TEST_F(MonkeyDns, WhoWaitsForAnAsynchronousLookUpParks) {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "TSan does not survive threads that glibc makes for itself";
#endif
#endif
  server->hold(1000);
  gaicb request{};
  request.ar_name = "held-j.fern.test";
  gaicb* list[] = {&request};
  ASSERT_EQ(getaddrinfo_a(GAI_NOWAIT, list, 1, nullptr), 0);
  timespec short_time{0, 5'000'000};
  auto impatient = [&] { return gai_suspend(list, 1, &short_time); };
  EXPECT_EQ(fern::spawn(impatient).get(), natively(impatient));
  auto waiter = fern::spawn([&] { return gai_suspend(list, 1, nullptr); });
  do {
    fern::sleep(1ms);
  } while (server->questions() == 0);
  EXPECT_FALSE(waiter.ready());
  server->hold(1);
  EXPECT_EQ(waiter.get(), 0);
  EXPECT_EQ(gai_error(&request), 0);
  freeaddrinfo(request.ar_result);
  gaicb second{};
  second.ar_name = "both.fern.test";
  gaicb* both[] = {&second, nullptr};
  EXPECT_EQ(getaddrinfo_a(GAI_WAIT, both, 2, nullptr), 0);
  EXPECT_EQ(gai_error(&second), 0);
  freeaddrinfo(second.ar_result);
}

}  // namespace
