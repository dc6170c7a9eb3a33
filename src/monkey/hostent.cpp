// gethostbyname and its kin: the _r forms in a resolver's thread, in a buffer of the question's,
// whose pointers are moved over into the caller's.

#include "io/workers.hpp"
#include "monkey/ask.hpp"
#include "monkey/green.hpp"
#include "monkey/res_settings.hpp"

#include <fern/local.hpp>

#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace fern::monkey::green {
namespace {

// What is asked, and in whose buffer the answer stands.
struct HostQuestion : io::Question {
  enum class Kind { Name, NameOf, Address };

  HostQuestion(Kind kind, const void* key, std::size_t key_size, int family)
      : kind(kind), key(static_cast<const char*>(key), key_size), family(family), settings(_res) {}

  // make_room() gives a buffer whose address has the low bits of the other: so the answer needs
  // the same room in both.
  void make_room(std::size_t size, const char* like) {
    constexpr std::size_t aligned = alignof(std::max_align_t);
    room.assign(size + aligned, '\0');
    auto low = [](const char* at) { return reinterpret_cast<std::uintptr_t>(at) % aligned; };
    start = room.data() + (low(like) + aligned - low(room.data())) % aligned;
    space = size;
  }

  void answer() noexcept {
    ResSettings::Applied applied(settings);
    switch (kind) {
      case Kind::Name:
        error = native::gethostbyname_r(key.c_str(), &host, start, space, &found, &host_error);
        break;
      case Kind::NameOf:
        error =
            native::gethostbyname2_r(key.c_str(), family, &host, start, space, &found, &host_error);
        break;
      case Kind::Address:
        error = native::gethostbyaddr_r(key.data(), static_cast<socklen_t>(key.size()), family,
                                        &host, start, space, &found, &host_error);
        break;
    }
    saved_errno = errno;
  }

  // numeric() asks whether nobody has to be asked.
  bool numeric() const noexcept {
    in6_addr address;
    return kind != Kind::Address &&
           (::inet_aton(key.c_str(), reinterpret_cast<in_addr*>(&address)) != 0 ||
            ::inet_pton(AF_INET6, key.c_str(), &address) == 1);
  }

  Kind kind;
  std::string key;
  int family;
  ResSettings settings;
  std::vector<char> room;
  char* start = nullptr;
  std::size_t space = 0;
  hostent host{};
  hostent* found = nullptr;
  int error = 0;
  int saved_errno = 0;
  int host_error = 0;
};

// move_into() copies the answer, and has its pointers point into the copy. glibc does not align
// them in answers to numeric names.
void move_into(char* buffer, hostent& host, HostQuestion& from) noexcept {
  std::memcpy(buffer, from.start, from.space);
  auto offset_of = [&](const void* at) {
    return static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(at) -
                                    reinterpret_cast<std::uintptr_t>(from.start));
  };
  auto moved = [&](char* at) { return offset_of(at) < from.space ? buffer + offset_of(at) : at; };
  auto moved_list = [&](char** list) {
    if (offset_of(list) >= from.space) return list;
    char* copy = buffer + offset_of(list);
    char* each = nullptr;
    for (char* at = copy; std::memcpy(&each, at, sizeof each), each != nullptr; at += sizeof each) {
      each = moved(each);
      std::memcpy(at, &each, sizeof each);
    }
    return reinterpret_cast<char**>(copy);
  };
  host = from.host;
  host.h_name = moved(host.h_name);
  host.h_aliases = moved_list(host.h_aliases);
  host.h_addr_list = moved_list(host.h_addr_list);
}

bool answered(std::unique_ptr<HostQuestion>& question, const char* what) noexcept {
  if (question->numeric()) {
    base::NativeScope native;
    question->answer();
    return true;
  }
  return ask(question, io::resolver_workers(), what);
}

int ask_into(HostQuestion::Kind kind, const void* key, std::size_t key_size, int family,
             const char* what, hostent* host, char* buffer, std::size_t size, hostent** found,
             int* host_error) noexcept {
  try {
    auto question = std::make_unique<HostQuestion>(kind, key, key_size, family);
    question->make_room(size, buffer);
    question->host_error = *host_error;  // not always written
    if (!answered(question, what)) {
      *found = nullptr;
      *host_error = NETDB_INTERNAL;
      return errno;
    }
    *found = question->found == nullptr ? nullptr : host;
    if (*found != nullptr) move_into(buffer, *host, *question);
    *host_error = question->host_error;
    errno = question->saved_errno;
    return question->error;
  } catch (...) {
    *found = nullptr;
    *host_error = NETDB_INTERNAL;
    errno = ENOMEM;
    return ENOMEM;
  }
}

// glibc has one static area for everybody's answers. Here each greenlet has one, for greenlets are
// what its caller takes for the only thread; like glibc's the next call overwrites it.
struct Area {
  std::unique_ptr<HostQuestion> answer;
};

Area& area() {
  alignas(GreenletLocal<Area>) static unsigned char room[sizeof(GreenletLocal<Area>)];
  static auto* areas = ::new (static_cast<void*>(room)) GreenletLocal<Area>();
  return **areas;
}

hostent* ask_static(HostQuestion::Kind kind, const void* key, std::size_t key_size, int family,
                    const char* what) noexcept {
  constexpr std::size_t first_size = 1024;
  constexpr std::size_t most = std::size_t{1} << 20;
  try {
    for (std::size_t size = first_size; size <= most; size *= 2) {
      auto question = std::make_unique<HostQuestion>(kind, key, key_size, family);
      question->make_room(size, nullptr);
      if (!answered(question, what)) {
        h_errno = NETDB_INTERNAL;
        return nullptr;
      }
      if (question->error == ERANGE && question->host_error == NETDB_INTERNAL) continue;
      h_errno = question->host_error;
      errno = question->saved_errno;
      if (question->found == nullptr) return nullptr;
      Area& mine = area();
      mine.answer = std::move(question);
      return &mine.answer->host;
    }
  } catch (...) {
  }
  h_errno = NETDB_INTERNAL;
  errno = ENOMEM;
  return nullptr;
}

using Kind = HostQuestion::Kind;

}  // namespace

hostent* gethostbyname(const char* name) noexcept {
  return ask_static(Kind::Name, name, std::strlen(name), AF_INET, "gethostbyname()");
}

hostent* gethostbyname2(const char* name, int family) noexcept {
  return ask_static(Kind::NameOf, name, std::strlen(name), family, "gethostbyname2()");
}

hostent* gethostbyaddr(const void* address, socklen_t size, int family) noexcept {
  return ask_static(Kind::Address, address, size, family, "gethostbyaddr()");
}

int gethostbyname_r(const char* name, hostent* host, char* buffer, std::size_t size,
                    hostent** found, int* error) noexcept {
  return ask_into(Kind::Name, name, std::strlen(name), AF_INET, "gethostbyname_r()", host, buffer,
                  size, found, error);
}

int gethostbyname2_r(const char* name, int family, hostent* host, char* buffer, std::size_t size,
                     hostent** found, int* error) noexcept {
  return ask_into(Kind::NameOf, name, std::strlen(name), family, "gethostbyname2_r()", host, buffer,
                  size, found, error);
}

int gethostbyaddr_r(const void* address, socklen_t address_size, int family, hostent* host,
                    char* buffer, std::size_t size, hostent** found, int* error) noexcept {
  return ask_into(Kind::Address, address, address_size, family, "gethostbyaddr_r()", host, buffer,
                  size, found, error);
}

}  // namespace fern::monkey::green
