#include <fern/address.hpp>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace fern {
namespace {

constexpr std::size_t path_at = offsetof(sockaddr_un, sun_path);

// The structs are copied in and out, so that no pointer of another type looks at the bytes.
template <class T>
T load(const unsigned char* room) noexcept {
  T value;
  std::memcpy(&value, room, sizeof value);
  return value;
}

template <class T>
void store(unsigned char* room, const T& value) noexcept {
  std::memcpy(room, &value, sizeof value);
}

[[noreturn]] void refuse(std::string_view text, const char* why) {
  throw std::invalid_argument("fern::Address: \"" + std::string(text) + "\" " + why);
}

// The number of a scope: "2", or an interface's name.
std::uint32_t scope_of(std::string_view ip, std::string_view name) {
  std::uint32_t number = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size()) return number;
  number = if_nametoindex(std::string(name).c_str());
  if (number == 0) refuse(ip, "names an interface that does not exist");
  return number;
}

}  // namespace

Address::Address(std::string_view ip, std::uint16_t port) {
  std::string text(ip.substr(0, ip.find('%')));
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (text.size() == ip.size() && inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    store(room_, v4);
    size_ = sizeof v4;
  } else if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    if (text.size() < ip.size()) v6.sin6_scope_id = scope_of(ip, ip.substr(text.size() + 1));
    store(room_, v6);
    size_ = sizeof v6;
  } else {
    refuse(ip, "is not a numeric IP address");
  }
}

Address Address::parse(std::string_view text) {
  constexpr std::string_view prefix = "unix:";
  if (text.starts_with(prefix)) return unix_path(text.substr(prefix.size()));
  if (text.starts_with('/') || text.starts_with('@')) return unix_path(text);
  std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) refuse(text, "has no port");
  std::string_view host = text.substr(0, colon);
  std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) {
    refuse(text, "has no port from 0 to 65535");
  }
  bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  if (brackets != (host.find(':') != std::string_view::npos)) {
    refuse(text, "is neither ip4:port nor [ip6]:port");
  }
  return {host, port};
}

Address Address::unix_path(std::string_view path) {
  sockaddr_un local{};
  bool abstract = path.starts_with('@');
  if (path.empty() || path.size() >= sizeof local.sun_path ||
      path.find('\0') != std::string_view::npos) {
    refuse(path, "is no path of 1 to 107 bytes");
  }
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path, path.data(), path.size());
  if (abstract) local.sun_path[0] = '\0';
  Address made;
  store(made.room_, local);
  // A path ends with its NUL, an abstract name with its last byte.
  made.size_ = static_cast<unsigned char>(path_at + path.size() + (abstract ? 0 : 1));
  return made;
}

Address Address::any(std::uint16_t port) { return {"0.0.0.0", port}; }

Address Address::loopback(std::uint16_t port) { return {"127.0.0.1", port}; }

Address Address::from_raw(const void* sockaddr, std::size_t size) noexcept {
  Address made;
  if (size < sizeof(sa_family_t) || size > room_size) return made;
  std::memcpy(made.room_, sockaddr, size);
  made.size_ = static_cast<unsigned char>(size);
  bool whole = (made.family() == Family::V4 && size >= sizeof(sockaddr_in)) ||
               (made.family() == Family::V6 && size >= sizeof(sockaddr_in6)) ||
               made.family() == Family::Unix;
  if (!whole) return {};
  if (made.family() == Family::Unix && size > path_at && made.room_[path_at] != 0) {
    // As unix_path() makes it: nothing behind the NUL counts.
    const char* name = reinterpret_cast<const char*>(made.room_) + path_at;
    std::size_t length = path_at + strnlen(name, size - path_at) + 1;
    made.size_ = static_cast<unsigned char>(std::min(length, sizeof(sockaddr_un)));
  }
  return made;
}

Address::Family Address::family() const noexcept {
  if (size_ == 0) return Family::None;
  switch (load<sa_family_t>(room_)) {
    case AF_INET:
      return Family::V4;
    case AF_INET6:
      return Family::V6;
    case AF_UNIX:
      return Family::Unix;
    default:
      return Family::None;
  }
}

std::uint16_t Address::port() const noexcept {
  // Both have it at the same place.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  if (family() != Family::V4 && family() != Family::V6) return 0;
  return ntohs(load<std::uint16_t>(room_ + offsetof(sockaddr_in, sin_port)));
}

Address Address::with_port(std::uint16_t port) const noexcept {
  Address made = *this;
  if (family() == Family::V4 || family() == Family::V6) {
    store(made.room_ + offsetof(sockaddr_in, sin_port), htons(port));
  }
  return made;
}

std::string Address::ip() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == Family::V4) {
    inet_ntop(AF_INET, room_ + offsetof(sockaddr_in, sin_addr), text, sizeof text);
  } else if (family() == Family::V6) {
    inet_ntop(AF_INET6, room_ + offsetof(sockaddr_in6, sin6_addr), text, sizeof text);
    std::uint32_t scope = load<sockaddr_in6>(room_).sin6_scope_id;
    if (scope != 0) return std::string(text) + "%" + std::to_string(scope);
  }
  return text;
}

std::string Address::path() const {
  if (family() != Family::Unix || size_ <= path_at) return {};
  const char* name = reinterpret_cast<const char*>(room_) + path_at;
  std::size_t size = size_ - path_at;
  if (name[0] == '\0') return "@" + std::string(name + 1, size - 1);
  return {name, strnlen(name, size)};
}

std::string Address::to_string() const {
  switch (family()) {
    case Family::V4:
      return ip() + ":" + std::to_string(port());
    case Family::V6:
      return "[" + ip() + "]:" + std::to_string(port());
    case Family::Unix:
      return "unix:" + path();
    case Family::None:
      break;
  }
  return "none";
}

// What makes one address differ from another, and nothing else: V6 has a flow label, V4 padding.
std::string_view Address::key(unsigned char (&room)[32]) const noexcept {
  const char* bytes = reinterpret_cast<const char*>(room);
  switch (family()) {
    case Family::V4:
      std::memcpy(room, room_ + offsetof(sockaddr_in, sin_addr), 4);
      std::memcpy(room + 4, room_ + offsetof(sockaddr_in, sin_port), 2);
      return {bytes, 6};
    case Family::V6:
      std::memcpy(room, room_ + offsetof(sockaddr_in6, sin6_addr), 16);
      std::memcpy(room + 16, room_ + offsetof(sockaddr_in6, sin6_scope_id), 4);
      std::memcpy(room + 20, room_ + offsetof(sockaddr_in6, sin6_port), 2);
      return {bytes, 22};
    case Family::Unix:
      return {reinterpret_cast<const char*>(room_) + path_at, size_ - path_at};
    case Family::None:
      break;
  }
  return {};
}

std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept {
  if (auto order = a.family() <=> b.family(); order != 0) return order;
  unsigned char room_a[32];
  unsigned char room_b[32];
  return a.key(room_a).compare(b.key(room_b)) <=> 0;
}

}  // namespace fern

std::size_t std::hash<fern::Address>::operator()(const fern::Address& address) const noexcept {
  unsigned char room[32];
  return std::hash<std::string_view>()(address.key(room)) ^
         static_cast<std::size_t>(address.family());
}
