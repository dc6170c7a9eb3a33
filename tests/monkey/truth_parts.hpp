#pragma once

// For rows of calls that take parts: readv, sendmsg and their kin.

#include "monkey/truth.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace fern::truth {

// Parts of these sizes in one text of letters.
struct Parts {
  explicit Parts(std::initializer_list<std::size_t> sizes)
      : Parts(std::vector<std::size_t>(sizes)) {}
  explicit Parts(const std::vector<std::size_t>& sizes) {
    std::size_t all = 0;
    for (std::size_t size : sizes) all += size;
    for (std::size_t i = 0; i < all; ++i) text += static_cast<char>('a' + i % 23);
    std::size_t at = 0;
    for (std::size_t size : sizes) {
      parts.push_back({text.data() + at, size});
      at += size;
    }
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  int count() const { return static_cast<int>(parts.size()); }
  std::string text;
  std::vector<iovec> parts;
};

inline void note_data(World& world, const Parts& parts, ssize_t got) {
  world.note("data", parts.text.substr(0, got < 0 ? 0 : static_cast<std::size_t>(got)));
}

// A message of such parts.
struct Message : Parts {
  explicit Message(std::initializer_list<std::size_t> sizes)
      : Message(std::vector<std::size_t>(sizes)) {}
  explicit Message(const std::vector<std::size_t>& sizes) : Parts(sizes) { use_parts(); }
  // After a change of their number.
  void use_parts() {
    header.msg_iov = parts.data();
    header.msg_iovlen = parts.size();
  }

  // A message carries a descriptor, or has room for one.
  void make_room() {
    header.msg_control = room;
    header.msg_controllen = sizeof room;
  }
  void carry(int fd) {
    make_room();
    cmsghdr* control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    *reinterpret_cast<int*>(CMSG_DATA(control)) = fd;
  }
  // Null without one.
  const int* carried() {
    cmsghdr* control = CMSG_FIRSTHDR(&header);
    return control == nullptr ? nullptr : reinterpret_cast<int*>(CMSG_DATA(control));
  }

  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
};

}  // namespace fern::truth
