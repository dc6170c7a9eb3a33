#include "fern/dns.hpp"

#include <netdb.h>

#include <chrono>
#include <system_error>
#include <vector>

#include "fern/errors.hpp"
#include "fern/greenlet.hpp"
#include "fern/hub.hpp"
#include "fern/timeout.hpp"
#include "support.hpp"

using fern::Address;
using namespace std::chrono_literals;

namespace {

class DnsTest : public FernTest {
 protected:
  DnsTest() { may_keep_heap("questions that were left behind"); }

  template <class F>
  static int resolver_error_of(F f) {
    try {
      f();
    } catch (const std::system_error& error) {
      EXPECT_EQ(&error.code().category(), &fern::resolver_category()) << error.what();
      EXPECT_NE(std::string(error.what()).find("no such"), std::string::npos) << error.what();
      return error.code().value();
    }
    return 0;
  }
};

TEST_F(DnsTest, ANumericAddressIsAnsweredWithoutASwitch) {
  auto switches = fern::Hub::current().switches();
  EXPECT_EQ(fern::resolve("127.0.0.1", 80), std::vector{Address("127.0.0.1", 80)});
  EXPECT_EQ(fern::resolve("::1", "443"), std::vector{Address("::1", 443)});
  EXPECT_EQ(fern::resolve("10.0.0.1", 80, 0s), std::vector{Address("10.0.0.1", 80)});
  EXPECT_EQ(fern::Hub::current().switches(), switches);
}

TEST_F(DnsTest, ANameOfTheHostsFileIsFoundWhileOthersRun) {
  bool ran = false;
  auto other = fern::spawn([&] { ran = true; });
  std::vector<Address> addresses = fern::resolve("localhost", 80, 20s);
  EXPECT_TRUE(ran);
  ASSERT_FALSE(addresses.empty());
  for (const Address& address : addresses) {
    EXPECT_TRUE(address == Address("127.0.0.1", 80) || address == Address("::1", 80))
        << address.to_string();
  }
  other.join();
}

TEST_F(DnsTest, AServiceMayHaveAName) {
  for (const Address& address : fern::resolve("127.0.0.1", "https", 20s)) {
    EXPECT_EQ(address.port(), 443);
  }
}

TEST_F(DnsTest, AHostThatDoesNotExistIsAnErrorWithItsName) {
  EXPECT_NE(resolver_error_of([] { fern::resolve("no such host", 80, 20s); }), 0);
  EXPECT_NE(resolver_error_of([] { fern::resolve("127.0.0.1", "no such service", 20s); }), 0);
}

TEST_F(DnsTest, AQuestionMayBeAbandoned) {
  EXPECT_THROW(fern::resolve("localhost", 80, 0s), fern::TimeoutError);
  auto asking = fern::spawn([] { fern::resolve("localhost", 80); });
  fern::yield();
  asking.kill();
  EXPECT_TRUE(asking.ready());
  fern::Timeout timeout(1ns);
  try {
    for (;;) fern::resolve("localhost", 80);
  } catch (const fern::TimeoutError& error) {
    EXPECT_TRUE(timeout.owns(error));
  }
}

TEST_F(DnsTest, ManyQuestionsAreAskedAtOnce) {
  std::vector<fern::Greenlet<std::size_t>> asking;
  for (int i = 0; i < 200; ++i) {
    asking.push_back(fern::spawn([] { return fern::resolve("localhost", 80, 40s).size(); }));
  }
  for (auto& each : asking) EXPECT_GT(each.get(), 0U);
}

TEST_F(DnsTest, TheHubsOwnStackMayNotAskButForNumbers) {
  bool refused = false;
  fern::Hub::current().post([&] {
    EXPECT_EQ(fern::resolve("127.0.0.1", 80).size(), 1U);
    try {
      fern::resolve("localhost", 80);
    } catch (const fern::BlockingInHub&) {
      refused = true;
    }
  });
  fern::sleep(1ms);
  EXPECT_TRUE(refused);
}

}  // namespace
