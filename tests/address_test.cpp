#include "fern/address.hpp"

#include <netinet/in.h>
#include <sys/un.h>

#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

#include "support.hpp"

using fern::Address;

namespace {

class AddressTest : public FernTest {};

TEST_F(AddressTest, OfAnIpAddressAndAPort) {
  Address address("127.0.0.1", 80);
  EXPECT_EQ(address.family(), Address::Family::V4);
  EXPECT_EQ(address.ip(), "127.0.0.1");
  EXPECT_EQ(address.port(), 80);
  EXPECT_EQ(address.path(), "");
  EXPECT_EQ(address.to_string(), "127.0.0.1:80");
  Address other("2001:db8::1", 65535);
  EXPECT_EQ(other.family(), Address::Family::V6);
  EXPECT_EQ(other.to_string(), "[2001:db8::1]:65535");
}

TEST_F(AddressTest, WhatItWritesItReads) {
  for (const char* text :
       {"0.0.0.0:0", "255.255.255.255:65535", "[::]:1", "[fe80::1%7]:80", "[::ffff:1.2.3.4]:9",
        "unix:/run/app.sock", "unix:relative", "unix:@abstract"}) {
    EXPECT_EQ(Address::parse(text).to_string(), text);
  }
  EXPECT_EQ(Address::parse("/run/app.sock"), Address::unix_path("/run/app.sock"));
  EXPECT_EQ(Address::parse("@abstract"), Address::unix_path("@abstract"));
}

TEST_F(AddressTest, WhatIsNoAddressIsRefused) {
  for (const char* text :
       {"", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
        "127.0.0.1:8 0", "localhost:80", "::1:80", "[127.0.0.1]:80", "[::1]", "[]:80", "1.2.3:4",
        "01.2.3.4.5:6", "unix:", "127.0.0.1:+80"}) {
    EXPECT_THROW(Address::parse(text), std::invalid_argument) << text;
  }
  EXPECT_THROW(Address("example.org", 80), std::invalid_argument);
  EXPECT_THROW(Address("127.0.0.1%1", 80), std::invalid_argument);
  EXPECT_THROW(Address("fe80::1%nosuchinterface", 80), std::invalid_argument);
  EXPECT_THROW(Address::unix_path(std::string(108, 'x')), std::invalid_argument);
  EXPECT_THROW(Address::unix_path(std::string("a\0b", 3)), std::invalid_argument);
}

TEST_F(AddressTest, TheLongestPathFits) {
  std::string path(107, 'x');
  EXPECT_EQ(Address::unix_path(path).path(), path);
}

TEST_F(AddressTest, ADefaultOneIsOfNoFamily) {
  Address none;
  EXPECT_EQ(none.family(), Address::Family::None);
  EXPECT_EQ(none, Address());
  EXPECT_EQ(none.port(), 0);
  EXPECT_EQ(none.to_string(), "none");
  EXPECT_LT(none, Address::any());
}

TEST_F(AddressTest, ComparesByWhatItMeans) {
  EXPECT_EQ(Address("10.0.0.1", 1), Address("10.0.0.1", 1));
  EXPECT_NE(Address("10.0.0.1", 1), Address("10.0.0.1", 2));
  EXPECT_LT(Address("10.0.0.1", 2), Address("10.0.0.2", 1));
  EXPECT_LT(Address("255.0.0.1", 2), Address("::", 1));
  EXPECT_NE(Address("fe80::1%1", 1), Address("fe80::1%2", 1));
  sockaddr_in6 flow{};
  flow.sin6_family = AF_INET6;
  flow.sin6_addr = in6addr_loopback;
  flow.sin6_port = htons(5);
  flow.sin6_flowinfo = 77;
  EXPECT_EQ(Address::from_raw(&flow, sizeof flow), Address("::1", 5));
}

TEST_F(AddressTest, HashesByWhatItMeans) {
  std::unordered_set<Address> seen{Address("::1", 1), Address::parse("[::1]:1"), Address("::1", 2)};
  EXPECT_EQ(seen.size(), 2U);
}

TEST_F(AddressTest, WithPortChangesOnlyThat) {
  EXPECT_EQ(Address("::1", 1).with_port(2), Address("::1", 2));
  EXPECT_EQ(Address::unix_path("/x").with_port(2), Address::unix_path("/x"));
  EXPECT_EQ(Address::any(3).to_string(), "0.0.0.0:3");
  EXPECT_EQ(Address::loopback(4).to_string(), "127.0.0.1:4");
}

TEST_F(AddressTest, ComesFromAndGoesToASockaddr) {
  Address address = Address::unix_path("/run/app.sock");
  EXPECT_EQ(Address::from_raw(address.raw(), address.raw_size()), address);
  sockaddr_un padded{};
  padded.sun_family = AF_UNIX;
  std::string("/run/app.sock").copy(padded.sun_path, sizeof padded.sun_path);
  EXPECT_EQ(Address::from_raw(&padded, sizeof padded), address);
  sa_family_t unnamed = AF_UNIX;
  EXPECT_EQ(Address::from_raw(&unnamed, sizeof unnamed).path(), "");
  EXPECT_EQ(Address::from_raw(&unnamed, sizeof unnamed).family(), Address::Family::Unix);
  sockaddr_in cut{};
  cut.sin_family = AF_INET;
  EXPECT_EQ(Address::from_raw(&cut, 4), Address());
  EXPECT_EQ(Address::from_raw(&cut, 0), Address());
}

}  // namespace
