#include "monkey/late_names.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <string>
#include <system_error>

namespace fern::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* address = "127.0.53.7";
constexpr const char* configuration = "nameserver 127.0.53.7\noptions timeout:1 attempts:1\n";

void check(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

struct Question {
  std::string packet;
  sockaddr_in from;
  Clock::time_point due;
};

// The question with one answer, if it is for an address of the old kind: 192.0.2.1.
std::string answer_to(const std::string& packet) {
  std::size_t end = packet.find('\0', 12);
  if (end == std::string::npos || end + 5 > packet.size()) return {};
  bool wants_address = packet[end + 2] == 1;
  std::string answer = packet.substr(0, end + 5);
  answer[2] = '\x81';
  answer[3] = '\x80';
  std::memcpy(answer.data() + 6, wants_address ? "\0\1\0\0\0\0" : "\0\0\0\0\0\0", 6);
  if (wants_address) answer += std::string("\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1", 16);
  return answer;
}

}  // namespace

bool LateNames::possible() { return geteuid() == 0; }

LateNames::LateNames(std::chrono::milliseconds late) {
  std::string file = folder_.write("resolv.conf", configuration);
  check(unshare(CLONE_NEWNS), "unshare");
  check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "mount");
  check(mount(file.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr), "resolv.conf");
  fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(53);
  inet_pton(AF_INET, address, &name.sin_addr);
  check(bind(fd_, reinterpret_cast<sockaddr*>(&name), sizeof name), "bind");
  thread_ = std::thread([this, late] { serve(late); });
}

LateNames::~LateNames() {
  // Nothing is what it takes for its end.
  sockaddr_in name{};
  socklen_t size = sizeof name;
  getsockname(fd_, reinterpret_cast<sockaddr*>(&name), &size);
  sendto(fd_, "", 0, 0, reinterpret_cast<sockaddr*>(&name), size);
  thread_.join();
  close(fd_);
  umount2("/etc/resolv.conf", MNT_DETACH);
}

void LateNames::serve(std::chrono::milliseconds late) {
  std::deque<Question> asked;
  for (;;) {
    int left = -1;
    if (!asked.empty()) {
      auto time = std::chrono::ceil<std::chrono::milliseconds>(asked.front().due - Clock::now());
      left = std::max(0, static_cast<int>(time.count()));
    }
    pollfd one{fd_, POLLIN, 0};
    if (poll(&one, 1, left) > 0) {
      char packet[512];
      Question question{};
      socklen_t size = sizeof question.from;
      ssize_t got = recvfrom(fd_, packet, sizeof packet, MSG_DONTWAIT,
                             reinterpret_cast<sockaddr*>(&question.from), &size);
      if (got == 0) return;
      if (got < 12) continue;
      question.packet.assign(packet, static_cast<std::size_t>(got));
      question.due = Clock::now() + late;
      if (question.packet.find("never") == std::string::npos) asked.push_back(question);
    }
    while (!asked.empty() && asked.front().due <= Clock::now()) {
      std::string answer = answer_to(asked.front().packet);
      sendto(fd_, answer.data(), answer.size(), 0,
             reinterpret_cast<const sockaddr*>(&asked.front().from), sizeof(sockaddr_in));
      asked.pop_front();
    }
  }
}

}  // namespace fern::testing
