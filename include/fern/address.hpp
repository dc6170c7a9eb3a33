#pragma once

// An Address is where a socket is: an IPv4 or IPv6 address with a port, or a unix socket's path.
// A value: copies, compares, hashes, and never asks a resolver (see dns.hpp).
//
//   fern::Address server("127.0.0.1", 8080);
//   auto same = fern::Address::parse("127.0.0.1:8080");
//   assert(same == server && same.to_string() == "127.0.0.1:8080");
//   auto local = fern::Address::unix_path("/run/app.sock");   // "unix:/run/app.sock"

#include <fern/config.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fern {

class FERN_API Address {
 public:
  enum class Family : unsigned char { None, V4, V6, Unix };

  // A default Address is of no family; only assigning and comparing make sense.
  Address() noexcept = default;

  // From a numeric IP address: "127.0.0.1", "::1", "fe80::1%eth0" (or %2). Throws
  // std::invalid_argument for anything else, names included.
  Address(std::string_view ip, std::uint16_t port);

  // parse() reads what to_string() writes: "1.2.3.4:80", "[::1]:80", "unix:path", "unix:@name" for
  // the abstract namespace; a path may also begin with "/" or "@" without "unix:". Throws
  // std::invalid_argument.
  static Address parse(std::string_view text);

  // unix_path() is a unix socket's: a path, or "@name" in the abstract namespace. Throws
  // std::invalid_argument when it is empty or longer than 107 bytes.
  static Address unix_path(std::string_view path);

  // any() is every IPv4 interface of this machine, loopback() 127.0.0.1; with port 0 the kernel
  // chooses one at bind.
  static Address any(std::uint16_t port = 0);
  static Address loopback(std::uint16_t port = 0);

  Family family() const noexcept;
  std::uint16_t port() const noexcept;  // 0 of a unix address
  std::string ip() const;               // "" of a unix address
  std::string path() const;             // "" unless a unix address that has a name

  // with_port() is the same address with another port; a unix one as it is.
  Address with_port(std::uint16_t port) const noexcept;

  std::string to_string() const;

  // raw() is the sockaddr that system calls take, raw_size() its size. from_raw() copies one; a
  // family that is none of ours makes an Address of no family.
  const void* raw() const noexcept { return room_; }
  std::size_t raw_size() const noexcept { return size_; }
  static Address from_raw(const void* sockaddr, std::size_t size) noexcept;

  // Equal are those of the same family, address, scope and port, or of the same path.
  friend bool operator==(const Address& a, const Address& b) noexcept { return (a <=> b) == 0; }
  FERN_API friend std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept;

 private:
  friend struct std::hash<Address>;
  std::string_view key(unsigned char (&room)[32]) const noexcept;

  static constexpr std::size_t room_size = 112;  // sockaddr_un has 110 bytes
  alignas(8) unsigned char room_[room_size] = {};
  unsigned char size_ = 0;
};

}  // namespace fern

template <>
struct std::hash<fern::Address> {
  FERN_API std::size_t operator()(const fern::Address& address) const noexcept;
};
