// Unmodified blocking libraries against real servers: green, killed and timed out.

#include "monkey/clients.hpp"

#include "monkey/patched.hpp"

#include <memory>
#include <thread>

using fern::testing::Client;
using fern::testing::Servers;
using namespace std::chrono_literals;

namespace {

class MonkeyClients : public FernTest, public ::testing::WithParamInterface<int> {
 protected:
  static void SetUpTestSuite() {
    if (!Servers::missing().empty()) return;
    servers = std::make_unique<Servers>();
    servers->start();
    all = fern::testing::clients(*servers);
  }
  static void TearDownTestSuite() { servers.reset(); }

  MonkeyClients() {
    watch_longer(60s);
    may_keep_heap("libraries, and the workers, keep what they will use again");
  }
  ~MonkeyClients() override { fern::monkey::unpatch(); }

  void SetUp() override {
    if (servers == nullptr) GTEST_SKIP() << Servers::missing();
    // What a library makes at its first use is no leak of the second.
    expected = natively(wait());
    fern::monkey::patch_all();
    EXPECT_EQ(client().call(wait()), expected);
  }

  const Client& client() const { return all[static_cast<std::size_t>(GetParam())]; }
  std::chrono::milliseconds wait() const { return std::max(100ms, client().shortest); }

  // False where a connection is made anew after the end: it may find all that it needs at once,
  // without a wait that is refused, and what was late by itself looks the same.
  bool tells_its_end() const { return client().name != "MariaPingAfterTimeout"; }

  // In a thread without a hub.
  std::string natively(std::chrono::milliseconds wait) const {
    std::string result;
    std::thread([&] { result = client().call(wait); }).join();
    return result;
  }

  std::string expected;
  static std::unique_ptr<Servers> servers;
  static std::vector<Client> all;
};

std::unique_ptr<Servers> MonkeyClients::servers;
std::vector<Client> MonkeyClients::all;

TEST_P(MonkeyClients, FiftyAtOnceGiveWhatAThreadGets) {
  EXPECT_EQ(expected.find("error: no"), std::string::npos) << expected;
  std::vector<fern::Greenlet<std::string>> calls;
  for (int i = 0; i < 50; ++i) {
    calls.push_back(fern::spawn([this] { return client().call(wait()); }));
  }
  for (auto& call : calls) EXPECT_EQ(call.get(), expected);
}

TEST_P(MonkeyClients, AKillEndsACallInItsMiddle) {
  std::string result;
  auto victim = fern::spawn([&] { result = client().call(client().longest); });
  fern::sleep(100ms);
  EXPECT_FALSE(victim.ready());
  victim.kill();
  EXPECT_TRUE(victim.killed());
  if (tells_its_end()) {
    EXPECT_NE(result, expected);
  }
  EXPECT_FALSE(result.empty()) << "the library's own way out was not taken";
}

TEST_P(MonkeyClients, ATimeoutEndsACallInItsMiddle) {
  std::string result;
  EXPECT_THROW(fern::with_timeout(100ms, [&] { result = client().call(client().longest); }),
               fern::TimeoutError);
  if (tells_its_end()) {
    EXPECT_NE(result, expected);
  }
  EXPECT_FALSE(result.empty()) << "the library's own way out was not taken";
  EXPECT_EQ(client().call(wait()), expected);
}

// The names are known before the servers are.
std::string name_of(const ::testing::TestParamInfo<int>& info) {
  static const auto names = fern::testing::clients(Servers());
  return names[static_cast<std::size_t>(info.param)].name;
}

INSTANTIATE_TEST_SUITE_P(Libraries, MonkeyClients, ::testing::Range(0, 15), name_of);

}  // namespace
