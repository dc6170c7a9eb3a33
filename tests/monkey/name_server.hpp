#pragma once

// A name server of the test's own, on port 53 of an address of this machine, and a view of /etc in
// which it is the one that is asked. The names:
//
//   plain-ANYTHING   10.0.0.1            both      10.0.0.2 and 2001:db8::2
//   alias            a CNAME of both     six       2001:db8::6 only
//   missing          NXDOMAIN            silent    no answer at all
//   broken           SERVFAIL            refused   REFUSED
//   held-ANYTHING    10.0.0.3, once as many such names have been asked for as hold() says

#include "support.hpp"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace fern::testing {

// see_etc() has this process, and no other, see these as its /etc/resolv.conf, /etc/hosts and
// /etc/nsswitch.conf. False when that is not permitted. Only while there is one thread.
inline bool see_etc(const std::string& server) {
  if (unshare(CLONE_NEWNS) != 0) return false;
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  auto put = [](const char* path, const std::string& text) {
    char name[] = "/tmp/fern_etc.XXXXXX";
    int fd = mkstemp(name);
    bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    fchmod(fd, 0644);
    close(fd);
    bool mounted = mount(name, path, nullptr, MS_BIND, nullptr) == 0;
    unlink(name);
    return written && mounted;
  };
  return put("/etc/resolv.conf", "nameserver " + server + "\nsearch fern.test\n") &&
         put("/etc/hosts", "127.0.0.1 localhost\n127.0.0.5 listed.fern.test\n") &&
         put("/etc/nsswitch.conf", "hosts: files dns\nservices: files\nprotocols: files\n");
}

// Addresses of this process's own: several may run these tests at once.
inline std::string address_in(const char* network) {
  auto pid = static_cast<unsigned>(getpid());
  return network + std::to_string(pid / 250 % 250 + 1) + "." + std::to_string(pid % 250 + 1);
}

class NameServer {
 public:
  // `last` is what 10.0.0.1 is to this one.
  explicit NameServer(const char* address, std::uint8_t last = 1) : last_(last) {
    fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    end_ = eventfd(0, EFD_CLOEXEC);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_port = htons(53);
    inet_pton(AF_INET, address, &here.sin_addr);
    bound_ = bind(fd_, reinterpret_cast<sockaddr*>(&here), sizeof here) == 0;
    thread_ = std::thread([this] { serve(); });
  }
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  ~NameServer() {
    eventfd_write(end_, 1);
    thread_.join();
    ::close(fd_);
    ::close(end_);
  }

  bool bound() const { return bound_; }

  // hold() keeps the answers for held names back until so many different ones have been asked for.
  void hold(int names) {
    held_names_.store(names);
    eventfd_write(end_, 1U << 20);  // has it look again
  }

  int questions() const { return questions_.load(); }

 private:
  using Bytes = std::vector<std::uint8_t>;
  struct Reply {
    Bytes bytes;
    sockaddr_in to;
  };

  void serve() {
    for (;;) {
      pollfd both[] = {{fd_, POLLIN, 0}, {end_, POLLIN, 0}};
      ::poll(both, 2, -1);
      if (both[1].revents != 0) {
        eventfd_t value = 0;
        eventfd_read(end_, &value);
        if (value % (1U << 20) != 0) return;
      }
      if (both[0].revents != 0) {
        Bytes question(512);
        sockaddr_in from{};
        socklen_t size = sizeof from;
        ssize_t got = ::recvfrom(fd_, question.data(), question.size(), 0,
                                 reinterpret_cast<sockaddr*>(&from), &size);
        if (got > 12) {
          question.resize(static_cast<std::size_t>(got));
          answer(question, from);
        }
      }
      if (static_cast<int>(names_.size()) >= held_names_.load()) {
        for (const Reply& reply : held_) send(reply);
        held_.clear();
      }
    }
  }

  void send(const Reply& reply) {
    ::sendto(fd_, reply.bytes.data(), reply.bytes.size(), 0,
             reinterpret_cast<const sockaddr*>(&reply.to), sizeof reply.to);
  }

  void answer(const Bytes& question, const sockaddr_in& from) {
    std::string name;
    std::size_t at = 12;
    while (at < question.size() && question[at] != 0) {
      std::size_t length = question[at];
      if (!name.empty()) name += '.';
      name.append(reinterpret_cast<const char*>(&question[at + 1]), length);
      at += length + 1;
    }
    int type = question[at + 1] << 8 | question[at + 2];
    at += 5;
    ++questions_;
    std::string first = name.substr(0, name.find('.'));
    Reply reply{Bytes(question.begin(), question.begin() + static_cast<long>(at)), from};
    reply.bytes[2] = 0x85;  // an answer, with authority
    reply.bytes[3] = 0x80;
    std::fill(reply.bytes.begin() + 6, reply.bytes.begin() + 12, 0);
    auto is = [&](const char* prefix) { return first.rfind(prefix, 0) == 0; };
    if (first == "silent") return;
    if (name == "2.0.0.10.in-addr.arpa" && type == ns_t_ptr) {
      record(reply.bytes, 12, ns_t_ptr, encoded("both.fern.test"));
    } else if (name.size() < 9 || name.substr(name.size() - 9) != "fern.test") {
      reply.bytes[3] |= ns_r_nxdomain;
    } else if (first == "broken") {
      reply.bytes[3] |= ns_r_servfail;
    } else if (first == "refused") {
      reply.bytes[3] |= ns_r_refused;
    } else if (is("plain")) {
      if (type == ns_t_a) record(reply.bytes, 12, ns_t_a, {10, 0, 0, last_});
    } else if (is("held")) {
      if (type == ns_t_a) record(reply.bytes, 12, ns_t_a, {10, 0, 0, 3});
      names_.insert(name);
      held_.push_back(reply);
      return;
    } else if (first == "both") {
      addresses(reply.bytes, 12, type);
    } else if (first == "alias") {
      std::size_t target = reply.bytes.size() + 12;
      record(reply.bytes, 12, ns_t_cname, encoded("both.fern.test"));
      addresses(reply.bytes, target, type);
    } else if (first == "six") {
      if (type == ns_t_aaaa) record(reply.bytes, 12, ns_t_aaaa, six(6));
    } else {
      reply.bytes[3] |= ns_r_nxdomain;
    }
    send(reply);
  }

  static Bytes six(std::uint8_t last) {
    Bytes address(16);
    address[0] = 0x20;
    address[1] = 0x01;
    address[2] = 0x0d;
    address[3] = 0xb8;
    address[15] = last;
    return address;
  }

  static Bytes encoded(const std::string& name) {
    Bytes bytes;
    std::size_t from = 0;
    while (from <= name.size()) {
      std::size_t dot = std::min(name.find('.', from), name.size());
      bytes.push_back(static_cast<std::uint8_t>(dot - from));
      bytes.insert(bytes.end(), name.begin() + static_cast<long>(from),
                   name.begin() + static_cast<long>(dot));
      from = dot + 1;
    }
    bytes.push_back(0);
    return bytes;
  }

  static void addresses(Bytes& reply, std::size_t owner, int type) {
    if (type == ns_t_a) record(reply, owner, ns_t_a, {10, 0, 0, 2});
    if (type == ns_t_aaaa) record(reply, owner, ns_t_aaaa, six(2));
  }

  // A record whose owner is the name at that place of the message.
  static void record(Bytes& reply, std::size_t owner, int type, const Bytes& data) {
    auto two = [&](std::size_t value) {
      reply.push_back(static_cast<std::uint8_t>(value >> 8));
      reply.push_back(static_cast<std::uint8_t>(value));
    };
    two(0xc000 | owner);
    two(static_cast<std::size_t>(type));
    two(ns_c_in);
    two(0);
    two(60);
    two(data.size());
    reply.insert(reply.end(), data.begin(), data.end());
    ++reply[7];
  }

  std::uint8_t last_;
  int fd_;
  int end_;
  bool bound_;
  std::atomic<int> held_names_{0};
  std::atomic<int> questions_{0};
  std::set<std::string> names_;  // held ones; the server's thread only, as all below
  std::vector<Reply> held_;
  std::thread thread_;
};

}  // namespace fern::testing
